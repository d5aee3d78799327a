package timeseries_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

var raceStart = time.Date(2026, 3, 21, 10, 0, 0, 0, time.UTC)

// server is a store on a database of the test's own.
type server struct {
	t     testing.TB
	pool  *pgxpool.Pool
	store *timeseries.Store
}

func newServer(t testing.TB) *server {
	t.Helper()
	pool := dbtest.New(t)
	return &server{t: t, pool: pool, store: timeseries.New(pool, timeseries.Options{})}
}

// fewer is how many rounds a random test makes: where one thread serves all, so many
// as show that the other edition does the same.
func fewer(t testing.TB, rounds, there uint64) uint64 {
	t.Helper()
	if dbtest.SingleBackend(t) {
		return there
	}
	return rounds
}

// rec is a record as JSON has it.
type rec map[string]any

// recordAt makes a record that a test can recognise by its message_id.
func recordAt(session string, after time.Duration, id int) rec {
	return rec{"session_id": session, "timestamp": record.FormatTime(raceStart.Add(after)), "message_id": id, "speed_ms": float64(id) / 8}
}

func ndjson(records []rec) string {
	var text []byte
	for _, r := range records {
		text = append(appendRecord(text, r), '\n')
	}
	return string(text)
}

// appendRecord writes a record as a client would. What most of them consist of it
// writes without encoding/json, which takes longer under the race detector than all
// that the store does with them.
func appendRecord(text []byte, r rec) []byte {
	text = append(text, '{')
	for i, name := range slices.Sorted(maps.Keys(r)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendMember(text, name), ':')
		text = appendMember(text, r[name])
	}
	return append(text, '}')
}

func appendMember(text []byte, value any) []byte {
	switch v := value.(type) {
	case int:
		return strconv.AppendInt(text, int64(v), 10)
	case float64:
		if a := math.Abs(v); a == 0 || a >= 1e-6 && a < 1e21 {
			return strconv.AppendFloat(text, v, 'f', -1, 64)
		}
	case string:
		if !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
			return append(append(append(text, '"'), v...), '"')
		}
	}
	more, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return append(text, more...)
}

// try ingests one batch.
func (h *server) try(opt ingest.Options, records []rec) (ingest.Result, error) {
	text := []byte{'['}
	for i, r := range records {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendRecord(text, r)
	}
	text = append(text, ']')
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records(text, b, time.Now()); err != nil {
		return ingest.Result{}, err
	}
	opt.Source = cmp.Or(opt.Source, "test")
	return h.store.Writer.Ingest(h.t.Context(), b, opt)
}

func (h *server) insert(records ...rec) ingest.Result {
	h.t.Helper()
	result, err := h.try(ingest.Options{}, records)
	if err != nil {
		h.t.Fatal(err)
	}
	return result
}

func (h *server) stream(format decode.Format, opt ingest.Options, text string) (ingest.Result, error) {
	opt.Source = cmp.Or(opt.Source, "test")
	dec := decode.New(strings.NewReader(text), decode.Options{Format: format, SkipBad: opt.SkipBad})
	return h.store.Writer.IngestStream(h.t.Context(), dec, opt)
}

// read returns the records that a query finds.
func (h *server) read(q timeseries.RecordQuery) (all []rec) {
	h.t.Helper()
	rs, err := h.store.Records(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	for rs.Next() {
		var r rec
		if err := json.Unmarshal(rs.Record().AppendJSON(nil), &r); err != nil {
			h.t.Fatalf("%s: %v", rs.Record().AppendJSON(nil), err)
		}
		all = append(all, r)
	}
	if err := rs.Err(); err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *server) rename(id, name string) error {
	_, err := h.store.EditSession(h.t.Context(), id, timeseries.SessionChange{Name: &name})
	return err
}

func ids(records []rec) []int {
	list := []int{}
	for _, r := range records {
		list = append(list, int(r["message_id"].(float64)))
	}
	return list
}

func (h *server) count(sql string, args ...any) (n int) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// rows counts everything that ingest writes.
func (h *server) rows() string {
	h.t.Helper()
	return fmt.Sprint(h.count("SELECT count(*) FROM telemetry"), h.count("SELECT count(*) FROM sessions"), h.count("SELECT count(*) FROM ingest_batches"),
		h.count("SELECT coalesce(sum(records + batch), 0) FROM sessions"))
}

// consistent holds the sessions table and the commit log against the records:
// counters, bounds, and that no batch is there in part.
func (h *server) consistent() {
	h.t.Helper()
	checkConsistent(h.t, h.pool)
}

func checkConsistent(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		WITH stored AS (
			SELECT session, batch, count(*) AS records, count(DISTINCT ord) AS places, min(ord) AS low, max(ord) AS high,
			       min(time) AS first_time, max(time) AS last_time
			FROM telemetry GROUP BY 1, 2
		)
		SELECT 'batch ' || coalesce(l.session, r.session) || '/' || coalesce(l.batch, r.batch)
		FROM ingest_batches l
		FULL JOIN stored r ON r.session = l.session AND r.batch = l.batch
		WHERE (r.records = l.records AND r.places = l.records
		       AND (r.low = 0 AND r.high = l.records - 1 OR EXISTS (SELECT FROM clusters c WHERE c.session = l.session))
		       AND CASE l.source WHEN 'merge' THEN r.first_time >= l.min_time AND r.last_time <= l.max_time -- it changed earlier records, too
		           ELSE r.first_time = l.min_time AND r.last_time = l.max_time END
		       OR l.records = 0 AND l.source = 'merge' AND r.session IS NULL
		       OR l.records = 0 AND (l.set_aside > 0 OR EXISTS (SELECT FROM clusters c WHERE c.session = l.session)
		                          OR EXISTS (SELECT FROM repaired p WHERE p.session = l.session)) AND l.min_time IS NULL AND r.session IS NULL) IS NOT TRUE
		UNION ALL
		SELECT 'set aside of ' || s.id
		FROM sessions s
		WHERE s.set_aside <> (SELECT count(*) FROM set_aside a WHERE a.session = s.session)
		   OR s.set_aside <> (SELECT coalesce(sum(b.set_aside), 0) FROM ingest_batches b WHERE b.session = s.session)
		UNION ALL
		SELECT 'session ' || s.id
		FROM sessions s
		LEFT JOIN (SELECT session, sum(records) AS records, count(*) AS batches, max(batch) AS batch FROM ingest_batches GROUP BY 1) l USING (session)
		LEFT JOIN (SELECT session, min(first_time) AS first_time, max(last_time) AS last_time FROM stored GROUP BY 1) r USING (session)
		WHERE (s.records = l.records AND s.batch = l.batch AND l.batches = l.batch AND s.first_time IS NOT DISTINCT FROM r.first_time AND s.last_time IS NOT DISTINCT FROM r.last_time) IS NOT TRUE`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s: the counters do not fit the records", what)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// beside is a server whose store has a pool of its own on a database.
func (h *server) beside(url string) *server {
	h.t.Helper()
	pool, err := pgxpool.New(h.t.Context(), url)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(pool.Close)
	return &server{t: h.t, pool: pool, store: timeseries.New(pool, timeseries.Options{})}
}

// analyseAnew has readers wait until what came since is worked out: on a busy machine
// they are content with what was computed just now.
func (h *server) analyseAnew() {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), "UPDATE analysis_runs SET took_s = 0"); err != nil {
		h.t.Fatal(err)
	}
}
