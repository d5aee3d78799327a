package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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

// seldomAnalysed has a level's chunks analysed when they have doubled, and not grown by
// a tenth: that goes over hundreds of columns, of which plans need two.
const seldomAnalysed = "autovacuum_analyze_scale_factor = 1"

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
	for _, r := range relations() {
		statements = append(statements, fmt.Sprintf("SELECT remove_continuous_aggregate_policy('%s', if_exists => true)", r.name))
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
				r.name, interval(start), interval(r.width), interval(p.RefreshEvery)))
		}
	}
	for _, r := range relations() {
		table, _, err := materialization(ctx, tx, r.name)
		if err != nil {
			return err
		}
		statements = append(statements, "ALTER TABLE "+table+" SET ("+seldomAnalysed+")")
	}
	for _, r := range append(relations(), relation{name: EndsTable}) {
		statements = append(statements, fmt.Sprintf("SELECT remove_retention_policy('%s', if_exists => true)", r.name))
		if p.KeepRollups > 0 {
			statements = append(statements, fmt.Sprintf("SELECT add_retention_policy('%s', drop_after => %s)", r.name, interval(p.KeepRollups)))
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
