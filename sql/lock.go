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
	// A row that another transaction has just made is waited for.
	_, err := tx.Exec(ctx, "INSERT INTO locks (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT FROM locks WHERE name = $1 FOR UPDATE", name)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	return nil
}
