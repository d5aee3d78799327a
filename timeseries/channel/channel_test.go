package channel_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// The list of fields and the migrated table say the same of every field: its
// column, type, unit and meaning, and their order.
func TestFieldsAreTheTable(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	type column struct{ Name, Type, Comment string }
	rows, err := pool.Query(t.Context(), `
		SELECT attname, format_type(atttypid, atttypmod), coalesce(col_description(attrelid, attnum), '')
		FROM pg_attribute
		WHERE attrelid = 'telemetry'::regclass AND attnum > 0 AND NOT attisdropped
		  AND attname NOT IN ('time', 'session', 'batch', 'ord', 'time_text', 'extra', 'numbers')
		ORDER BY attnum`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	types := map[channel.Type]string{
		channel.Float: "double precision", channel.Int: "bigint", channel.Text: "text", channel.JSON: "jsonb",
	}
	var want []column
	for _, f := range channel.All {
		comment := f.Meaning
		if f.Unit != "" {
			comment += ", " + f.Unit
		}
		want = append(want, column{f.Name, types[f.Type], comment})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields and table differ (-fields +table)\n%s", diff)
	}
}

// Every column of every table says what it means.
func TestColumnsHaveComments(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	rows, err := pool.Query(t.Context(), `
		SELECT c.relname || coalesce('.' || a.attname, '')
		FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_migrations'
		  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(bare) > 0 {
		t.Errorf("without a comment: %v", bare)
	}
}
