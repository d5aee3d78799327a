package schema

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Unbounded lifts the bounds of a pool's statements off a connection while work
// runs, which takes as long as it takes: rollups, the columnstore.
func Unbounded(ctx context.Context, conn *pgx.Conn, work func() error) error {
	var statement, lock string
	const set = "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)"
	err := conn.QueryRow(ctx, "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')").Scan(&statement, &lock)
	if err == nil {
		_, err = conn.Exec(ctx, set, "0", "0")
	}
	if err != nil {
		return fmt.Errorf("lift the bounds of statements: %w", err)
	}
	err = work()
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, back := conn.Exec(again, set, statement, lock); back != nil {
		// Nobody else may get it without bounds.
		return errors.Join(err, conn.Close(again))
	}
	return err
}

// UnboundedTx lifts them for the rest of a transaction.
func UnboundedTx(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"); err != nil {
		return fmt.Errorf("lift the bounds of statements: %w", err)
	}
	return nil
}
