package timeseries_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/merge"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

type typedColumn struct{ Name, Type string }

func rollupColumns(t *testing.T, pool *pgxpool.Pool, relation string) []typedColumn {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, relation)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[typedColumn])
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

// allRollups lists the relations, each behind the one that it reads.
func allRollups() []string {
	var relations []string
	for _, level := range rollup.Levels {
		relations = append(relations, level.Relation)
	}
	for _, level := range rollup.Levels {
		if level.States != "" {
			relations = append(relations, level.States)
		}
	}
	return relations
}

func TestRollupColumns(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	// The same on both editions, since it follows from the list of fields alone.
	want := []typedColumn{
		{"session", "integer"}, {"bucket", "timestamp with time zone"}, {"records", "bigint"},
		{"first_time", "timestamp with time zone"}, {"last_time", "timestamp with time zone"},
	}
	states := []typedColumn{
		{"session", "integer"}, {"bucket", "timestamp with time zone"},
		{"motion_state", "text"}, {"driver_mode", "text"}, {"throttle_intensity", "text"}, {"brake_intensity", "text"},
	}
	for _, f := range channel.All {
		if f.Charted {
			for _, suffix := range []string{"_min", "_max", "_sum"} {
				want = append(want, typedColumn{f.Name + suffix, "double precision"})
			}
			want = append(want, typedColumn{f.Name + "_count", "bigint"})
		}
	}
	for _, level := range rollup.Levels {
		if diff := cmp.Diff(want, rollupColumns(t, pool, level.Relation)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", level.Relation, diff)
		}
		if level.States != "" {
			if diff := cmp.Diff(states, rollupColumns(t, pool, level.States)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", level.States, diff)
			}
		}
		var comment string
		err := pool.QueryRow(t.Context(), `
			SELECT col_description(attrelid, attnum) FROM pg_attribute
			WHERE attrelid = $1::regclass AND attname = 'speed_ms_max'`, level.Relation).Scan(&comment)
		if err != nil || comment != "Ground speed: highest, m/s" {
			t.Errorf("%s.speed_ms_max: comment %q, error %v", level.Relation, comment, err)
		}
	}
}

func TestLevelsNest(t *testing.T) {
	t.Parallel()
	for i, level := range rollup.Levels {
		if (24*time.Hour)%level.Width != 0 {
			t.Errorf("%s does not divide a day", level.Name)
		}
		if i > 0 && level.Width%rollup.Levels[i-1].Width != 0 {
			t.Errorf("%s is not a multiple of the level before", level.Name)
		}
	}
}

// A rollup made from another definition is replaced, and what builds on it is
// made again; one that is current stays.
func TestRollupsAreRebuilt(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	url := dbtest.URL(t)
	oids := func() []uint32 {
		var list []uint32
		for _, relation := range allRollups() {
			var oid uint32
			if err := pool.QueryRow(t.Context(), "SELECT $1::regclass::oid", relation).Scan(&oid); err != nil {
				t.Fatal(err)
			}
			list = append(list, oid)
		}
		return list
	}
	before := oids()
	if err := rollup.Apply(t.Context(), url, &rollup.Policies{}); err != nil {
		t.Fatal(err)
	}
	if got := oids(); !slices.Equal(before, got) {
		t.Error("rollups that were current were made again")
	}
	if _, err := pool.Exec(t.Context(), `
		UPDATE repeatable_objects SET version = 'older' WHERE name = 'rollups';
		INSERT INTO rollup_progress (session, batch) VALUES (1, 7)`); err != nil {
		t.Fatal(err)
	}
	if err := rollup.Apply(t.Context(), url, &rollup.Policies{}); err != nil {
		t.Fatal(err)
	}
	for i, oid := range oids() {
		if oid == before[i] {
			t.Errorf("%s was not made again", allRollups()[i])
		}
	}
	var refreshed int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM rollup_progress").Scan(&refreshed); err != nil {
		t.Fatal(err)
	}
	if refreshed != 0 {
		t.Error("the new rollups count as refreshed")
	}
}

