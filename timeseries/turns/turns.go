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

// do works when it is the caller's turn.
func (t *turns) do(ctx context.Context, session int32, work func() error) error {
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
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.asked--; one.asked == 0 {
			delete(t.runs, session)
		}
	}()
	select {
	case one.place <- struct{}{}:
		defer func() { <-one.place }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	}
}
