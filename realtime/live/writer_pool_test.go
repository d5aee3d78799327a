package live

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// link is a transport that takes nothing until it is opened.
type link struct {
	open chan struct{}
	got  atomic.Int32
}

func (l *link) write(*frame) error { <-l.open; l.got.Add(1); return nil }
func (l *link) ping() error        { return nil }
func (l *link) close(closing)      {}

// Clients that do not read, however many, do not hold up the others: whoever
// writes to them is replaced. When they read again, they get what waited.
func TestStuckWritersAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := New(hub.New(nil, hub.Options{}), nil, Options{})
		go st.writers.Run()
		defer st.writers.Stop()
		closed := make(chan struct{})
		var stuck []*link
		join := func(l *link) {
			c := newConn(st)
			if err := st.admit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			c.attach(l)
			c.send(protocol.ServerMessage{Type: "hello"})
			t.Cleanup(c.ended)
		}
		for range 3 * runtime.GOMAXPROCS(0) {
			l := &link{open: closed}
			stuck = append(stuck, l)
			join(l)
		}
		open := make(chan struct{})
		close(open)
		quick := &link{open: open}
		join(quick)
		synctest.Wait()
		if quick.got.Load() != 0 {
			t.Fatal("there was a worker left; the test tests nothing")
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if quick.got.Load() != 1 {
			t.Errorf("the client that reads got %d messages", quick.got.Load())
		}
		if n := st.writers.Waiting(); n != 0 {
			t.Errorf("%d connections count as waiting", n)
		}
		close(closed)
		synctest.Wait()
		for _, l := range stuck {
			if l.got.Load() != 1 {
				t.Errorf("a client that reads again got %d messages", l.got.Load())
			}
		}
	})
}

// Beside uploads a round is followed by the rest that they ask for, and commits
// cause no poll meanwhile; without uploads there is none.
func TestThrottleRestsBesideUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(inFlight *load.InFlight) time.Duration {
			st := New(hub.New(nil, hub.Options{}), nil, Options{InFlight: inFlight})
			begun := time.Now()
			time.Sleep(2 * time.Millisecond)
			st.throttle(t.Context(), begun)
			return time.Since(begun)
		}
		inFlight := new(load.InFlight)
		if got := took(inFlight); got != 2*time.Millisecond {
			t.Errorf("without uploads a round of 2 ms took %v", got)
		}
		defer inFlight.Begin()()
		defer inFlight.Begin()()
		time.Sleep(10 * time.Second)
		if got, want := took(inFlight), 2*time.Millisecond+inFlight.Rest(2*time.Millisecond); got < want-time.Millisecond || got > want+time.Millisecond {
			t.Errorf("beside uploads a round of 2 ms took %v, want %v", got, want)
		}
	})
}
