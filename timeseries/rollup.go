package timeseries

import (
	"fmt"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Level is a rollup relation: one row per session and bucket of Width, with
// the minimum, maximum, sum and count of every charted metric.
type Level struct {
	Name     string // as series answers name it
	Relation string
	Width    time.Duration
	// States is the relation of the newest text states in each bucket; "" where
	// the next finer level's serve.
	States string
}

// Levels lists the rollups from the finest to the coarsest. Each width is a
// whole multiple of the one before and divides a day, so that a bucket of one
// level holds whole buckets of all finer ones.
//
// The two finest exist for windows from minutes to hours: at a thousand points
// they are too narrow for 10 s and too wide to be read from the records in time.
var Levels = []Level{
	{"1s", "telemetry_1s", time.Second, "telemetry_states_1s"},
	{"5s", "telemetry_5s", 5 * time.Second, ""},
	{"10s", "telemetry_10s", 10 * time.Second, "telemetry_states_10s"},
	{"1m", "telemetry_1m", time.Minute, "telemetry_states_1m"},
	{"10m", "telemetry_10m", 10 * time.Minute, "telemetry_states_10m"},
}

// rollupStates are the text fields whose newest value the rollups keep.
var rollupStates = []string{"motion_state", "driver_mode", "throttle_intensity", "brake_intensity"}

// rollup is one relation that is made from the records.
type rollup struct {
	relation string
	width    time.Duration
	// finer is the relation that it is aggregated from where rollups are stored;
	// "" is the records.
	finer   string
	comment string
	columns []rollupColumn
}

// rollups lists all relations, each behind the one that it reads. States have
// their own: an aggregate that takes the newest text keeps TimescaleDB from
// aggregating whole vectors of the columnstore, and a refresh would take three
// times as long for all metrics.
func rollups() []rollup {
	var list []rollup
	finer := ""
	for _, level := range Levels {
		list = append(list, rollup{level.Relation, level.Width, finer,
			fmt.Sprintf("Records by session and %v: lowest, highest, sum and count of every charted metric", level.Width), metricColumns()})
		finer = level.Relation
	}
	finer = ""
	for _, level := range Levels {
		if level.States == "" {
			continue
		}
		list = append(list, rollup{level.States, level.Width, finer,
			fmt.Sprintf("Records by session and %v: the newest of each text state", level.Width), stateColumns()})
		finer = level.States
	}
	return list
}

// rollupColumn is one column of every level.
type rollupColumn struct {
	name    string
	raw     string // its expression over telemetry
	coarse  string // its expression over the next finer level
	comment string
}

// stateColumns gives the columns of states behind session and bucket.
func stateColumns() []rollupColumn {
	var columns []rollupColumn
	for _, name := range rollupStates {
		columns = append(columns, rollupColumn{
			name,
			fmt.Sprintf("last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", name),
			fmt.Sprintf("last(%[1]s, bucket) FILTER (WHERE %[1]s IS NOT NULL)", name),
			"Newest value in the bucket",
		})
	}
	return columns
}

// metricColumns gives the columns of a level behind session and bucket.
func metricColumns() []rollupColumn {
	columns := []rollupColumn{
		{"records", "count(*)", "sum(records)::bigint", "Records in the bucket, count"},
		{"first_time", "min(time)", "min(first_time)", "Time of the bucket's oldest record, UTC"},
		{"last_time", "max(time)", "max(last_time)", "Time of the bucket's newest record, UTC"},
	}
	for _, f := range channel.All {
		if !f.Charted {
			continue
		}
		column := func(name, raw, coarse, meaning, unit string) {
			if unit != "" {
				meaning += ", " + unit
			}
			columns = append(columns, rollupColumn{f.Name + name, fmt.Sprintf(raw, f.Name), fmt.Sprintf(coarse, f.Name+name), f.Meaning + ": " + meaning})
		}
		column("_min", "min(%s)", "min(%s)", "lowest", f.Unit)
		column("_max", "max(%s)", "max(%s)", "highest", f.Unit)
		column("_sum", "sum(%s)", "sum(%s)", "sum; the mean is sum / count", f.Unit)
		column("_count", "count(%s)", "sum(%s)::bigint", "records that have it, count", "")
	}
	return columns
}

// rollupDDL gives the statements that make the rollups: continuous aggregates,
// each reading the next finer one; or, on the Apache edition, plain views over
// the records, from which PostgreSQL drops the aggregates that a query does not
// ask for, and tables for the refresher to fill.
//
// There is no first and last of the metrics, for the same reason that states
// have relations of their own. Reads that need them find them by time in the
// records.
func rollupDDL(continuous bool) []string {
	var statements []string
	for _, r := range rollups() {
		if continuous {
			statements = append(statements, fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS\n%s\nWITH NO DATA",
				r.relation, r.query(r.finer, "")))
		} else {
			statements = append(statements, fmt.Sprintf("CREATE VIEW %s AS\n%s", r.relation, r.query("", "")))
		}
		statements = append(statements, rollupComments("VIEW", r.relation, r))
	}
	if !continuous {
		for _, r := range plainRollups() {
			table := r.plainTable()
			statements = append(statements, fmt.Sprintf("CREATE TABLE %[1]s AS SELECT * FROM %[2]s WITH NO DATA;\n"+
				"CREATE UNIQUE INDEX ON %[1]s (session, bucket);\nCREATE INDEX ON %[1]s (bucket)", table, r.relation))
			statements = append(statements, rollupComments("TABLE", table, r))
		}
	}
	return statements
}

