package rollup

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// analystViews are the views of schema analytics whose columns follow the list
// of fields: the records themselves, and a series for each level with means in
// place of sums. The other views are in sql/repeatable.
func analystViews() schema.Repeatable {
	statements := []string{"DROP VIEW IF EXISTS analytics.records CASCADE", recordsView(nil), gapFunction()}
	statements = append(statements, recordsComments()...)
	for _, level := range Levels {
		statements = append(statements, seriesView(level)...)
	}
	statements = append(statements, grantLevels())
	return schema.Repeatable{
		Name:       "analyst views",
		Definition: strings.Join(statements, ";\n"),
		Make: func(ctx context.Context, tx pgx.Tx) error {
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// grantLevels lets analysts read the rollups themselves too.
func grantLevels() string {
	var names []string
	for _, r := range relations() {
		names = append(names, r.name)
	}
	return fmt.Sprintf(`DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'telemetry_analyst') THEN
        GRANT SELECT ON member_places, %s TO telemetry_analyst;
    END IF;
END
$$`, strings.Join(names, ", "))
}

// gapFunction is channel.GapAfter for analysts.
func gapFunction() string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION analytics.gap_after(step_s double precision) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT make_interval(secs => greatest(%v, %d * coalesce(step_s, 0)))';
COMMENT ON FUNCTION analytics.gap_after(double precision) IS
'How long a channel, or a run, with that usual step (s) may be silent before that is a gap'`, channel.GapLeast.Seconds(), channel.GapSteps)
}

// recordsView makes the view of the records, with channels that are members of them
// behind everything else.
func recordsView(members []channel.Channel) string {
	var view strings.Builder
	view.WriteString(`CREATE OR REPLACE VIEW analytics.records AS
SELECT s.id AS session_id,
       t.time`)
	for _, c := range channel.All {
		fmt.Fprintf(&view, ",\n       t.%s", c.Name)
	}
	view.WriteString(`,
       record_members(t.numbers, t.extra) AS extra,
       t.batch,
       t.ord`)
	for _, c := range members {
		fmt.Fprintf(&view, ",\n       %s AS %s", c.SQL(), c.Name)
	}
	view.WriteString(`
FROM telemetry t
JOIN sessions s ON s.session = t.session
WHERE s.deleted_at IS NULL`)
	return view.String()
}

func recordsComments() []string {
	comments := []string{
		comment("VIEW analytics.records", "Every record as it was stored, one row each, with the session's text id", ""),
		comment("COLUMN analytics.records.session_id", "Id of the run, as in analytics.sessions", ""),
		comment("COLUMN analytics.records.time", "When the vehicle measured, UTC, microseconds", ""),
		comment("COLUMN analytics.records.extra", "Members of the record that have no column of the table", ""),
		comment("COLUMN analytics.records.batch", "Which upload of the run brought the record; (batch, ord) is the order of insertion", ""),
		comment("COLUMN analytics.records.ord", "Place in the upload, from 0", ""),
	}
	for _, c := range channel.All {
		comments = append(comments, comment("COLUMN analytics.records."+c.Name, c.Meaning, c.Unit))
	}
	return comments
}

// seriesView makes the view of one level, such as series_10s over telemetry_10s.
func seriesView(level Level) []string {
	name := "analytics." + strings.Replace(level.Relation, "telemetry", "series", 1)
	var view strings.Builder
	fmt.Fprintf(&view, `DROP VIEW IF EXISTS %[1]s CASCADE;
CREATE VIEW %[1]s AS
SELECT s.id AS session_id,
       r.bucket,
       r.records`, name)
	comments := []string{
		comment("VIEW "+name, fmt.Sprintf("Lowest, mean and highest value of each field in buckets of %s; count is the number of records that had it", level.Width), ""),
		comment("COLUMN "+name+".session_id", "Id of the run, as in analytics.sessions", ""),
		comment("COLUMN "+name+".bucket", "Start of the bucket, UTC", ""),
		comment("COLUMN "+name+".records", "Records in the bucket, count", ""),
	}
	for _, c := range channel.All {
		if !c.Charted {
			continue
		}
		fmt.Fprintf(&view, ",\n       r.%[1]s_min,\n       r.%[1]s_sum / nullif(r.%[1]s_count, 0) AS %[1]s_avg,\n       r.%[1]s_max,\n       r.%[1]s_count", c.Name)
		column := "COLUMN " + name + "." + c.Name
		comments = append(comments,
			comment(column+"_min", c.Meaning+": lowest in the bucket", c.Unit),
			comment(column+"_avg", c.Meaning+": mean over the bucket", c.Unit),
			comment(column+"_max", c.Meaning+": highest in the bucket", c.Unit),
			comment(column+"_count", c.Meaning+": records that had it", "count"))
	}
	fmt.Fprintf(&view, `
FROM %s r
JOIN sessions s ON s.session = r.session
WHERE s.deleted_at IS NULL`, level.Relation)
	return append([]string{view.String()}, comments...)
}
