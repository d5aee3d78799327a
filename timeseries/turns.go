package timeseries

import (
	"context"
	"sync"
)

// turns let one caller at a time work on a run. The zero value has none.
type turns struct {
	mu   sync.Mutex
	runs map[int32]*turn
}

type turn struct {
	place chan struct{}
	asked int // who has it or waits
}

// take waits for the run's turn. Call done at its end.
func (t *turns) take(ctx context.Context, session int32) (done func(), err error) {
	t.mu.Lock()
	if t.runs == nil {
		t.runs = map[int32]*turn{}
	}
	one := t.runs[session]
	if one == nil {
		one = &turn{place: make(chan struct{}, 1)}
		t.runs[session] = one
	}
	one.asked++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.asked--; one.asked == 0 {
			delete(t.runs, session)
		}
	}
	select {
	case one.place <- struct{}{}:
		return func() { <-one.place; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
