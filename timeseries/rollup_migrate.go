package timeseries

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Policies are what the community edition does by itself in the background.
// They have no effect on the Apache edition.
type Policies struct {
	// ColumnstoreAfter moves chunks of records to the columnstore when they are
	// that old. Zero leaves them in the row store.
	ColumnstoreAfter time.Duration
	// KeepRecords drops records, and KeepRollups the rollups, when they are that
	// old. Zero keeps them for ever.
	KeepRecords time.Duration
	KeepRollups time.Duration
	// RefreshEvery adds TimescaleDB's own refresh of the last day's rollups, for
	// databases that are written to while no daemon runs. Zero leaves refreshing
	// to the daemon.
	RefreshEvery time.Duration
}

// DefaultPolicies moves records to the columnstore after two days: by then a
// race is over, and late batches rarely touch it.
var DefaultPolicies = Policies{ColumnstoreAfter: 48 * time.Hour}

// Migrate brings a database to the newest schema: the numbered migrations,
// then the rollups and what builds on them, then the policies; nil leaves those
// as they are. Several instances may call it at once.
func Migrate(ctx context.Context, databaseURL string, policies *Policies) error {
	if err := schema.Migrate(ctx, databaseURL); err != nil {
		return err
	}
	return ApplyRollups(ctx, databaseURL, policies)
}

// ApplyRollups makes the rollups and policies of a migrated database anew if
// the edition of TimescaleDB, the list of fields or the policies changed. No
// data is lost: new rollups read the records until they are refreshed, and
// what a retention policy left only in the old rollups is carried over.
func ApplyRollups(ctx context.Context, databaseURL string, policies *Policies) error {
	continuous, err := editionOf(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("apply rollups: %w", err)
	}
	groups, err := repeatables(continuous, policies)
	if err != nil {
		return err
	}
	return schema.ApplyRepeatables(ctx, databaseURL, groups)
}

// Migrated reports whether Migrate has nothing to do.
func Migrated(ctx context.Context, conn *pgx.Conn, policies *Policies) (bool, error) {
	current, err := schema.UpToDate(ctx, conn)
	if err != nil || !current {
		return false, err
	}
	continuous, err := hasContinuousAggregates(ctx, conn)
	if err != nil {
		return false, err
	}
	groups, err := repeatables(continuous, policies)
	if err != nil {
		return false, err
	}
	return schema.RepeatablesCurrent(ctx, conn, groups)
}

// repeatables are the groups of objects that are made anew when they change.
func repeatables(continuous bool, policies *Policies) ([]schema.Repeatable, error) {
	ddl := rollupDDL(continuous)
	groups := []schema.Repeatable{{
		Name:       "rollups",
		Definition: strings.Join(ddl, ";\n"),
		Make: func(ctx context.Context, tx pgx.Tx) error {
			return makeRollups(ctx, tx, continuous, ddl)
		},
	}, analystViews()}
	files, err := schema.RepeatableFiles()
	if err != nil {
		return nil, err
	}
	groups = append(groups, files...)
	if policies != nil {
		groups = append(groups, schema.Repeatable{
			Name:       "policies",
			Definition: fmt.Sprintf("%t %+v", continuous, *policies),
			Make: func(ctx context.Context, tx pgx.Tx) error {
				if !continuous {
					return nil
				}
				return makePolicies(ctx, tx, *policies)
			},
		})
	}
	return groups, nil
}

