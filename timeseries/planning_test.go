package timeseries_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// plans are those of the statements that a pool's connections run, as the server
// tells them (auto_explain).
type plans struct {
	mu   sync.Mutex
	seen int
	wide map[string]int // by query, the chunks of those that went by too many
}

// mostChunks is how many chunks a plan for a run of a day may consider: those of
// two days, of the records and of the rollups that it aggregates.
const mostChunks = 8

var (
	plannedChunk = regexp.MustCompile(`_hyper_\d+_\d+_chunk`)
	planBegins   = regexp.MustCompile(`\n(?:Query Parameters: |\S.*\(cost=)`)
	// excludedChunks are those that the planner had to consider all the same.
	excludedChunks = regexp.MustCompile(`Chunks excluded during (?:startup|runtime): (\d+)`)
)

func (p *plans) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	if !strings.HasPrefix(n.Message, "duration: ") || !strings.Contains(n.Message, "telemetry") {
		return
	}
	names := map[string]bool{}
	for _, name := range plannedChunk.FindAllString(n.Message, -1) {
		names[name] = true
	}
	considered := len(names)
	for _, m := range excludedChunks.FindAllStringSubmatch(n.Message, -1) {
		more, _ := strconv.Atoi(m[1])
		considered += more
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen++; considered > mostChunks {
		_, query, _ := strings.Cut(n.Message, "Query Text: ")
		p.wide[planBegins.Split(query, 2)[0]] = considered
	}
}

// Whatever reads or writes records of a run names the times that these can have,
// so that its plan considers the run's own chunks, however many there are.
func TestPlansConsiderFewChunks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes 200 chunks")
	}
	dbtest.NeedsBackends(t, "the server has no auto_explain")
	// A plan that goes by all of them is as wide of 200 as of the 2,000 of some years,
	// which take a minute to make. A transaction holds a lock on each that it makes.
	for hundred := range 2 {
		_, err := dbtest.New(t).Exec(t.Context(), `
			INSERT INTO telemetry (time, session, batch, ord)
			SELECT $1::timestamptz + i * INTERVAL '1 day', 0, 1, 1
			FROM generate_series($2::int, $2::int + 99) i`, raceStart.AddDate(0, 0, -150), hundred*100)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dbtest.New(t).Exec(t.Context(), "ANALYZE telemetry"); err != nil {
		t.Fatal(err)
	}

	seen := plans{wide: map[string]int{}}
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.OnNotice = seen.notice
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `
			LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET client_min_messages = log`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	h := &server{t: t, pool: pool, store: timeseries.New(pool, timeseries.Options{})}
	everything(t, h)
	t.Logf("%d plans", seen.seen)
	if seen.seen < 100 {
		t.Errorf("%d plans were seen, which is not all that was run", seen.seen)
	}
	for query, n := range seen.wide {
		t.Errorf("%d chunks: %s", n, query)
	}
}

