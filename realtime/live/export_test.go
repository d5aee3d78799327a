package live

// Live is the number of subscriptions that need no more catching up.
func (st *Stream) Live() int {
	st.mu.Lock()
	feeds := make([]*sessionFeed, 0, len(st.feeds))
	for _, f := range st.feeds {
		feeds = append(feeds, f)
	}
	st.mu.Unlock()
	live := 0
	for _, f := range feeds {
		f.mu.Lock()
		for _, g := range f.groups {
			live += len(g.members)
		}
		f.mu.Unlock()
	}
	return live
}
