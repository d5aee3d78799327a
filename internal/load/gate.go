package load

import (
	"context"
	"time"

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

// Gate bounds the uploads that are stored at once, and the memory that they take.
// Both go round by caller, of whom one has about half.
type Gate struct {
	places *Queue
	bytes  *Queue // places of a byte
	limit  int64
	large  int64 // what a large upload counts at least
}

// NewGate lets that many uploads in at once, which together take that many bytes.
// Large ones leave room for at least one that is small, where there is room for two.
func NewGate(uploads int, bytes int64) *Gate {
	return &Gate{
		places: NewQueue(uploads, (uploads+1)/2, 0),
		bytes:  NewQueue(int(bytes), int(bytes/2), 0), limit: bytes, large: bytes / max(1, int64(uploads)-1),
	}
}

// Enter waits until an upload of so many bytes may be stored; one larger than
// the gate waits until it is alone. The caller calls leave when the upload is
// stored. An upload that waited 10 s, or 5 min if it is large, is turned away: an
// Unavailable fault that says when to try again.
func (g *Gate) Enter(ctx context.Context, bytes int64) (leave func(), err error) {
	longest := patience
	if bytes >= fileBytes {
		longest = filePatience
		bytes = max(bytes, g.large)
	}
	if bytes = min(bytes, g.limit); bytes < g.limit/64 {
		bytes = 0 // all that have a place fit beside the others
	}
	waiting, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	// Who has a place has what memory it needs: nobody waits for that in the place
	// of another.
	if bytes > 0 && g.bytes.take(waiting, int(bytes)) != nil {
		return nil, turnedAway(ctx)
	}
	back := func() {
		if bytes > 0 {
			g.bytes.leave(Caller(ctx), int(bytes))
		}
	}
	if g.places.Enter(waiting) != nil {
		back()
		return nil, turnedAway(ctx)
	}
	return func() {
		back()
		g.places.Leave(Caller(ctx))
	}, nil
}

func turnedAway(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault.Busy("too many uploads at once; try again")
}
