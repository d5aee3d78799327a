package timeseries

import (
	"fmt"
	"strings"
	"time"
)

// Level is a rollup relation: one row per session and bucket of Width, with
// the minimum, maximum, sum and count of every charted metric.
type Level struct {
	Name     string // as series answers name it
	Relation string
	Width    time.Duration
}

// Levels lists the rollups from the finest to the coarsest. Each width is a
// whole multiple of the one before and divides a day, so that a bucket of one
// level holds whole buckets of all finer ones.
//
// The two finest exist for windows from minutes to hours: at a thousand points
// they are too narrow for 10 s and too wide to be read from the records in time.
var Levels = []Level{
	{"1s", "telemetry_1s", time.Second},
	{"5s", "telemetry_5s", 5 * time.Second},
	{"10s", "telemetry_10s", 10 * time.Second},
	{"1m", "telemetry_1m", time.Minute},
	{"10m", "telemetry_10m", 10 * time.Minute},
}

// rollupStates are the text fields whose newest value the rollups keep.
var rollupStates = []string{"motion_state", "driver_mode", "throttle_intensity", "brake_intensity"}

// rollupColumn is one column of every level.
type rollupColumn struct {
	name    string
	raw     string // its expression over telemetry
	coarse  string // its expression over the next finer level
	comment string
}

// rollupColumns gives the columns of the levels behind session and bucket.
func rollupColumns() []rollupColumn {
	columns := []rollupColumn{
		{"records", "count(*)", "sum(records)::bigint", "Records in the bucket, count"},
		{"first_time", "min(time)", "min(first_time)", "Time of the bucket's oldest record, UTC"},
		{"last_time", "max(time)", "max(last_time)", "Time of the bucket's newest record, UTC"},
	}
	for _, name := range rollupStates {
		columns = append(columns, rollupColumn{
			name,
			fmt.Sprintf("last(%s, time)", name),
			fmt.Sprintf("last(%s, last_time)", name),
			"Newest value in the bucket",
		})
	}
	for _, f := range Fields {
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

// rollupDDL gives the statements that make the levels: continuous aggregates,
// each reading the next finer one, or plain views over the records, from which
// PostgreSQL drops the aggregates that a query does not ask for.
//
// There is no first and last of the metrics: they would keep the aggregation
// of the columnstore from being vectorised, which makes a refresh five times
// as long. Reads that need them find them by time in the records.
func rollupDDL(continuous bool) []string {
	columns := rollupColumns()
	var statements []string
	for i, level := range Levels {
		source, timeColumn := "telemetry", "time"
		if continuous && i > 0 {
			source, timeColumn = Levels[i-1].Relation, "bucket"
		}
		var b strings.Builder
		if continuous {
			fmt.Fprintf(&b, "CREATE MATERIALIZED VIEW %s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS\n", level.Relation)
		} else {
			fmt.Fprintf(&b, "CREATE VIEW %s AS\n", level.Relation)
		}
		fmt.Fprintf(&b, "SELECT session, time_bucket(INTERVAL '%d seconds', %s) AS bucket", int(level.Width.Seconds()), timeColumn)
		for _, c := range columns {
			expression := c.raw
			if source != "telemetry" {
				expression = c.coarse
			}
			fmt.Fprintf(&b, ",\n    %s AS %s", expression, c.name)
		}
		fmt.Fprintf(&b, "\nFROM %s\nGROUP BY 1, 2", source)
		if continuous {
			b.WriteString("\nWITH NO DATA")
		}
		statements = append(statements, b.String(), rollupComments(level, columns))
	}
	return statements
}

func rollupComments(level Level, columns []rollupColumn) string {
	var b strings.Builder
	comment := func(column, text string) {
		fmt.Fprintf(&b, "COMMENT ON COLUMN %s.%s IS %s;\n", level.Relation, column, quoteLiteral(text))
	}
	fmt.Fprintf(&b, "COMMENT ON VIEW %s IS %s;\n", level.Relation,
		quoteLiteral(fmt.Sprintf("Records by session and %v: lowest, highest, sum and count of every charted metric", level.Width)))
	comment("session", "The run: sessions.session")
	comment("bucket", "Start of the bucket, UTC")
	for _, c := range columns {
		comment(c.name, c.comment)
	}
	return b.String()
}

func quoteLiteral(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