func editionOf(ctx context.Context, databaseURL string) (continuous bool, err error) {
	config, err := schema.ParseURL(databaseURL)
	if err != nil {
		return false, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return hasContinuousAggregates(ctx, conn)
}

// hasContinuousAggregates tells the community edition of TimescaleDB, which has
// continuous aggregates and the columnstore, from the Apache edition.
func hasContinuousAggregates(ctx context.Context, q querier) (bool, error) {
	var license string
	if err := q.QueryRow(ctx, "SELECT current_setting('timescaledb.license')").Scan(&license); err != nil {
		return false, fmt.Errorf("which edition of TimescaleDB: %w", err)
	}
	return license == "timescale", nil
}

// makeRollups replaces the levels, whichever kind they were.
func makeRollups(ctx context.Context, tx pgx.Tx, continuous bool, ddl []string) error {
	kept, err := keepOrphans(ctx, tx)
	if err != nil {
		return fmt.Errorf("keep rollups whose records are gone: %w", err)
	}
	for _, r := range slices.Backward(rollups()) {
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+r.plainTable()); err != nil {
			return err
		}
		if err := dropRollup(ctx, tx, r.relation); err != nil {
			return err
		}
	}
	for _, statement := range ddl {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	// From here on nothing is in the rollups: every session is refreshed anew.
	if _, err := tx.Exec(ctx, "TRUNCATE rollup_progress, rollup_dirty"); err != nil {
		return err
	}
	if !continuous {
		return nil
	}
	return restoreOrphans(ctx, tx, kept)
}

func dropRollup(ctx context.Context, tx pgx.Tx, relation string) error {
	materialized, _, err := materialization(ctx, tx, relation)
	if err != nil {
		return err
	}
	kind := "VIEW"
	if materialized != "" {
		kind = "MATERIALIZED VIEW"
	}
	// CASCADE takes what builds on it; those are repeatable objects as well,
	// and made again after the rollups.
	_, err = tx.Exec(ctx, fmt.Sprintf("DROP %s IF EXISTS %s CASCADE", kind, relation))
	return err
}

// materialization finds the hypertable behind a continuous aggregate, quoted;
// "" when the relation is none.
func materialization(ctx context.Context, q querier, relation string) (table string, columns []string, err error) {
	err = q.QueryRow(ctx, `
		SELECT format('%I.%I', c.materialization_hypertable_schema, c.materialization_hypertable_name),
		       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
		        WHERE a.attrelid = format('%I.%I', c.materialization_hypertable_schema, c.materialization_hypertable_name)::regclass
		          AND a.attnum > 0 AND NOT a.attisdropped)
		FROM timescaledb_information.continuous_aggregates c
		WHERE c.view_name = $1 AND c.view_schema = current_schema()`, relation).Scan(&table, &columns)
	if err == pgx.ErrNoRows {
		return "", nil, nil
	}
	return table, columns, err
}

// orphans are the rows of one rollup whose records a retention policy dropped.
type orphans struct {
	table   string // a temporary table
	columns []string
}

// keepOrphans copies aside what only the old rollups know. Without a retention
// policy that is nothing.
func keepOrphans(ctx context.Context, tx pgx.Tx) (map[string]orphans, error) {
	kept := map[string]orphans{}
	for _, r := range rollups() {
		table, columns, err := materialization(ctx, tx, r.relation)
		if err != nil {
			return nil, err
		}
		if table == "" {
			continue
		}
		keep := "kept_" + r.relation
		tag, err := tx.Exec(ctx, fmt.Sprintf(`
			CREATE TEMP TABLE %s ON COMMIT DROP AS
			SELECT * FROM %s m
			WHERE m.bucket + $1::interval <= coalesce(
				(SELECT min(range_start) FROM timescaledb_information.chunks
				 WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()), 'infinity')
			  AND EXISTS (SELECT FROM timescaledb_information.chunks
				 WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema())`, keep, table), r.width)
		if err != nil {
			return nil, err
		}
		if tag.RowsAffected() > 0 {
			kept[r.relation] = orphans{keep, columns}
		}
	}
	return kept, nil
}

// restoreOrphans puts what keepOrphans found under the new rollups, as far as
// both know a column.
func restoreOrphans(ctx context.Context, tx pgx.Tx, kept map[string]orphans) error {
	for relation, old := range kept {
		table, columns, err := materialization(ctx, tx, relation)
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, c := range old.columns {
			known[c] = true
		}
		var both []string
		for _, c := range columns {
			if known[c] {
				both = append(both, c)
			}
		}
		list := strings.Join(both, ", ")
		if _, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", table, list, list, old.table)); err != nil {
			return fmt.Errorf("carry over rollups whose records are gone: %w", err)
		}
	}
	return nil
}

// makePolicies sets up the columnstore and the background policies.
func makePolicies(ctx context.Context, tx pgx.Tx, p Policies) error {
	var enabled bool
	err := tx.QueryRow(ctx, `
		SELECT compression_enabled FROM timescaledb_information.hypertables
		WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()`).Scan(&enabled)
	if err != nil {
		return err
	}
	var statements []string
	if !enabled {
		statements = append(statements, `ALTER TABLE telemetry SET (
			timescaledb.compress, timescaledb.compress_segmentby = 'session', timescaledb.compress_orderby = 'time, batch, ord')`)
	}
	statements = append(statements,
		"SELECT remove_compression_policy('telemetry', if_exists => true)",
		"SELECT remove_retention_policy('telemetry', if_exists => true)")
	if p.ColumnstoreAfter > 0 {
		statements = append(statements, fmt.Sprintf("SELECT add_compression_policy('telemetry', compress_after => %s)", interval(p.ColumnstoreAfter)))
	}
	if p.KeepRecords > 0 {
		statements = append(statements, fmt.Sprintf("SELECT add_retention_policy('telemetry', drop_after => %s)", interval(p.KeepRecords)))
	}
	for _, r := range rollups() {
		statements = append(statements,
			fmt.Sprintf("SELECT remove_continuous_aggregate_policy('%s', if_exists => true)", r.relation),
			fmt.Sprintf("SELECT remove_retention_policy('%s', if_exists => true)", r.relation))
		if p.RefreshEvery > 0 {
			// The window must not reach back to where retention dropped records:
			// a refresh there would erase the rollups as well.
			start := 24 * time.Hour
			if p.KeepRecords > 0 {
				start = min(start, p.KeepRecords/2)
			}
			start = max(start, 4*r.width)
			statements = append(statements, fmt.Sprintf(
				"SELECT add_continuous_aggregate_policy('%s', start_offset => %s, end_offset => %s, schedule_interval => %s)",
				r.relation, interval(start), interval(r.width), interval(p.RefreshEvery)))
		}
		if p.KeepRollups > 0 {
			statements = append(statements, fmt.Sprintf("SELECT add_retention_policy('%s', drop_after => %s)", r.relation, interval(p.KeepRollups)))
		}
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func interval(d time.Duration) string {
	return fmt.Sprintf("INTERVAL '%d microseconds'", d.Microseconds())
}
