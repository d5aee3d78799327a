package schema

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Lock lets one transaction at a time into a section that has a name, until it
// ends: for the moments where there is no row yet that could be locked. A
// transaction that takes several locks must take them in the order of their
// names, and before it calls Touch.
func Lock(ctx context.Context, tx pgx.Tx, name string) error {
	// A row that another transaction has just made is waited for. One that is
	// removed meanwhile (see ForgetLocks) locks nothing, and is made again.
	for {
		_, err := tx.Exec(ctx, "INSERT INTO locks (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		locked, err := tx.Exec(ctx, "SELECT FROM locks WHERE name = $1 FOR UPDATE", name)
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		if locked.RowsAffected() == 1 {
			return nil
		}
	}
}

// ForgetLocks removes the rows of locks whose names will not be asked for again,
// since what they stand for is gone.
func ForgetLocks(ctx context.Context, tx pgx.Tx, names ...string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM locks WHERE name = ANY ($1)", names); err != nil {
		return fmt.Errorf("forget locks: %w", err)
	}
	return nil
}
