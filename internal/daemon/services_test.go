package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Services stop in the reverse order of their start: a drained one while all
// that it needs still runs, each waited for before the next.
func TestServicesStopInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []string
		note := func(event string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, event)
		}
		run := func(name string) func(context.Context) {
			return func(ctx context.Context) {
				<-ctx.Done()
				time.Sleep(time.Second) // what it began ends later
				note(name + " ended")
			}
		}
		failed := errors.New("open requests")
		ctx, cancel := context.WithCancel(t.Context())
		var s services
		s.start(ctx, service{run: run("hub")})
		s.start(ctx, service{run: run("http"), drain: func(context.Context) error { note("http drained"); return failed }})
		var ticks atomic.Int32
		s.start(ctx, every(time.Minute, func(context.Context) { ticks.Add(1) }))
		cancel() // the start is over; what it started is not
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if len(events) > 0 || ticks.Load() != 3 {
			t.Errorf("before the stop: %v, %d ticks", events, ticks.Load())
		}
		if err := s.stop(t.Context()); !errors.Is(err, failed) {
			t.Errorf("stopped with %v", err)
		}
		if want := []string{"http drained", "http ended", "hub ended"}; !slices.Equal(events, want) {
			t.Errorf("%v, want %v", events, want)
		}
		if err := s.stop(t.Context()); err != nil || len(events) != 3 {
			t.Errorf("a second stop: %v, %v", err, events)
		}
	})
}
