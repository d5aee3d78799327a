package sync

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// clock tells the timestamps of the wire: nanoseconds of the database's clock,
// estimated, so that they never go backwards when a client moves to another
// instance or this one is started again.
type clock struct {
	base  time.Time     // where elapsed time counts from; monotonic
	ready chan struct{} // closed once the offset was measured

	mu       sync.Mutex
	origin   int64 // database time at base, in nanoseconds since 1970
	quality  time.Duration
	measured time.Time
	last     int64
}

func newClock() *clock {
	now := time.Now()
	return &clock{base: now, origin: now.UnixNano(), ready: make(chan struct{})}
}

// now estimates the database's time, at least the newest timestamp given.
func (c *clock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.last, c.origin+int64(time.Since(c.base)))
}

// next returns a timestamp later than all before it.
func (c *clock) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.origin+int64(time.Since(c.base)))
	return c.last
}

// until is how long the database's clock will take to reach t.
func (c *clock) until(t time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(t.UnixNano() - c.origin - int64(time.Since(c.base)))
}

// remeasureAfter is how long a good measurement stands against a worse one;
// clocks drift apart by some milliseconds in that time.
const remeasureAfter = 5 * time.Minute

// measure asks the database for its time. The first measurement also takes up
// from the newest timestamp that was recorded, should the database's clock
// have been set back since.
func (c *clock) measure(ctx context.Context, pool *pgxpool.Pool) error {
	var now time.Time
	before := time.Now()
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return fmt.Errorf("read database clock: %w", err)
	}
	after := time.Now()
	trip := after.Sub(before)
	first := false
	select {
	case <-c.ready:
	default:
		first = true
	}
	var newest int64
	if first {
		if err := pool.QueryRow(ctx, `SELECT coalesce(max(ts), 0) FROM convex_requests`).Scan(&newest); err != nil {
			return fmt.Errorf("read newest timestamp: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first || trip <= c.quality || after.Sub(c.measured) > remeasureAfter {
		c.origin = now.UnixNano() - int64(before.Add(trip/2).Sub(c.base))
		c.quality, c.measured = trip, after
	}
	if first {
		c.last = newest
		close(c.ready)
	}
	return nil
}

// appendTs appends a timestamp in the form of the wire.
func appendTs(dst []byte, ts int64) []byte {
	return base64.StdEncoding.AppendEncode(dst, binary.LittleEndian.AppendUint64(nil, uint64(ts)))
}

func parseTs(text string) (int64, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 8 {
		return 0, errors.New("a timestamp is 8 bytes of base64")
	}
	ts := binary.LittleEndian.Uint64(b)
	if ts > math.MaxInt64 {
		return 0, errors.New("a timestamp is less than 2^63")
	}
	return int64(ts), nil
}
