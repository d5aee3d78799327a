package live_test

import (
	"context"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live"
)

// counter counts the queries of a pool.
type counter struct{ queries atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries.Add(1)
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A commit costs the same queries whether one connection watches or hundreds.
func TestQueriesDoNotGrowWithConnections(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs several connections")
	var count counter
	in := one(t, setup{
		hub:  hub.Options{Tick: time.Hour}, // nothing but what a commit causes
		pool: func(c *pgxpool.Config) { c.ConnConfig.Tracer = &count },
	})
	in.ingest(t, "a", 1, 1)
	writer := start(t, in.pool.Config().ConnString(), setup{}) // its queries are not counted
	var clients []*screen
	cost := func(connections int) int64 {
		for len(clients) < connections {
			query := "session=a"
			if len(clients)%2 == 1 {
				query += "&fields=speed_ms,message_id"
			}
			c, _ := in.follow(t, query)
			c.expect("snapshot")
			clients = append(clients, c)
		}
		await.Until(t, "all are live", func() bool { return in.stream.Live() == connections })
		before, first := count.queries.Load(), 1000*connections
		for i := range 5 {
			writer.ingest(t, "a", first+i, 1)
			in.hub.WakeSessions("a")
			for _, c := range clients {
				c.collect(first + i)
			}
		}
		return count.queries.Load() - before
	}
	few := cost(2)
	many := cost(200)
	if few != many || few > 5*3 {
		t.Errorf("5 commits cost %d queries with 2 connections and %d with 200; want the same, at most 3 each", few, many)
	}
}

// After clients of all kinds came and went, and the stream stopped, none of
// its goroutines is left.
func TestNothingLeaks(t *testing.T) {
	in := one(t, setup{stream: live.Options{QueueBytes: 64 << 10}})
	in.ingest(t, "a", 1, 100)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			conn, err := in.tryDial("session=a&session=never&snapshot_seconds=60")
			if err != nil {
				t.Error(err)
				return
			}
			c := &screen{t, conn}
			for range i % 4 {
				if _, err := c.tryNext(); err != nil {
					t.Error(err)
				}
			}
			if i%2 == 0 {
				conn.Close() // the others stay
			} else {
				t.Cleanup(func() { conn.Close() })
			}
		})
	}
	events := in.events(t, "session=a", "")
	events.expect("hello")
	all.Wait()
	in.ingest(t, "a", 101, 2000)
	in.stop()
	if stats := in.stream.Stats(); stats.Connections != 0 || stats.Sessions != 0 {
		t.Errorf("left behind: %+v", stats)
	}
	if stats := in.hub.Stats(); stats.Topics != 0 || stats.Subscribers != 0 {
		t.Errorf("left behind in the hub: %+v", stats)
	}
	ours := func() (stacks []string) {
		var text strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&text, 2); err != nil {
			t.Fatal(err)
		}
		for stack := range strings.SplitSeq(text.String(), "\n\n") {
			if strings.Contains(stack, "telemetryd/live.(") && !strings.Contains(stack, "realtime_test.TestNothingLeaks") {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	await.Until(t, "no goroutine of the stream is left", func() bool { return len(ours()) == 0 })
}
