package rollup

import (
	"fmt"
	"slices"
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
	// Edges tells that the level serves what whole buckets of coarser levels
	// leave of a window. Not every one does: each segment of a window is a query,
	// and a few more rows cost less.
	Edges bool
	// Ends tells that the first and the last record of its buckets are kept.
	Ends bool
}

// Levels lists the rollups from the finest to the coarsest. Each width is a
// whole multiple of the one before and divides a day, so that a bucket of one
// level holds whole buckets of all finer ones.
//
// The two finest exist for windows from minutes to hours: at a thousand points
// they are too narrow for 10 s and too wide to be read from the records in time.
var Levels = []Level{
	{Name: "1s", Relation: "telemetry_1s", Width: time.Second, States: "telemetry_states_1s", Ends: true},
	{Name: "5s", Relation: "telemetry_5s", Width: 5 * time.Second},
	{Name: "10s", Relation: "telemetry_10s", Width: 10 * time.Second, States: "telemetry_states_10s", Edges: true, Ends: true},
	{Name: "1m", Relation: "telemetry_1m", Width: time.Minute, States: "telemetry_states_1m"},
	{Name: "10m", Relation: "telemetry_10m", Width: 10 * time.Minute, States: "telemetry_states_10m"},
}

// States are the text channels whose newest value the rollups keep.
var States = []string{"motion_state", "driver_mode", "throttle_intensity", "brake_intensity"}

// IsState reports whether series show the channel as a state.
func IsState(c channel.Channel) bool {
	return c.Type == channel.Text && (!c.HasColumn() || slices.Contains(States, c.Name))
}

// relation is one relation that is made from the records.
type relation struct {
	name  string
	width time.Duration
	// finer is the relation that it is aggregated from where rollups are stored;
	// "" is the records.
	finer   string
	comment string
	columns []column
}

// timeColumn is its column of time.
func (r relation) timeColumn() string {
	if r.name == EndsTable {
		return "time"
	}
	return "bucket"
}

// column is one column of a relation, behind session and bucket.
type column struct {
	channel string // that it tells of; "" for all of a record
	name    string
	raw     string // its expression over telemetry
	coarse  string // its expression over the next finer level
	comment string
}

// relations lists all of them, each behind the one that it reads. States have
// their own: an aggregate that takes the newest text keeps TimescaleDB from
// aggregating whole vectors of the columnstore, and a refresh would take three
// times as long for all metrics.
func relations() []relation {
	var list []relation
	finer := ""
	for _, level := range Levels {
		list = append(list, relation{level.Relation, level.Width, finer,
			fmt.Sprintf("Records by session and %v: lowest, highest, sum and count of every charted metric", level.Width), metricColumns()})
		finer = level.Relation
	}
	finer = ""
	for _, level := range Levels {
		if level.States == "" {
			continue
		}
		list = append(list, relation{level.States, level.Width, finer,
			fmt.Sprintf("Records by session and %v: the newest of each text state", level.Width), stateColumns()})
		finer = level.States
	}
	return list
}

// plainFinest is the finest level that is stored on the Apache edition, where
// the rollups are tables of ours. Without the columnstore finer ones would take
// too long to fill, and narrower buckets are read from the records soon enough.
const plainFinest = 10 * time.Second

// plainRelations lists the relations that have a table on the Apache edition.
func plainRelations() []relation {
	var list []relation
	stored := map[string]bool{}
	for _, r := range relations() {
		if r.width < plainFinest {
			continue
		}
		if !stored[r.finer] {
			r.finer = ""
		}
		stored[r.name] = true
		list = append(list, r)
	}
	return list
}

// plainTable is the table of a relation on the Apache edition. Its view shows
// the records as they are; what the refresher has put into the table serves series.
func plainTable(relation string) string { return relation + "_stored" }

func stateColumns() []column {
	var columns []column
	for _, name := range States {
		columns = append(columns, column{
			name,
			name,
			fmt.Sprintf("last(%[1]s, time) FILTER (WHERE %[1]s IS NOT NULL)", name),
			fmt.Sprintf("last(%[1]s, bucket) FILTER (WHERE %[1]s IS NOT NULL)", name),
			"Newest value in the bucket",
		})
	}
	return columns
}

func metricColumns() []column {
	columns := []column{
		{"", "records", "count(*)", "sum(records)::bigint", "Records in the bucket, count"},
		{"", "first_time", "min(time)", "min(first_time)", "Time of the bucket's oldest record, UTC"},
		{"", "last_time", "max(time)", "max(last_time)", "Time of the bucket's newest record, UTC"},
	}
	for _, c := range channel.All {
		if !c.Charted {
			continue
		}
		add := func(suffix, raw, coarse, meaning, unit string) {
			if unit != "" {
				meaning += ", " + unit
			}
			columns = append(columns, column{c.Name, c.Name + suffix, fmt.Sprintf(raw, c.Name), fmt.Sprintf(coarse, c.Name+suffix), c.Meaning + ": " + meaning})
		}
		add("_min", "min(%s)", "min(%s)", "lowest", c.Unit)
		add("_max", "max(%s)", "max(%s)", "highest", c.Unit)
		add("_sum", "sum(%s)", "sum(%s)", "sum; the mean is sum / count", c.Unit)
		add("_count", "count(%s)", "sum(%s)::bigint", "records that have it, count", "")
	}
	return columns
}
