package rollup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// Migrate brings a database to the newest schema: the numbered migrations,
// then what Apply makes. Several instances may call it at once.
func Migrate(ctx context.Context, databaseURL string, policies *Policies) error {
	if err := schema.Migrate(ctx, databaseURL); err != nil {
		return err
	}
	return Apply(ctx, databaseURL, policies)
}

// Apply makes the rollups, the views that build on them and the policies of a
// migrated database anew if the edition of TimescaleDB, the list of channels or
// the policies changed; nil leaves the policies as they are. No data is lost:
// new rollups read the records until they are refreshed, and what a retention
// policy left only in the old rollups is carried over.
func Apply(ctx context.Context, databaseURL string, policies *Policies) error {
	continuous, err := editionOf(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("apply rollups: %w", err)
	}
	groups, err := Objects(continuous, policies)
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
	groups, err := Objects(continuous, policies)
	if err != nil {
		return false, err
	}
	return schema.RepeatablesCurrent(ctx, conn, groups)
}

// Objects returns the groups of objects that Apply makes, for the community
// edition's continuous aggregates or for the Apache edition.
func Objects(continuous bool, policies *Policies) ([]schema.Repeatable, error) {
	statements := ddl(continuous)
	groups := []schema.Repeatable{{
		Name:       "rollups",
		Definition: strings.Join(statements, ";\n"),
		Make: func(ctx context.Context, tx pgx.Tx) error {
			return makeRollups(ctx, tx, continuous, statements)
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
			Definition: fmt.Sprintf("%t %+v %s", continuous, *policies, seldomAnalysed),
			Make: func(ctx context.Context, tx pgx.Tx) error {
				if !continuous {
					return nil
				}
				return makePolicies(ctx, tx, *policies)
			},
		})
	}
	return append(groups, registry.Objects()), nil
}

func editionOf(ctx context.Context, databaseURL string) (continuous bool, err error) {
	conn, err := schema.Connect(ctx, databaseURL)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return hasContinuousAggregates(ctx, conn)
}

// hasContinuousAggregates tells the community edition of TimescaleDB, which has
// continuous aggregates and the columnstore, from the Apache edition.
func hasContinuousAggregates(ctx context.Context, q schema.Querier) (bool, error) {
	var license string
	if err := q.QueryRow(ctx, "SELECT current_setting('timescaledb.license')").Scan(&license); err != nil {
		return false, fmt.Errorf("which edition of TimescaleDB: %w", err)
	}
	return license == "timescale", nil
}

// makeRollups replaces the levels, whichever kind they were.
func makeRollups(ctx context.Context, tx pgx.Tx, continuous bool, statements []string) error {
	kept, err := keepOrphans(ctx, tx)
	if err != nil {
		return fmt.Errorf("keep rollups whose records are gone: %w", err)
	}
	if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+EndsTable); err != nil {
		return err
	}
	for _, r := range slices.Backward(relations()) {
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+plainTable(r.name)); err != nil {
			return err
		}
		if err := dropRollup(ctx, tx, r.name); err != nil {
			return err
		}
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	// From here on nothing is in the rollups: every session is refreshed anew.
	_, err = tx.Exec(ctx, "INSERT INTO emptied (from_time, to_time) SELECT from_time, to_time FROM rollup_dirty; TRUNCATE rollup_progress, rollup_dirty")
	if err != nil {
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
func materialization(ctx context.Context, q schema.Querier, relation string) (table string, columns []string, err error) {
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

// ofRecords finds the table behind what is made from the records, and its columns; ""
// where there is none.
func ofRecords(ctx context.Context, q schema.Querier, name string) (table string, columns []string, err error) {
	if name != EndsTable {
		return materialization(ctx, q, name)
	}
	err = q.QueryRow(ctx, `
		SELECT coalesce(to_regclass($1)::text, ''), (
			SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped)`, name).Scan(&table, &columns)
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
	for _, r := range append(relations(), relation{name: EndsTable}) {
		table, columns, err := ofRecords(ctx, tx, r.name)
		if err != nil {
			return nil, err
		}
		if table == "" {
			continue
		}
		keep := "kept_" + r.name
		tag, err := tx.Exec(ctx, fmt.Sprintf(`
			CREATE TEMP TABLE %s ON COMMIT DROP AS
			SELECT * FROM %s m
			WHERE m.%s + $1::interval <= coalesce(
				(SELECT min(range_start) FROM timescaledb_information.chunks
				 WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema()), 'infinity')
			  AND EXISTS (SELECT FROM timescaledb_information.chunks
				 WHERE hypertable_name = 'telemetry' AND hypertable_schema = current_schema())`, keep, table, r.timeColumn()), r.width)
		if err != nil {
			return nil, err
		}
		if tag.RowsAffected() > 0 {
			kept[r.name] = orphans{keep, columns}
		}
	}
	return kept, nil
}

// restoreOrphans puts what keepOrphans found under the new rollups, as far as
// both know a column.
func restoreOrphans(ctx context.Context, tx pgx.Tx, kept map[string]orphans) error {
	for relation, old := range kept {
		table, columns, err := ofRecords(ctx, tx, relation)
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
