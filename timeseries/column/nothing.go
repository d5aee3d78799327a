package column

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// ErrNotHeld tells that an answer needs more than what is held.
var ErrNotHeld = errors.New("the answer needs more than what is held of the run")

// Nothing stands for a transaction where there is none: each query of it is ErrNotHeld.
type Nothing struct{ pgx.Tx }

// Query is ErrNotHeld.
func (Nothing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, ErrNotHeld }

// QueryRow is ErrNotHeld.
func (Nothing) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

// SendBatch is ErrNotHeld, but for a batch without queries.
func (Nothing) SendBatch(_ context.Context, b *pgx.Batch) pgx.BatchResults {
	if b.Len() > 0 {
		return noResults{err: ErrNotHeld}
	}
	return noResults{}
}

type noRow struct{}

func (noRow) Scan(...any) error { return ErrNotHeld }

type noResults struct {
	pgx.BatchResults
	err error
}

func (r noResults) Close() error { return r.err }
