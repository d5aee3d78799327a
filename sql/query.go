package schema

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
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