// Whichever group of objects is from another version, it and what builds on it can be
// made anew.
func TestObjectsAreMadeAnew(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	names, err := schema.List(t.Context(), pool, pgx.RowTo[string], "SELECT name FROM repeatable_objects")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if _, err := pool.Exec(t.Context(), "UPDATE repeatable_objects SET version = 'older' WHERE name = $1", name); err != nil {
			t.Fatal(err)
		}
		if err := rollup.Apply(t.Context(), dbtest.URL(t), &rollup.Policies{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var there int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_views WHERE schemaname = 'analytics' AND viewname IN ('totals', 'run_book', 'quality')").Scan(&there); err != nil || there != 3 {
		t.Errorf("%d of 3 views are there, %v", there, err)
	}
}

// A database that moves from the Apache edition to the community edition gets
// continuous aggregates for its views.
func TestRollupsFollowTheEdition(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.NeedsCommunity(t, pool, "the Apache edition cannot make continuous aggregates")
	var drop strings.Builder
	for _, relation := range slices.Backward(allRollups()) {
		drop.WriteString("DROP MATERIALIZED VIEW " + relation + " CASCADE;")
	}
	for _, relation := range allRollups() {
		drop.WriteString("CREATE VIEW " + relation + " AS SELECT session, time AS bucket FROM telemetry;")
	}
	if _, err := pool.Exec(t.Context(), drop.String()+"UPDATE repeatable_objects SET version = 'apache'"); err != nil {
		t.Fatal(err)
	}
	if err := rollup.Apply(t.Context(), dbtest.URL(t), &rollup.Policies{}); err != nil {
		t.Fatal(err)
	}
	var continuous int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM timescaledb_information.continuous_aggregates WHERE NOT materialized_only").Scan(&continuous); err != nil {
		t.Fatal(err)
	}
	if continuous != len(allRollups()) {
		t.Errorf("%d continuous aggregates, want %d", continuous, len(allRollups()))
	}
}

