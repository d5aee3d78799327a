package live_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// stall fills the connection of a client that does not read: first the
// kernel's buffers, then the queue, until the subscription falls behind.
func stall(t *testing.T, in *instance, next int) (after int) {
	t.Helper()
	await.Until(t, "the client falls behind", func() bool {
		in.ingest(t, "a", next, 500)
		next += 500
		return in.stream.Stats().Overflows > 0
	})
	return next
}

// A client that stops reading loses nothing: it is told, and what was dropped
// comes again from the database. Meanwhile others go on.
func TestSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{QueueBytes: 128 << 10}})
	in.ingest(t, "a", 1, 1)
	slow, _ := in.follow(t, "session=a")
	slow.collect(1)
	quick, _ := in.follow(t, "session=a&fields=message_id")
	quick.collect(1)

	done := make(chan int)
	go func() { done <- stall(t, in, 2) }()
	seen, last := 1, 0
	for last == 0 || seen < last {
		m := quick.next()
		if m.Type != "records" && m.Type != "dropped" { // a busy machine may make it slow as well
			t.Fatalf("got %+v", m)
		}
		for _, id := range numbers(t, m) {
			if id != seen+1 {
				t.Fatalf("record %d after %d for a client that reads", id, seen)
			}
			seen = id
		}
		select {
		case next := <-done:
			last = next - 1
		default:
		}
	}

	ids, dropped := []int{1}, 0
	for ids[len(ids)-1] != last {
		switch m := slow.next(); m.Type {
		case "records":
			ids = append(ids, numbers(t, m)...)
		case "dropped":
			dropped++
			if !*m.Replay || m.Messages == 0 || m.Cursor == "" {
				t.Errorf("dropped: %+v", m)
			}
		default:
			t.Fatalf("got %+v", m)
		}
	}
	if diff := cmp.Diff(sequence(1, last), ids); diff != "" {
		t.Errorf("records of the slow client (-want +got):\n%s", diff)
	}
	if dropped == 0 {
		t.Error("the slow client was never told")
	}
	slow.liveAgain(in, last)
}

// liveAgain stores a record behind the last one and wants it alone.
func (c *screen) liveAgain(in *instance, last int) {
	c.t.Helper()
	in.ingest(c.t, "a", last+1, 1)
	if ids, _ := c.collect(last + 1); len(ids) != 1 {
		c.t.Errorf("live again: %v", ids)
	}
}

// A client that wants the newest rather than every record goes on from there,
// and is told how many it missed.
func TestSlowReaderSkips(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{QueueBytes: 64 << 10}})
	in.ingest(t, "a", 1, 1)
	c, _ := in.follow(t, "session=a&mode=latest")
	c.collect(1)
	last := stall(t, in, 2) - 1
	got, missed, newest := 1, 0, 1
	for {
		m := c.next()
		if m.Type == "dropped" {
			if *m.Replay {
				t.Errorf("dropped: %+v", m)
			}
			missed += int(m.Dropped)
		}
		for _, id := range numbers(t, m) {
			if id <= newest {
				t.Fatalf("record %d after %d", id, newest)
			}
			newest = id
			got++
		}
		if got+missed == last {
			break
		}
		if got+missed > last {
			t.Fatalf("%d records and %d reported missing, of %d", got, missed, last)
		}
	}
	if missed == 0 {
		t.Error("nothing was reported missing")
	}
	c.liveAgain(in, last)
}

// A client that does not even read answers to its own messages is let go, and
// finds out why when it reads again.
func TestSlowReaderIsLetGo(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{QueueBytes: 2 << 10}})
	in.ingest(t, "a", 1, 1)
	c, _ := in.follow(t, "session=a")
	stall(t, in, 2)
	for range 100 { // their answers are twice what may be queued, whatever the writer has in hand
		c.send(protocol.ClientMessage{Type: "ping", ID: strings.Repeat("x", 64)})
	}
	await.Until(t, "it is let go", func() bool { return in.stream.Stats().Slow == 1 })
	for {
		if _, err := c.tryNext(); err != nil {
			if !websocket.IsCloseError(err, 4409) {
				t.Errorf("ended with %v, want code 4409", err)
			}
			return
		}
	}
}
