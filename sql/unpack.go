package schema

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// UnpackAny lets the transaction change or remove records of the columnstore,
// however many lie in one batch of it. TimescaleDB unpacks those, by default a
// few only; the Apache edition has neither columnstore nor setting.
func UnpackAny(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		SELECT set_config(name, '0', true)
		FROM pg_settings
		WHERE name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'`)
	if err != nil {
		return fmt.Errorf("permit the unpacking of records: %w", err)
	}
	return nil
}
