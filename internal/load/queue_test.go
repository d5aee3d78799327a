package load_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

// However many requests one caller has, the others get their turn after one of
// each, and it never holds more than its share.
func TestQueueIsFairByCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := load.NewQueue(3, 2, time.Minute)
		as := func(caller string) context.Context { return load.WithCaller(t.Context(), caller) }
		enter := func(caller string) {
			t.Helper()
			if err := q.Enter(as(caller)); err != nil {
				t.Fatal(err)
			}
		}
		enter("flood")
		enter("flood")
		var served []string
		wait := func(caller string) {
			go func() {
				enter(caller)
				served = append(served, caller) // one at a time: synctest.Wait is between them
			}()
			synctest.Wait()
		}
		wait("flood") // there is a place, but not for it
		if len(served) > 0 {
			t.Error("one caller has every place")
		}
		enter("bridge")
		wait("flood")
		wait("crew")
		wait("bridge")
		wait("") // the daemon itself
		for _, caller := range []string{"flood", "flood", "flood", "bridge", "crew"} {
			q.Leave(caller)
			synctest.Wait()
		}
		if want := []string{"flood", "crew", "bridge", "", "flood"}; !slices.Equal(served, want) {
			t.Errorf("served %q, want %q", served, want)
		}
	})
}

// Who waits for too long, or for too much, is turned away with the time to come
// again; the daemon's own work is not, and nothing is left taken.
func TestQueueTurnsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := load.NewQueue(1, 1, 10*time.Second)
		stranger := load.WithCaller(t.Context(), "stranger")
		if err := q.Enter(stranger); err != nil {
			t.Fatal(err)
		}
		refused := func(err error) {
			t.Helper()
			if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
				t.Errorf("%v, want Unavailable and when to come again", err)
			}
		}
		begun := time.Now()
		refused(q.Enter(stranger))
		if waited := time.Since(begun); waited != 10*time.Second {
			t.Errorf("turned away after %v", waited)
		}
		results := make(chan error, 128)
		for range 128 {
			go func() { results <- q.Enter(stranger) }()
		}
		synctest.Wait()
		refused(q.Enter(stranger)) // at once: so many wait already
		gone, cancel := context.WithCancel(stranger)
		cancel()
		other := load.WithCaller(gone, "another")
		if err := q.Enter(other); !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		for range 128 {
			refused(<-results)
		}
		if s := q.Stats(); s.TurnedAway != 130 || s.Waited < 1290*time.Second {
			t.Errorf("%+v", s)
		}
		entered := make(chan error)
		go func() { entered <- q.Enter(t.Context()) }()
		time.Sleep(time.Hour)
		q.Leave("stranger")
		if err := <-entered; err != nil {
			t.Errorf("the daemon's own work: %v", err)
		}
		q.Leave("")
		if err := q.Enter(other); err == nil {
			q.Leave("another")
		}
		if err := q.Enter(stranger); err != nil {
			t.Errorf("with the place free: %v", err)
		}
	})
}

// Callers that come and go at any moment take no place with them.
func TestQueueKeepsItsPlaces(t *testing.T) {
	t.Parallel()
	const places = 3
	q := load.NewQueue(places, 2, time.Second)
	done := make(chan struct{})
	for i := range 40 {
		go func() {
			defer func() { done <- struct{}{} }()
			caller := fmt.Sprint(i % 7)
			for n := range 500 {
				ctx, cancel := context.WithCancel(load.WithCaller(t.Context(), caller))
				if n%3 == 0 {
					go cancel()
				}
				if q.Enter(ctx) == nil {
					q.Leave(caller)
				}
				cancel()
			}
		}()
	}
	for range 40 {
		<-done
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for range places {
		if err := q.Enter(ctx); err != nil {
			t.Fatal("a place is gone")
		}
	}
}

// One caller holds half of a budget, strangers together three quarters, and who
// holds nothing may take more at once.
func TestBudgetIsSharedByCaller(t *testing.T) {
	b := load.NewBudget(100)
	take := func(caller string, bytes int64, want bool) {
		t.Helper()
		if b.Take(caller, bytes) != want {
			t.Errorf("%s takes %d: %v", caller, bytes, !want)
		}
	}
	take(load.Stranger("one"), 40, true)
	take(load.Stranger("one"), 11, false)
	take(load.Stranger("two"), 35, true)
	take(load.Stranger("three"), 1, false)
	take("account", 25, true)
	take("account", 1, false)
	b.Give(load.Stranger("two"), 35)
	take("account", 26, false)
	take("account", 25, true)
	b.Give(load.Stranger("one"), 40)
	b.Give("account", 50)
	take("account", 90, true)
	take("another", 11, false)
	b.Give("account", 90)
	take(load.Stranger("one"), 100, true)
}
