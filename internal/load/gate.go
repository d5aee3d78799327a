package load

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ecovolt/telemetryd/internal/fault"
)

const (
	// patience is how long an upload waits for others before it is turned away.
	patience = 10 * time.Second
	// filePatience is that of a large one, which took its client long to send and
	// waits in a file, in front of others of its size.
	filePatience = 5 * time.Minute
	// fileBytes is from which size on that is so.
	fileBytes = 16 << 20
)

// Gate bounds the uploads that are stored at once.
type Gate struct {
	places *Queue
	bytes  *semaphore.Weighted
	limit  int64
}

// NewGate lets that many uploads in at once, which together take that many bytes.
// About half of them are of one caller.
func NewGate(uploads int, bytes int64) *Gate {
	return &Gate{places: NewQueue(uploads, (uploads+1)/2, 0), bytes: semaphore.NewWeighted(bytes), limit: bytes}
}

// Enter waits until an upload of so many bytes may be stored; one larger than
// the gate waits until it is alone. The caller calls leave when the upload is
// stored. An upload that waited 10 s, or 5 min if it is large, is turned away: an
// Unavailable fault that says when to try again.
func (g *Gate) Enter(ctx context.Context, bytes int64) (leave func(), err error) {
	bytes = min(bytes, g.limit)
	longest := patience
	if bytes >= fileBytes {
		longest = filePatience
	}
	waiting, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if g.places.Enter(waiting) != nil {
		return nil, turnedAway(ctx)
	}
	if g.bytes.Acquire(waiting, bytes) != nil {
		g.places.Leave(Caller(ctx))
		return nil, turnedAway(ctx)
	}
	return func() {
		g.bytes.Release(bytes)
		g.places.Leave(Caller(ctx))
	}, nil
}

func turnedAway(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault.Busy("too many uploads at once; try again")
}
