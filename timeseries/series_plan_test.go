package timeseries_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// queryLog notes the queries that a pool sends.
type queryLog struct {
	mu      sync.Mutex
	queries []sentQuery
}

type sentQuery struct {
	sql  string
	args []any
}

func (r *queryLog) note(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queries = append(r.queries, sentQuery{sql, slices.Clone(args)})
}

func (r *queryLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	r.note(d.SQL, d.Args)
	return ctx
}
func (r *queryLog) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (r *queryLog) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (r *queryLog) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	r.note(d.SQL, d.Args)
}
func (r *queryLog) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

var (
	chunkName = regexp.MustCompile(`_hyper_(\d+)_(\d+)_chunk\b`)
	dataQuery = regexp.MustCompile(`FROM (telemetry|telemetry_\w+_stored|_timescaledb_internal\._materialized_hypertable_\d+)\s+WHERE session`)
)

// Every query of a series opens the chunks of its window and no others, and
// reads the metrics asked for and no others, in the row store and, where there
// is one, in the columnstore.
func TestSeriesReadsOnlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	plain := dbtest.New(t)
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	sent := &queryLog{}
	config.ConnConfig.Tracer = sent
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := timeseries.New(pool, timeseries.Options{})
	day := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC)
	for n := range 4 {
		var records []runSample
		for i := range 3000 {
			v := float64(i)
			records = append(records, runSample{time: day.AddDate(0, 0, n).Add(time.Duration(i) * 28 * time.Second), speed: &v, power: &v})
		}
		if n == 2 { // dense where the windows begin, for the levels of seconds
			for i := range 8400 {
				v := float64(i)
				records = append(records, runSample{time: day.AddDate(0, 0, n).Add(2*time.Hour + time.Duration(i)*500*time.Millisecond), speed: &v, power: &v, mode: "eco"})
			}
		}
		store(t, s, "race", records)
	}
	refresh(t, s)
	stores := []string{"row store"}
	levels := map[string]bool{"raw": true, "10s": true, "1m": true, "10m": true}
	if dbtest.Edition(t, plain) == "community" {
		stores = append(stores, "columnstore")
		levels["1s"], levels["5s"] = true, true
	}
	for _, kind := range stores {
		s := timeseries.New(pool, timeseries.Options{}) // which has answered nothing yet
		if kind == "columnstore" {
			if _, err := plain.Exec(t.Context(), "SELECT compress_chunk(c) FROM show_chunks('telemetry') c"); err != nil {
				t.Fatal(err)
			}
		}
		for _, window := range []struct {
			length time.Duration
			points int
		}{{20 * time.Hour, 10}, {20 * time.Hour, 100}, {20 * time.Hour, 1000}, {time.Hour, 20}, {time.Hour, 400}, {time.Hour, 800}, {time.Hour, 1000}, {time.Hour, 5000}} {
			for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
				sent.queries = nil
				from := day.AddDate(0, 0, 2).Add(2*time.Hour + 7*time.Second + 3)
				metrics := []string{"speed_ms"}
				if mode == series.ModeMinMax {
					metrics = append(metrics, "driver_mode")
				}
				got, err := s.Series.Read(t.Context(), series.Request{
					Sessions: []string{"race"}, Metrics: metrics, From: from, To: from.Add(window.length), Points: window.points, Mode: mode,
				})
				if err != nil {
					t.Fatal(err)
				}
				delete(levels, got.Sessions[0].Level)
				checked := 0
				for _, q := range slices.Clone(sent.queries) {
					if !dataQuery.MatchString(q.sql) {
						continue
					}
					checked++
					plan := explain(t, plain, q)
					chunks := map[string]bool{}
					for _, m := range chunkName.FindAllStringSubmatch(plan, -1) {
						chunks[m[0]] = true
					}
					if len(chunks) > 1 {
						t.Errorf("%s, %v at %d points, %v: %d chunks in the plan of %s\n%s", kind, window.length, window.points, mode, len(chunks), q.sql, plan)
					}
					if strings.Contains(plan, "power_w") || strings.Contains(plan, "voltage_v") || strings.Contains(plan, "motion_state") {
						t.Errorf("%s, %v at %d points, %v: other metrics in the plan of %s\n%s", kind, window.length, window.points, mode, q.sql, plan)
					}
				}
				if checked == 0 {
					t.Errorf("%s, %v at %d points, %v: no query reads data; is the pattern outdated?", kind, window.length, window.points, mode)
				}
			}
		}
	}
	for level := range levels {
		t.Errorf("no window was served by %s", level)
	}
}

func explain(t *testing.T, pool *pgxpool.Pool, q sentQuery) string {
	t.Helper()
	var lines []string
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL plan_cache_mode = force_custom_plan"); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), "EXPLAIN (VERBOSE, COSTS OFF) "+q.sql, q.args...)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatalf("explain %s: %v", q.sql, err)
	}
	// A scan of the columnstore hands its rows of batches on as they are; what it
	// takes out of them is what the node above it puts out.
	// Its table is the chunk's own, of a name that depends on the version.
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, "Output: compress_hyper") || strings.Contains(line, "Output: _hyper") && strings.Contains(line, "_compressed.")
	})
	return strings.ReplaceAll(strings.Join(lines, "\n"), "compress_hyper_", "columnstore_")
}
