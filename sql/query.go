package schema

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Find returns the row that a query finds, its columns in the order of T's
// fields, or nil where it finds none.
func Find[T any](ctx context.Context, q Querier, sql string, args ...any) (*T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return found, err
}

// Storable returns the text, or none where it cannot be stored and so names
// nothing: PostgreSQL takes neither zero bytes nor broken UTF-8, and a query
// that has them fails.
func Storable(text string) string {
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return ""
	}
	return text
}