// Rollups outlive the records that a retention policy dropped, even when they
// are made anew; a deleted session leaves them there too.
func TestRollupsOutliveRecords(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.NeedsCommunity(t, pool, "views have no life of their own")
	s := timeseries.New(pool, timeseries.Options{})
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, id := range []string{"kept", "deleted"} {
		for n := range 3 {
			var records []runSample
			for i := range 1000 {
				v := float64(n*1000 + i)
				records = append(records, runSample{time: day.AddDate(0, 0, n).Add(time.Duration(i) * time.Minute), speed: &v})
			}
			store(t, s, id, records)
		}
	}
	refresh(t, s)
	if _, err := pool.Exec(t.Context(), "SELECT drop_chunks('telemetry', $1::timestamptz)", day.AddDate(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		got, err := timeseries.New(pool, timeseries.Options{}).Series.Read(t.Context(), series.Request{Sessions: []string{"kept"}, Metrics: []string{"speed_ms"}, Points: 500})
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, n := range got.Sessions[0].Metrics[0].Count {
			total += n
		}
		if total != 3000 || got.Sessions[0].Metrics[0].Min[0] != 0 {
			t.Errorf("%s: %d of 3000 records are known", when, total)
		}
	}
	check("after the drop")
	if _, err := pool.Exec(t.Context(), "UPDATE repeatable_objects SET version = 'older' WHERE name = 'rollups'"); err != nil {
		t.Fatal(err)
	}
	if err := rollup.Apply(t.Context(), dbtest.URL(t), nil); err != nil {
		t.Fatal(err)
	}
	check("made anew")
	refresh(t, s)
	check("refreshed")
	if _, err := s.DeleteSession(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	check("after a deletion")
	for _, relation := range allRollups() {
		var sessions int
		if err := pool.QueryRow(t.Context(), "SELECT count(DISTINCT session) FROM "+relation).Scan(&sessions); err != nil {
			t.Fatal(err)
		}
		if sessions != 1 {
			t.Errorf("%s holds %d sessions, want the one that was kept", relation, sessions)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	apply := func(p rollup.Policies) []string {
		t.Helper()
		if err := rollup.Apply(t.Context(), dbtest.URL(t), &p); err != nil {
			t.Fatal(err)
		}
		rows, err := pool.Query(t.Context(), `
			SELECT proc_name || ' ' || hypertable_name FROM timescaledb_information.jobs
			WHERE job_id >= 1000 AND proc_name LIKE 'policy%' AND hypertable_name IS NOT NULL ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return jobs
	}
	all := apply(rollup.Policies{ColumnstoreAfter: time.Hour, KeepRecords: 90 * 24 * time.Hour, KeepRollups: 900 * 24 * time.Hour, RefreshEvery: time.Hour})
	none := apply(rollup.Policies{})
	if len(none) != 0 {
		t.Errorf("policies are left: %v", none)
	}
	if dbtest.Edition(t, pool) == "apache" {
		if len(all) != 0 {
			t.Errorf("policies on the Apache edition: %v", all)
		}
		return
	}
	if len(all) != 3+2*len(allRollups()) {
		t.Errorf("policies: %v", all)
	}
}

// What is written to goes over a hundred columns when it is analysed: for few records,
// and levels seldom. Chunks that are made later take after the table.
func TestAnalysesAreCheap(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store(t, timeseries.New(pool, timeseries.Options{}), "a", run(rand.New(rand.NewPCG(1, 3)), time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC), 50))
	if err := rollup.Apply(t.Context(), dbtest.URL(t), &rollup.Policies{}); err != nil {
		t.Fatal(err)
	}
	var columns, thorough, often int
	err := pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM pg_attribute a JOIN pg_inherits i ON i.inhrelid = a.attrelid
		        WHERE i.inhparent = 'telemetry'::regclass AND a.attnum > 0),
		       (SELECT count(*) FROM pg_attribute a JOIN pg_inherits i ON i.inhrelid = a.attrelid
		        WHERE i.inhparent = 'telemetry'::regclass AND a.attnum > 0 AND a.attstattarget IS DISTINCT FROM CASE WHEN attname = 'numbers' THEN 0 ELSE 10 END),
		       (SELECT count(*) FROM timescaledb_information.continuous_aggregates c
		        JOIN pg_class t ON t.oid = format('%I.%I', c.materialization_hypertable_schema, c.materialization_hypertable_name)::regclass
		        WHERE 'autovacuum_analyze_scale_factor=1' = ANY(t.reloptions) IS NOT true)`).Scan(&columns, &thorough, &often)
	if err != nil || columns == 0 || thorough > 0 || often > 0 {
		t.Errorf("of %d columns %d, and %d levels: %v", columns, thorough, often, err)
	}
}

// Levels leave out what no run carries. Whatever brings a channel, and whenever, has
// it in them: a batch, a merge, what was set aside, and a version that does not know
// of channels that are left out.
func TestLevelsOfWhatRunsCarry(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	rng := rand.New(rand.NewPCG(32, 0))
	for run := range 10 { // a day each, so that none tells of another's channels
		session, start := fmt.Sprint("run ", run), raceStart.AddDate(0, 0, run)
		records := func(n int) (list []rec) {
			carries := 1 << rng.IntN(4)
			for range n {
				r := rec{"session_id": session, "timestamp": record.FormatTime(start.Add(time.Duration(rng.IntN(120_000)) * time.Millisecond)), "voltage_v": 48}
				if carries&1 != 0 {
					r["speed_ms"] = rng.Float64()
				}
				if carries&2 != 0 {
					r["power_w"] = rng.Float64()
				}
				if carries&4 != 0 {
					r["driver_mode"] = "eco"
				}
				list = append(list, r)
			}
			return list
		}
		for step := range 4 {
			kind := rng.IntN(3)
			if kind > 0 || step == 0 {
				h.insert(records(1 + rng.IntN(20))...)
			} else if _, err := h.store.Merges.Merge(t.Context(), decode.New(strings.NewReader(ndjson(records(5))), decode.Options{}), merge.Options{Session: session, Offset: new(time.Duration)}); err != nil {
				t.Fatal(err)
			}
			if kind == 1 { // stored by a version of before
				if _, err := h.pool.Exec(t.Context(), "UPDATE sessions SET carried = repeat('0', 128)::bit(128), carried_batch = carried_batch - 1 WHERE id = $1", session); err != nil {
					t.Fatal(err)
				}
			}
		}
		if run%5 == 0 {
			h.refresh()
		}
	}
	h.refresh()
	levelsEqualRecords(t, h.pool)
}
