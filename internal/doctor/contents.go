package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// named is how many of a kind are named.
const named = 5

// Contents looks at what is in a migrated database: jobs that fail, chunks that
// hold no records, records that were set aside, channels without levels. It finds nothing in one that is
// not at this version's schema. The error says that it could not be asked.
func Contents(ctx context.Context, db schema.Querier) (findings []Finding, err error) {
	for _, look := range []func(context.Context, schema.Querier) (Finding, error){jobs, chunks, setAside, drawnSlowly} {
		finding, err := look(ctx, db)
		switch {
		case schema.HasCode(err, pgerrcode.UndefinedTable, pgerrcode.InvalidSchemaName): // before the migration
		case err != nil:
			return nil, fmt.Errorf("look at what is in the database: %w", err)
		case finding.Subject != "":
			findings = append(findings, finding)
		}
	}
	return findings, nil
}

// jobs finds TimescaleDB's background jobs whose last run failed. The Apache
// edition schedules one of its own that it does not permit.
func jobs(ctx context.Context, db schema.Querier) (finding Finding, err error) {
	rows, err := db.Query(ctx, `
		SELECT concat_ws(' of ', j.application_name, j.hypertable_name), s.total_failures,
		       coalesce((SELECT e.err_message FROM timescaledb_information.job_errors e WHERE e.job_id = j.job_id ORDER BY e.finish_time DESC LIMIT 1), 'see the server''s log')
		FROM timescaledb_information.jobs j
		JOIN timescaledb_information.job_stats s USING (job_id)
		WHERE j.scheduled AND s.last_run_status = 'Failed'
		  AND NOT (j.proc_name = 'policy_job_stat_history_retention' AND current_setting('timescaledb.license') = 'apache')
		ORDER BY j.job_id`)
	if err != nil {
		return finding, err
	}
	var failing []string
	var name, why string
	var failures int64
	_, err = pgx.ForEachRow(rows, []any{&name, &failures, &why}, func() error {
		failing = append(failing, fmt.Sprintf("%s failed, %d times by now: %s", name, failures, why))
		return nil
	})
	if len(failing) > 0 {
		finding = Finding{Subject: "Jobs", Level: Warning, Found: list(failing), Advice: "Mend the reason; TimescaleDB tries again by itself"}
	}
	return finding, err
}

// chunks finds those of the records that hold none.
func chunks(ctx context.Context, db schema.Querier) (finding Finding, err error) {
	type chunk struct {
		Name string
		From time.Time
	}
	all, err := schema.List(ctx, db, pgx.RowToStructByPos[chunk], `
		SELECT format('%I.%I', chunk_schema, chunk_name), range_start
		FROM timescaledb_information.chunks
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()
		ORDER BY range_start`)
	if err != nil {
		return finding, err
	}
	var empty []string
	for _, c := range all {
		var none bool
		err := db.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM "+c.Name+")").Scan(&none)
		if schema.HasCode(err, pgerrcode.UndefinedTable) {
			continue // it was dropped meanwhile
		}
		if err != nil {
			return finding, err
		}
		if none {
			empty = append(empty, c.From.UTC().Format(time.DateOnly))
		}
	}
	if len(empty) > 0 {
		finding = Finding{
			Subject: "Chunks", Level: Warning, Found: fmt.Sprintf("%d of %d hold no records: %s", len(empty), len(all), list(empty)),
			Advice: "A running daemon drops those that a deletion left, in a moment; let it look for all: INSERT INTO emptied (from_time, to_time) VALUES ('-infinity', 'infinity')",
		}
	}
	return finding, nil
}

// setAside finds records whose time cannot be right.
func setAside(ctx context.Context, db schema.Querier) (finding Finding, err error) {
	var records int64
	var runs []string
	err = db.QueryRow(ctx, `
		SELECT coalesce(sum(set_aside), 0)::bigint, coalesce(array_agg(id ORDER BY set_aside DESC, id), '{}')
		FROM sessions
		WHERE set_aside > 0 AND deleted_at IS NULL`).Scan(&records, &runs)
	if schema.HasCode(err, pgerrcode.UndefinedColumn) { // of an earlier version
		return finding, nil
	}
	if err == nil && records > 0 {
		finding = Finding{
			Subject: "Set aside", Level: Warning, Found: fmt.Sprintf("%d records whose time cannot be right, in the runs %s", records, list(runs)),
			Advice: "Look at them by telemetryd export --set-aside, and put them back or drop them by telemetryd repair",
		}
	}
	return finding, err
}

// drawnSlowly finds runs with more channels of their own than have levels.
func drawnSlowly(ctx context.Context, db schema.Querier) (finding Finding, err error) {
	runs, err := schema.List(ctx, db, pgx.RowTo[string], `
		SELECT s.id
		FROM sessions s
		JOIN member_level_progress p ON p.session = s.session AND p.batch = s.batch
		JOIN session_members m ON m.session = s.session AND m.numbers > 0
		LEFT JOIN level_members l ON l.session = m.session AND l.member = m.member
		WHERE s.deleted_at IS NULL
		GROUP BY s.session, s.id
		HAVING count(*) > count(l.member)
		ORDER BY count(*) - count(l.member) DESC, s.id`)
	if err == nil && len(runs) > 0 {
		finding = Finding{
			Subject: "Channels", Level: Warning, Found: "more than have levels, in the runs " + list(runs),
			Advice: "Nothing is lost: charts of the further ones are made from the records, which takes longer. Send fewer, or in several runs",
		}
	}
	return finding, err
}

// list names the first ones.
func list(all []string) string {
	if more := len(all) - named; more > 0 {
		all = append(slices.Clone(all[:named]), fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}
