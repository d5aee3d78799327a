package timeseries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// A coarse clock gives many records one time. Pages of any size lose none and
// repeat none.
func TestPagesWithEqualTimes(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	random := rand.New(rand.NewPCG(13, 14))
	const n = 210 // every page is a query
	order := random.Perm(n)
	for batch := range slices.Chunk(order, 17) {
		var records []rec
		for _, i := range batch {
			records = append(records, recordAt("s", time.Duration(i/30)*time.Second, i))
		}
		h.insert(records...)
	}
	want := ids(h.read(timeseries.RecordQuery{SessionID: "s"}))
	if sorted := slices.Sorted(slices.Values(want)); len(sorted) != n || sorted[0] != 0 || sorted[n-1] != n-1 {
		t.Fatalf("%d records", len(want))
	}
	for _, size := range []int{7, 29, 30, n - 1, n, n + 1} {
		var got []int
		q := timeseries.RecordQuery{SessionID: "s", Limit: size}
		for {
			rs, err := h.store.Records(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for rs.Next() {
				var r rec
				if err := json.Unmarshal(rs.Record().AppendJSON(nil), &r); err != nil {
					t.Fatal(err)
				}
				got = append(got, ids([]rec{r})...)
				cursor := rs.Record().Cursor()
				q.After = &cursor
				found++
			}
			if found == 0 {
				break
			}
		}
		if !cmp.Equal(want, got) {
			t.Errorf("pages of %d: %d records, want %d in the same order", size, len(got), len(want))
		}
	}
}

// A long stream is the run as it was when it was opened, whatever comes in while
// it is read, and holds no connection in between. It ends with an error, not
// early, when records are taken away meanwhile.
func TestStreamShowsOneMoment(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	const n = 6000
	insert := func(session string, offset time.Duration) {
		for from := 0; from < n; from += 2000 {
			var records []rec
			for i := from; i < from+2000; i++ {
				r := recordAt(session, time.Duration(i)*time.Second+offset, i)
				if i == 4500 {
					r["note"] = strings.Repeat("x", 700_000) // more than a page
				}
				records = append(records, r)
			}
			h.insert(records...)
		}
	}
	insert("s", 0)
	insert("other", 0)
	open := func() *timeseries.RecordStream {
		t.Helper()
		rs, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "s"})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if !rs.Next() {
				t.Fatal(rs.Err())
			}
		}
		return rs
	}
	grown, changed := open(), open()
	insert("s", 500*time.Millisecond)
	if held := h.pool.Stat().AcquiredConns(); held > 0 {
		t.Errorf("two open streams hold %d connections", held)
	}
	got := 100
	for ; grown.Next(); got++ {
		if at := grown.Record().Cursor().Time(); !at.Equal(at.Truncate(time.Second)) {
			t.Fatalf("record %d is of %v, and came later", got, at)
		}
	}
	if err := grown.Err(); err != nil || got != n {
		t.Errorf("%d records, want %d: %v", got, n, err)
	}
	if _, err := h.pool.Exec(t.Context(), "UPDATE sessions SET batch = batch + 1, rewritten = batch + 1 WHERE id = 's'"); err != nil {
		t.Fatal(err)
	}
	for changed.Next() {
	}
	if err := changed.Err(); !fault.Is(err, fault.Conflict) {
		t.Errorf("records were taken away, and the stream ended with %v", err)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for i := range 10 {
		h.insert(recordAt("s", time.Duration(i)*time.Second, i))
	}
	at := func(seconds float64) time.Time { return raceStart.Add(time.Duration(seconds * float64(time.Second))) }
	cursor := func(seconds float64, batch int32) *record.Cursor {
		return &record.Cursor{Micros: at(seconds).UnixMicro(), Batch: batch}
	}
	for _, test := range []struct {
		name  string
		query timeseries.RecordQuery
		want  []int
	}{
		{"from and to", timeseries.RecordQuery{From: at(2), To: at(5)}, []int{2, 3, 4}},
		{"between records", timeseries.RecordQuery{From: at(2.5), To: at(3.5)}, []int{3}},
		{"before all", timeseries.RecordQuery{To: at(-1)}, []int{}},
		{"after all", timeseries.RecordQuery{From: at(100)}, []int{}},
		{"the wrong way round", timeseries.RecordQuery{From: at(5), To: at(2)}, []int{}},
		{"far bounds", timeseries.RecordQuery{From: time.Unix(0, 0), To: time.Unix(1e12, 0), Limit: 2}, []int{0, 1}},
		{"newest", timeseries.RecordQuery{Newest: true, Limit: 2}, []int{8, 9}},
		{"newest of a window", timeseries.RecordQuery{Newest: true, Limit: 2, To: at(5)}, []int{3, 4}},
		{"newest since", timeseries.RecordQuery{Newest: true, Limit: 5, From: at(8)}, []int{8, 9}},
		{"more than there are", timeseries.RecordQuery{Newest: true, Limit: 5000}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"behind a record", timeseries.RecordQuery{After: cursor(7, 8)}, []int{8, 9}},
		{"behind a place before it", timeseries.RecordQuery{After: cursor(7, 7)}, []int{7, 8, 9}},
		{"behind a record, with from", timeseries.RecordQuery{After: cursor(3, 4), From: at(8)}, []int{8, 9}},
		{"a made-up early cursor", timeseries.RecordQuery{After: &record.Cursor{Micros: -1 << 63}, Limit: 1}, []int{0}},
		{"a made-up late cursor", timeseries.RecordQuery{After: &record.Cursor{Micros: 1<<63 - 1}}, []int{}},
		{"no session", timeseries.RecordQuery{SessionID: "none"}, []int{}},
		{"an impossible id", timeseries.RecordQuery{SessionID: "a\x00b"}, []int{}},
		{"an id that is not text", timeseries.RecordQuery{SessionID: "\xff"}, []int{}},
	} {
		if test.query.SessionID == "" {
			test.query.SessionID = "s"
		}
		if got := ids(h.read(test.query)); !cmp.Equal(test.want, got) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if _, _, err := h.store.AllRecords(t.Context(), timeseries.RecordQuery{SessionID: "s"}, 9); !fault.Is(err, fault.TooLarge) {
		t.Errorf("more records than fit: %v", err)
	}
	if text, n, err := h.store.AllRecords(t.Context(), timeseries.RecordQuery{SessionID: "s"}, 10); err != nil || n != 10 || !json.Valid(text) {
		t.Errorf("as many records as fit: %d, %v", n, err)
	}
}

// recorder remembers the statements that a pool ran.
type recorder struct {
	mu   sync.Mutex
	runs []pgx.TraceQueryStartData
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, data)
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// cost is what the server says that a statement did.
type cost struct {
	buffers int // pages touched
	rows    int // most rows that any step produced
}

// explain runs the recorded statements again and adds up what they cost.
func (r *recorder) explain(t *testing.T, pool *pgxpool.Pool) (total cost) {
	t.Helper()
	r.mu.Lock()
	runs := r.runs
	r.runs = nil
	r.mu.Unlock()
	for _, run := range runs {
		args := slices.DeleteFunc(slices.Clone(run.Args), func(arg any) bool { _, is := arg.(pgx.QueryResultFormats); return is })
		var text []byte
		if err := pool.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+run.SQL, args...).Scan(&text); err != nil {
			t.Fatalf("%s: %v", run.SQL, err)
		}
		type node struct {
			Hit   int     `json:"Shared Hit Blocks"`
			Read  int     `json:"Shared Read Blocks"`
			Rows  float64 `json:"Actual Rows"`
			Plans []node
		}
		var plans []struct{ Plan node }
		if err := json.Unmarshal(text, &plans); err != nil {
			t.Fatal(err)
		}
		total.buffers += plans[0].Plan.Hit + plans[0].Plan.Read
		var walk func(n node)
		walk = func(n node) {
			total.rows = max(total.rows, int(n.Rows))
			for _, p := range n.Plans {
				walk(p)
			}
		}
		walk(plans[0].Plan)
	}
	return total
}

