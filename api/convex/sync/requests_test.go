package sync

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

func TestRequestsRemember(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	q := &requests{dbtest.New(t)}
	caller := []byte("caller")
	record := func(key requestKey, run byte, ts int64) error {
		return schema.Tx(ctx, q.pool, func(ctx context.Context, tx pgx.Tx) error {
			return q.record(ctx, tx, key, caller, [16]byte{run}, ts)
		})
	}
	succeeded, failed, unanswered := requestKey{"s", 1}, requestKey{"s", 2}, requestKey{"s", 3}
	for _, key := range []requestKey{succeeded, failed, unanswered} {
		if a, err := q.recall(ctx, key, caller); a != nil || err != nil {
			t.Fatalf("%v before it ran: %v, %v", key, a, err)
		}
		if err := record(key, 1, 100+key.request); err != nil {
			t.Fatal(err)
		}
	}
	if err := record(succeeded, 1, 201); err != nil {
		t.Errorf("a second transaction of the same run: %v", err)
	}
	if err := record(succeeded, 2, 300); err != errRepeated {
		t.Errorf("another run: %v, want %v", err, errRepeated)
	}
	if err := q.finish(ctx, succeeded, [16]byte{1}, answer{value: json.RawMessage(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	if err := q.finish(ctx, failed, [16]byte{1}, answer{failed: &registry.Failure{Message: "no\x00", Data: json.RawMessage(`{"code":"X"}`)}}); err != nil {
		t.Fatal(err)
	}
	// The server stopped between the commit and the answer, a while ago.
	if _, err := q.pool.Exec(ctx, `UPDATE convex_requests SET created_at = created_at - interval '1 minute' WHERE request_id = 3`); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[requestKey]answer{
		succeeded:  {ts: 201, value: json.RawMessage(`{"a":1}`)},
		failed:     {ts: 102, failed: &registry.Failure{Message: "no", Data: json.RawMessage(`{"code":"X"}`)}},
		unanswered: {ts: 103, value: json.RawMessage(`null`)},
	} {
		got, err := q.recall(ctx, key, caller)
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(answer{})); err != nil || diff != "" {
			t.Errorf("%v: %v, %s", key, err, diff)
		}
	}
	if _, err := q.recall(ctx, succeeded, []byte("somebody else")); !fault.Is(err, fault.Conflict) {
		t.Errorf("another caller: %v", err)
	}
}

// commit records a request in a transaction that does nothing else.
func (q *requests) commit(ctx context.Context, key requestKey, caller []byte, ts int64) error {
	return schema.Tx(ctx, q.pool, func(ctx context.Context, tx pgx.Tx) error {
		return q.record(ctx, tx, key, caller, [16]byte{1}, ts)
	})
}

func TestRequestsArePruned(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	q := &requests{dbtest.New(t)}
	for hours := range 5 {
		ts := time.Now().Add(-time.Duration(hours) * 24 * time.Hour).UnixNano()
		if err := q.commit(ctx, requestKey{"s", int64(hours)}, nil, ts); err == nil {
			t.Fatal("a caller is needed")
		}
		if err := q.commit(ctx, requestKey{"s", int64(hours)}, []byte("c"), ts); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.prune(ctx, 60*time.Hour); err != nil {
		t.Fatal(err)
	}
	rows, err := q.pool.Query(ctx, `SELECT request_id FROM convex_requests ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if diff := cmp.Diff([]int64{0, 1, 2}, left); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := dbtest.New(t)
	// An earlier process gave timestamps from a database clock that ran ahead.
	ahead := time.Now().Add(time.Hour).UnixNano()
	q := &requests{pool}
	if err := q.commit(ctx, requestKey{"s", 1}, []byte("c"), ahead); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	if err := c.measure(ctx, pool); err != nil {
		t.Fatal(err)
	}
	last := ahead
	for range 1000 {
		ts := c.next()
		if ts <= last {
			t.Fatalf("%d after %d", ts, last)
		}
		last = ts
	}
	if c.now() < last {
		t.Errorf("now is %d, before %d that was given", c.now(), last)
	}
}

func TestClockFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	c := newClock()
	c.origin += int64(time.Hour) // this machine's clock is wrong
	if err := c.measure(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	var before, after time.Time
	if err := pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	ts := c.next()
	if err := pool.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&after); err != nil {
		t.Fatal(err)
	}
	const slack = 500 * time.Millisecond // of a busy machine's round trip
	if got := time.Unix(0, ts); got.Before(before.Add(-slack)) || got.After(after.Add(slack)) {
		t.Errorf("%v is not between %v and %v", got, before, after)
	}
}