// everything does what the store can do with runs of a day, one after the other.
func everything(t *testing.T, h *server) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	ctx := t.Context()
	drive := newTrip(rand.New(rand.NewPCG(12, 9)))
	for i := range drive.radio {
		drive.radio[i]["latitude"], drive.radio[i]["longitude"] = 48+float64(i)/1e5, 11+float64(i)/1e5
		drive.radio[i]["distance_m"] = float64(i)
		drive.radio[i]["driver_mode"] = "eco"
	}
	half := len(drive.radio) / 2
	h.insert(drive.radio[:half]...)
	h.insert(drive.radio[:half]...) // again
	_, err := h.stream(decode.FormatJSON, ingest.Options{Repeats: ingest.TellRepeats}, ndjson(drive.radio[half:]))
	must("stream", err)
	_, err = h.stream(decode.FormatJSON, ingest.Options{SkipExisting: true}, ndjson(drive.radio))
	must("skip what exists", err)
	_, err = h.importFrom(ctx, ingest.Options{Source: "import", Repeats: ingest.TellRepeats}, strings.NewReader(ndjson(renamed(drive.radio, "other"))))
	must("import", err)
	h.refresh()
	_, err = h.store.Analysis.Refresh(ctx)
	must("analysis", err)

	// As autovacuum does: what the planner knows of the run's chunk now makes a plan
	// for all times look cheap.
	_, err = h.pool.Exec(ctx, "ANALYZE")
	must("analyze", err)
	_, err = h.merge(drive.logger, merge.Options{Offset: &drive.offset})
	must("merge", err)
	h.refresh()
	_, err = h.store.Merges.Origins(ctx, "s", 100)
	must("origins", err)

	reads := func() {
		t.Helper()
		after := record.Cursor{Micros: raceStart.UnixMicro(), Batch: 1, Ord: 1}
		for _, q := range []timeseries.RecordQuery{
			{SessionID: "s"}, {SessionID: "s", Newest: true, Limit: 10}, {SessionID: "s", Limit: 10, After: &after},
			{SessionID: "s", From: raceStart, To: raceStart.Add(time.Minute), Fields: []string{"speed_ms"}}, {SessionID: "s", SetAside: true},
		} {
			h.read(q)
		}
		_, _, err := h.store.AllRecords(ctx, timeseries.RecordQuery{SessionID: "s"}, 100_000)
		must("all records", err)
		_, err = h.store.BucketedRecords(ctx, "s", time.Second, 100, time.Time{})
		must("buckets of records", err)
		_, err = h.store.Latest(ctx, "s")
		must("latest", err)
		_, err = h.store.Summary(ctx, "s")
		must("summary", err)
		for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
			for _, points := range []int{10, 100, 5000} {
				_, err = h.store.Series.Read(ctx, series.Request{Sessions: []string{"s", "other"}, Metrics: []string{"speed_ms", "current_a"}, Points: points, Mode: mode})
				must("series", err)
			}
		}
		_, err = h.store.Series.Read(ctx, series.Request{Sessions: []string{"s"}, Metrics: []string{"speed_ms", "driver_mode"}, Points: 500, Align: series.AlignElapsed})
		must("series of states", err)
		_, err = h.store.Series.Read(ctx, series.Request{Sessions: []string{"s"}, Metrics: []string{"speed_ms"}, Points: 500, Align: series.AlignDistance})
		must("series by distance", err)
		_, err = h.store.Series.Track(ctx, "s", 1)
		must("track", err)
		_, err = h.store.Analysis.Update(ctx, "s")
		must("analysis", err)
		_, err = h.store.Analysis.Laps(ctx, analysis.LapRequest{Session: "s"})
		must("laps", err)
		_, err = h.store.Analysis.Figures(ctx, "s")
		must("figures", err)
		list, err := h.store.Archives.List(ctx, "s")
		must("archive parts", err)
		_, err = h.store.Archives.File(ctx, list.Parts[0].Name)
		must("archive file", err)
		_, err = h.store.Archives.Overview(ctx, "s")
		must("archive overview", err)
		_, err = h.store.Archives.KeepUp(ctx)
		must("archives", err)
		var now delta.Position
		must("position", h.pool.QueryRow(ctx, "SELECT session, batch FROM sessions WHERE id = 's'").Scan(&now.Session, &now.Batch))
		from, since, err := h.store.Deltas.RecentStart(ctx, now, delta.Recent{Records: 100})
		must("snapshot", err)
		_, err = h.store.Deltas.Read(ctx, []delta.Want{{ID: "s", From: from, NotBefore: since}}, record.All, 1000)
		must("delta", err)
	}
	reads()
	_, err = h.store.Merges.Undo(ctx, "s")
	must("undo", err)
	reads()
	stray := at("s", raceStart.AddDate(0, 0, -30), 7)
	h.insert(stray)
	h.repair(ingest.Repair{Session: "s", At: raceStart.Add(time.Hour)})
	h.repair(ingest.Repair{Session: "s", Shift: time.Second, All: true})
	h.refresh()
	reads()
	h.remove("other")
	h.refresh()
	_, err = rollup.OldestRecord(ctx, h.pool)
	must("oldest record", err)
}

// renamed are the records as those of another run.
func renamed(records []rec, session string) (other []rec) {
	text, err := json.Marshal(records)
	if err == nil {
		err = json.Unmarshal(text, &other)
	}
	if err != nil {
		panic(err)
	}
	for _, r := range other {
		r["session_id"] = session
		r["message_id"] = 1
	}
	return other
}
