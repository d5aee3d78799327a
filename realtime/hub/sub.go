package hub

import (
	"context"
	"slices"
)

// Sub is one subscriber's set of topics and what changed among them.
type Sub struct {
	hub  *Hub
	c    chan struct{}
	done chan struct{}

	// Guarded by hub.mu.
	topics  map[string]struct{}
	changed map[string]struct{}
	closed  bool
}

// Subscribe opens a subscription that watches nothing yet. Close it.
func (h *Hub) Subscribe() *Sub {
	s := &Sub{
		hub:     h,
		c:       make(chan struct{}, 1),
		done:    make(chan struct{}),
		topics:  map[string]struct{}{},
		changed: map[string]struct{}{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[s] = struct{}{}
	return s
}

// Watch adds topics. It returns once a version of each is known, so that a
// change committed after it returned always wakes the Sub: watch first, then
// read. A change committed shortly before may wake it too. While the database
// is away it waits. When ctx ends it returns that error, and the topics stay
// watched.
func (s *Sub) Watch(ctx context.Context, topics ...string) error {
	h := s.hub
	var unknown []*topic
	h.mu.Lock()
	if s.closed {
		h.mu.Unlock()
		return errStopped
	}
	for _, name := range topics {
		t := h.topics[name]
		if t == nil {
			t = &topic{ready: make(chan struct{}), subs: map[*Sub]struct{}{}}
			h.topics[name] = t
		}
		t.subs[s] = struct{}{}
		s.topics[name] = struct{}{}
		if !t.known {
			unknown = append(unknown, t)
		}
	}
	h.mu.Unlock()
	if len(unknown) == 0 {
		return nil
	}
	h.poke()
	for _, t := range unknown {
		select {
		case <-t.ready:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errStopped
		case <-h.done:
			return errStopped
		}
	}
	return nil
}

// Set drops every topic that is not in the list. It adds none: Watch does.
func (s *Sub) Set(topics []string) {
	keep := make(map[string]struct{}, len(topics))
	for _, name := range topics {
		keep[name] = struct{}{}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for name := range s.topics {
		if _, ok := keep[name]; !ok {
			s.drop(name)
		}
	}
}

// Unwatch drops the topics.
func (s *Sub) Unwatch(topics ...string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, name := range topics {
		if _, ok := s.topics[name]; ok {
			s.drop(name)
		}
	}
}

// drop forgets one watched topic; hub.mu is held.
func (s *Sub) drop(name string) {
	delete(s.topics, name)
	delete(s.changed, name)
	t := s.hub.topics[name]
	delete(t.subs, s)
	if len(t.subs) > 0 {
		return
	}
	delete(s.hub.topics, name)
	if !t.known {
		close(t.ready) // nobody else will
	}
}

// C receives when something changed, or when Hub.Healthy did. Several changes
// may give one signal.
func (s *Sub) C() <-chan struct{} { return s.c }

// Changed returns the topics that changed since the last call, sorted.
func (s *Sub) Changed() []string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.changed) == 0 {
		return nil
	}
	names := make([]string, 0, len(s.changed))
	for name := range s.changed {
		names = append(names, name)
	}
	clear(s.changed)
	slices.Sort(names)
	return names
}

// Close ends the subscription. It may be called more than once.
func (s *Sub) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for name := range s.topics {
		s.drop(name)
	}
	delete(s.hub.subs, s)
	close(s.done)
}

// signal wakes the subscriber; it never blocks.
func (s *Sub) signal() {
	select {
	case s.c <- struct{}{}:
	default:
	}
}