// query aggregates the records, or the finer rollup that is named. where may
// bound %s, the column of time.
func (r rollup) query(finer, where string) string {
	source, timeColumn := "telemetry", "time"
	if finer != "" {
		source, timeColumn = finer, "bucket"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SELECT session, time_bucket(INTERVAL '%d seconds', %s) AS bucket", int(r.width.Seconds()), timeColumn)
	for _, c := range r.columns {
		expression := c.raw
		if finer != "" {
			expression = c.coarse
		}
		fmt.Fprintf(&b, ",\n    %s AS %s", expression, c.name)
	}
	fmt.Fprintf(&b, "\nFROM %s\n%sGROUP BY 1, 2", source, strings.ReplaceAll(where, "%s", timeColumn))
	return b.String()
}

// plainFinest is the finest level that is stored on the Apache edition, where
// the rollups are tables of ours. Without the columnstore finer ones would take
// too long to fill, and narrower buckets are read from the records soon enough.
const plainFinest = 10 * time.Second

// plainRollups lists the rollups that have a table on the Apache edition.
func plainRollups() []rollup {
	var list []rollup
	stored := map[string]bool{}
	for _, r := range rollups() {
		if r.width < plainFinest {
			continue
		}
		if !stored[r.finer] {
			r.finer = ""
		}
		stored[r.relation] = true
		list = append(list, r)
	}
	return list
}

// plainTable is the table of a rollup on the Apache edition. Its view shows the
// records as they are; what the refresher has put into the table serves series.
func (r rollup) plainTable() string { return plainTable(r.relation) }

func plainTable(relation string) string { return relation + "_stored" }

func rollupComments(kind, relation string, r rollup) string {
	var b strings.Builder
	comment := func(column, text string) {
		fmt.Fprintf(&b, "COMMENT ON COLUMN %s.%s IS %s;\n", relation, column, quoteLiteral(text))
	}
	fmt.Fprintf(&b, "COMMENT ON %s %s IS %s;\n", kind, relation, quoteLiteral(r.comment))
	comment("session", "The run: sessions.session")
	comment("bucket", "Start of the bucket, UTC")
	for _, c := range r.columns {
		comment(c.name, c.comment)
	}
	return b.String()
}

func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