// The newest records of a session of 300,000 cost what they cost in a session of
// 3,000, whether they came evenly, in a burst, or after a long silence.
func TestNewestRecordsDoNotWalkTheSession(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, which cannot tell the statements of two pools apart")
	const limit = 500
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	trace := &recorder{}
	config.ConnConfig.Tracer = trace
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	pool := dbtest.New(t)
	store := timeseries.New(traced, timeseries.Options{})

	// seconds returns the time of record i, in SQL.
	shapes := map[string]string{
		"small":             "i * 0.2",
		"even":              "i * 0.2",
		"burst, then slow":  "CASE WHEN i < n - 50 THEN i * 0.001 ELSE 3600 + i END",
		"slow, then burst":  "CASE WHEN i < 100 THEN i * 1000 ELSE 200000 + i * 0.001 END",
		"a week of silence": "CASE WHEN i < n - 600 THEN i * 0.02 ELSE 7 * 86400 + i * 0.02 END",
	}
	for session, seconds := range shapes {
		n := 60_000
		switch session {
		case "small":
			n = 3000
		case "even":
			n = 300_000
		}
		_, err := pool.Exec(t.Context(), fmt.Sprintf(`
			WITH made AS (
				INSERT INTO sessions (id, records, batch, first_time, last_time) SELECT $1, $2, 1, now(), now() RETURNING session
			)
			INSERT INTO telemetry (session, batch, ord, time, message_id, speed_ms)
			SELECT session, 1, i, timestamptz '2026-03-01' + (%s) * interval '1 second', i, 1
			FROM made, generate_series(0, $2::int - 1) i, (SELECT $2::int AS n) AS n`, seconds), session, n)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"UPDATE sessions s SET first_time = (SELECT min(time) FROM telemetry t WHERE t.session = s.session), last_time = (SELECT max(time) FROM telemetry t WHERE t.session = s.session)",
		"ANALYZE telemetry", "ANALYZE sessions",
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	newest := func(session string, q timeseries.RecordQuery) cost {
		t.Helper()
		q.SessionID, q.Newest = session, true
		if _, n, err := store.AllRecords(t.Context(), q, q.Limit); err != nil || n != q.Limit {
			t.Fatalf("%s: %d records, %v", session, n, err)
		}
		return trace.explain(t, pool)
	}
	small := newest("small", timeseries.RecordQuery{Limit: limit})
	for session := range shapes {
		got := newest(session, timeseries.RecordQuery{Limit: limit})
		t.Logf("%s: %+v, small: %+v", session, got, small)
		if got.buffers > 4*small.buffers || got.rows > 2*limit {
			t.Errorf("%s: the newest %d records touched %d pages and %d rows; in a small session %d pages and %d rows", session, limit, got.buffers, got.rows, small.buffers, small.rows)
		}
		one := newest(session, timeseries.RecordQuery{Limit: 1})
		if one.buffers > 100 || one.rows > 20 {
			t.Errorf("%s: the newest record touched %d pages and %d rows", session, one.buffers, one.rows)
		}
		if _, err := store.Latest(t.Context(), session); err != nil {
			t.Fatal(err)
		}
		if latest := trace.explain(t, pool); latest.buffers > 100 || latest.rows > 20 {
			t.Errorf("%s: Latest touched %d pages and %d rows", session, latest.buffers, latest.rows)
		}
		if _, err := store.BucketedRecords(t.Context(), session, 200*time.Millisecond, 100, time.Time{}); err != nil {
			t.Fatal(err)
		}
		bucketed := trace.explain(t, pool)
		if limit := 1000 * 100 / 5; bucketed.rows > limit+limit/10 { // as many records as 20 s hold at the highest rate
			t.Errorf("%s: 100 buckets touched %d rows", session, bucketed.rows)
		}
	}
	// The first page of a session comes at once, too.
	if _, n, err := store.AllRecords(t.Context(), timeseries.RecordQuery{SessionID: "even", Limit: limit}, limit); err != nil || n != limit {
		t.Fatalf("%d records, %v", n, err)
	}
	if first := trace.explain(t, pool); first.buffers > 4*small.buffers || first.rows > 2*limit {
		t.Errorf("the first %d records touched %d pages and %d rows", limit, first.buffers, first.rows)
	}
	// Listing looks at no telemetry: at sessions, live states, and the summary, the
	// figures and the book of each run.
	if _, err := store.Sessions(t.Context(), timeseries.SessionFilter{}); err != nil {
		t.Fatal(err)
	}
	if list := trace.explain(t, pool); list.buffers > 35 {
		t.Errorf("listing %d sessions touched %d pages", len(shapes), list.buffers)
	}
}

// Buckets are the means that SQL gives, whole at both ends.
func TestBuckets(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	random := rand.New(rand.NewPCG(15, 16))
	var records []rec
	for i := range 2000 {
		r := recordAt("s", time.Duration(random.IntN(3_600_000))*time.Millisecond, i)
		r["driver_mode"] = []string{"eco", "normal"}[random.IntN(2)]
		if random.IntN(3) == 0 {
			delete(r, "speed_ms")
		}
		records = append(records, r)
	}
	h.insert(records...)
	for _, width := range []time.Duration{time.Second, 7 * time.Second, 90 * time.Second, 33 * time.Minute, 24 * time.Hour} {
		for _, limit := range []int{1, 5, 10_000} {
			text, err := h.store.BucketedRecords(t.Context(), "s", width, limit, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			var got []rec
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			rows, err := h.pool.Query(t.Context(), `
				SELECT time_bucket($1, time), avg(speed_ms), max(message_id)::float8, (array_agg(driver_mode ORDER BY time DESC, batch DESC, ord DESC))[1]
				FROM telemetry
				GROUP BY 1
				HAVING time_bucket($1, time) > (SELECT time_bucket($1, max(time)) FROM telemetry) - $1 * $2::int
				ORDER BY 1`, width, limit)
			if err != nil {
				t.Fatal(err)
			}
			want, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (rec, error) {
				var at time.Time
				var speed *float64
				var id float64
				var mode string
				err := row.Scan(&at, &speed, &id, &mode)
				r := rec{"session_id": "s", "timestamp": record.FormatTime(at), "message_id": id, "driver_mode": mode}
				if speed != nil {
					r["speed_ms"] = *speed
				}
				return r, err
			})
			if err != nil {
				t.Fatal(err)
			}
			approximately := cmp.Comparer(func(x, y float64) bool { return x-y < 1e-9 && y-x < 1e-9 })
			if diff := cmp.Diff(want, got, approximately); diff != "" {
				t.Errorf("width %v, limit %d: (-want +got)\n%s", width, limit, diff)
			}
		}
	}
	for _, width := range []time.Duration{0, -time.Second, time.Microsecond, 25 * time.Hour} {
		if _, err := h.store.BucketedRecords(t.Context(), "s", width, 10, time.Time{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("width %v: %v", width, err)
		}
	}
}

func TestDeletedSessions(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	batch := func(offset int) (records []rec) {
		for i := range 50 {
			records = append(records, recordAt("s", time.Duration(offset+i)*time.Hour, offset+i))
		}
		return records
	}
	h.insert(batch(0)...)
	h.insert(recordAt("other", 0, 1))
	n, err := h.store.DeleteSession(t.Context(), "s")
	if err != nil || n != 50 {
		t.Fatalf("%d records, %v", n, err)
	}
	gone := func(what string) {
		t.Helper()
		session, err := h.store.Session(t.Context(), "s")
		if session != nil || err != nil {
			t.Errorf("%s: %+v, %v", what, session, err)
		}
		latest, err := h.store.Latest(t.Context(), "s")
		if latest != (timeseries.Latest{}) || err != nil {
			t.Errorf("%s: latest %+v, %v", what, latest, err)
		}
		if got := h.read(timeseries.RecordQuery{SessionID: "s"}); len(got) > 0 {
			t.Errorf("%s: %d records", what, len(got))
		}
		list, err := h.store.Sessions(t.Context(), timeseries.SessionFilter{})
		if err != nil || len(list) != 1 || list[0].ID != "other" {
			t.Errorf("%s: list %+v, %v", what, list, err)
		}
	}
	gone("after the deletion")
	if _, err := h.store.DeleteSession(t.Context(), "s"); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	if _, err := h.store.DeleteSession(t.Context(), "a\x00b"); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleting an impossible id: %v", err)
	}

	// The id may be used anew, even with the records it had.
	if result := h.insert(batch(0)[:10]...); result.Inserted != 10 {
		t.Errorf("%+v", result)
	}
	latest, err := h.store.Latest(t.Context(), "s")
	if err != nil || *latest.LatestMessageID != 9 || latest.Records != 10 {
		t.Errorf("after using it anew: %+v, %v", latest, err)
	}
	if purged, err := h.store.PurgeDeleted(t.Context()); purged != 1 || err != nil {
		t.Errorf("purged %d, %v", purged, err)
	}
	if got := h.count("SELECT count(*) FROM telemetry"); got != 11 {
		t.Errorf("%d records are left, want 11", got)
	}
	if got := h.count("SELECT count(*) FROM sessions"); got != 2 {
		t.Errorf("%d sessions are left, want 2", got)
	}
	h.consistent()
	if _, err := h.store.DeleteSession(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	gone("after deleting it again")
}

// Sessions are deleted and purged while batches of them arrive.
func TestDeletingWhileIngesting(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	var wg, others sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := h.store.DeleteSession(t.Context(), "s"); err != nil && !fault.Is(err, fault.NotFound) {
					t.Error(err)
				}
				if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for w := range 3 {
		wg.Go(func() {
			for i := range 60 {
				id := w*1000 + i
				result, err := h.try(ingest.Options{}, []rec{recordAt("s", time.Duration(id)*time.Second, id), recordAt("keep", time.Duration(id)*time.Second, id)})
				if err != nil || result.Inserted != 2 {
					t.Errorf("%+v, %v", result, err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	others.Wait()
	h.consistent()
	if got := h.count("SELECT records FROM sessions WHERE id = 'keep'"); got != 180 {
		t.Errorf("%d records of the session that stays, want 180", got)
	}
	for session, err := h.store.DeleteSession(t.Context(), "s"); err == nil; session, err = h.store.DeleteSession(t.Context(), "s") {
		t.Logf("%d records were left", session)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.count("SELECT count(*) FROM telemetry"); got != 180 {
		t.Errorf("%d records are left, want 180", got)
	}
}

func TestSessionList(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for i := range 9 { // three start at the same time each
		h.insert(recordAt(fmt.Sprintf("s%d", i), time.Duration(i/3)*time.Hour, i), recordAt(fmt.Sprintf("s%d", i), 24*time.Hour, 100+i))
	}
	var got []string
	filter := timeseries.SessionFilter{Limit: 2}
	for {
		list, err := h.store.Sessions(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, s := range list {
			got = append(got, s.ID)
			filter.BeforeStart, filter.BeforeID = s.Start, s.ID
		}
	}
	if want := []string{"s8", "s7", "s6", "s5", "s4", "s3", "s2", "s1", "s0"}; !cmp.Equal(want, got) {
		t.Errorf("order %v", got)
	}
	list, err := h.store.Sessions(t.Context(), timeseries.SessionFilter{StartedAfter: raceStart.Add(time.Hour)})
	if err != nil || len(list) != 6 {
		t.Errorf("%d sessions started later, %v", len(list), err)
	}
}

// Numbers that the database writes with hundreds of zeros are read back no longer
// than they came, in every form.
func TestLongNumbersAreReadBackShort(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: how it comes into the hypertable, other uploads show")
	h := newServer(t)
	const n = 5000
	h.insert(rec{"session_id": "a", "timestamp": "2026-06-03T10:00:00Z", "note": json.RawMessage("[" + strings.Repeat("1e300,", n) + "-2.5e-300]"), "outliers": json.RawMessage(`{"a":[` + strings.Repeat("1e300,", n) + `1]}`)})
	stream, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	text, csv := stream.Record().AppendJSON(nil), stream.Record().AppendCSV(nil)
	if len(text) > 20*n || len(csv) > 20*n {
		t.Errorf("%d bytes of JSON and %d of CSV", len(text), len(csv))
	}
	var got struct {
		Note []float64 `json:"note"`
	}
	if err := json.Unmarshal(text, &got); err != nil || len(got.Note) != n+1 || got.Note[0] != 1e300 || got.Note[n] != -2.5e-300 {
		t.Errorf("%d numbers, %v", len(got.Note), err)
	}
}
