package rollup

import (
	"fmt"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// ddl returns the statements that make the rollups: continuous aggregates,
// each reading the next finer one; or, on the Apache edition, plain views over
// the records, from which PostgreSQL drops the aggregates that a query does not
// ask for, and tables for the refresher to fill.
//
// There is no first and last of the metrics, for the same reason that states
// have relations of their own: see EndsTable.
func ddl(continuous bool) []string {
	var statements []string
	for _, r := range relations() {
		if continuous {
			statements = append(statements, fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS\n%s\nWITH NO DATA",
				r.name, r.query(r.finer, "")))
		} else {
			statements = append(statements, fmt.Sprintf("CREATE VIEW %s AS\n%s", r.name, r.query("", "")))
		}
		statements = append(statements, r.comments("VIEW", r.name))
	}
	if !continuous {
		for _, r := range plainRelations() {
			table := plainTable(r.name)
			statements = append(statements, fmt.Sprintf("CREATE TABLE %[1]s AS SELECT * FROM %[2]s WITH NO DATA;\n"+
				"CREATE UNIQUE INDEX ON %[1]s (session, bucket);\nCREATE INDEX ON %[1]s (bucket)", table, r.name))
			statements = append(statements, r.comments("TABLE", table))
		}
	}
	return append(statements, endsDDL()...)
}

// of is the relation with the columns of nothing but those channels. Records that
// carry another are counted as none; the rest of it is NULL.
func (r relation) of(channels record.Mask) relation {
	all := r.columns
	r.columns = nil
	for _, c := range all {
		i, ok := channel.Index(c.channel)
		switch {
		case !ok || channels.Has(i):
			r.columns = append(r.columns, c)
		case c.name == c.channel+"_count":
			r.columns = append(r.columns, column{name: c.name, raw: "0", coarse: "0"})
		}
	}
	return r
}

// query aggregates the records, or the finer relation that is named. where may
// bound %s, the column of time.
func (r relation) query(finer, where string) string {
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

// comments returns the statements that say what the relation and its columns
// are, where it is made under that name.
func (r relation) comments(kind, name string) string {
	statements := []string{
		comment(kind+" "+name, r.comment, ""),
		comment("COLUMN "+name+".session", "The run: sessions.session", ""),
		comment("COLUMN "+name+".bucket", "Start of the bucket, UTC", ""),
	}
	for _, c := range r.columns {
		statements = append(statements, comment("COLUMN "+name+"."+c.name, c.comment, ""))
	}
	return strings.Join(statements, ";\n") + ";\n"
}

// comment writes COMMENT ON, with the unit where there is one.
func comment(object, meaning, unit string) string {
	if unit != "" {
		meaning += ", " + unit
	}
	return "COMMENT ON " + object + " IS " + channel.Literal(meaning)
}
