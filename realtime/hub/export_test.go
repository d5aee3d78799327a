package hub

var ErrStopped = errStopped

func (h *Hub) Wake(topics ...string) { h.wake(topics...) }
