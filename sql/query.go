package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// List returns the rows that a query finds, each as read makes it of one.
func List[T any](ctx context.Context, q Querier, read pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, read)
}

// One returns the row that a query finds, as read makes it, or pgx.ErrNoRows.
func One[T any](ctx context.Context, q Querier, read pgx.RowToFunc[T], sql string, args ...any) (found T, err error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return found, err
	}
	return pgx.CollectExactlyOneRow(rows, read)
}

// Find returns the row that a query finds, its columns in the order of T's
// fields, or nil where it finds none.
func Find[T any](ctx context.Context, q Querier, sql string, args ...any) (*T, error) {
	found, err := One(ctx, q, pgx.RowToAddrOfStructByPos[T], sql, args...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return found, err
}

// DeleteOf deletes the rows of a session from tables that know it by its key.
func DeleteOf(ctx context.Context, tx pgx.Tx, session int32, tables ...string) error {
	for _, table := range tables {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE session = $1", session); err != nil {
			return fmt.Errorf("delete from %s: %w", table, err)
		}
	}
	return nil
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
