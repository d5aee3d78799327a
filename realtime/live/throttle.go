package live

import (
	"context"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// What throttle goes by.
const (
	// longestRound bounds how late a record may be on a machine that has no
	// time for it; load.InFlight.Rest comes on top.
	longestRound = 150 * time.Millisecond
	// crowd is how many connections may still have to be written to when the
	// next message is made.
	crowd  = 16
	glance = time.Millisecond
)

// throttle ends a round, which began when the hub told of new records: it waits
// until most connections were written to, and then, where uploads are at work,
// rests for a multiple of what the round took, so that fan-out takes its share of the
// machine and no more. Several commits then make one message. A thousand
// screens of a 50 Hz car would otherwise take both cores of a small machine
// from the uploads, for messages that no eye can tell apart. A few slow clients
// do not hold up the others.
func (st *Stream) throttle(ctx context.Context, begun time.Time) {
	st.mu.Lock()
	enough := max(crowd, len(st.conns)/10)
	st.mu.Unlock()
	for st.writers.Waiting() > enough && time.Since(begun) < longestRound {
		if retry.Pause(ctx, glance) != nil {
			return
		}
	}
	st.writers.Share(st.opt.InFlight.Busy())
	rest := st.opt.InFlight.Rest(time.Since(begun))
	if rest < glance {
		return
	}
	st.hub.Rest(rest)
	_ = retry.Pause(ctx, rest) // the caller looks at ctx
}
