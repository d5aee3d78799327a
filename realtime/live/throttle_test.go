package live_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live"
)

// Beside uploads none of many commits is lost in the rests, even when there is
// no tick that would bring it.
func TestCommitsGatherBesideUploads(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs several connections")
	const commits = 100
	inFlight := new(load.InFlight) // as if two were at work all the time
	defer inFlight.Begin()()
	defer inFlight.Begin()()
	in := one(t, setup{hub: hub.Options{Tick: time.Hour}, stream: live.Options{InFlight: inFlight}})
	in.ingest(t, "a", 1, 1)
	c, _ := in.follow(t, "session=a")
	c.expect("snapshot")
	await.Until(t, "it is live", func() bool { return in.stream.Live() == 1 })
	for i := range commits {
		in.ingest(t, "a", 2+i, 1)
	}
	if got, _ := c.collect(commits + 1); !reflect.DeepEqual(got, sequence(2, commits+1)) {
		t.Errorf("got %v", got)
	}
}
