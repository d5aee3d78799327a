package live_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live"
)

// While uploads are at work, commits gather in fewer messages. None is lost in
// the pauses, also when there is no tick that would bring it.
func TestCommitsGatherBesideUploads(t *testing.T) {
	t.Parallel()
	if dbtest.SingleBackend(t) {
		t.Skip("needs several connections")
	}
	const commits = 400
	begun := time.Now()
	messages := func(uploads *load.Uploads) (n int) {
		in := one(t, setup{hub: hub.Options{Tick: time.Hour}, stream: live.Options{Uploads: uploads}})
		session := t.Name() + time.Since(begun).String()
		in.ingest(t, session, 1, 1)
		c := in.dial(t, "session="+session)
		c.expect("hello")
		c.expect("subscribed")
		c.expect("snapshot")
		eventually(t, "it is live", func() bool { return in.stream.Live() == 1 })
		paced := time.NewTicker(4 * time.Millisecond)
		defer paced.Stop()
		for i := range commits {
			<-paced.C
			in.ingest(t, session, 2+i, 1)
		}
		var got []int
		for len(got) < commits {
			m := c.next()
			if m.Type != "records" {
				t.Fatalf("got %+v, want records", m)
			}
			got = append(got, numbers(t, m)...)
			n++
		}
		if want := span(2, commits+1); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		return n
	}
	// As if two had been at work all the time.
	uploads := new(load.Uploads)
	defer uploads.Begin()()
	defer uploads.Begin()()
	beside := messages(uploads)
	alone := messages(nil)
	if beside > alone*2/3 {
		t.Errorf("%d commits made %d messages beside uploads and %d without", commits, beside, alone)
	}
}
