package schema_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

// A transaction keeps all that was sent with it, whenever that went out, or
// nothing of it; and its connection can be used again.
func TestTx(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE jottings (n int CHECK (n < 100))"); err != nil {
		t.Fatal(err)
	}
	note := func(values ...int) *pgx.Batch {
		var b pgx.Batch
		for _, n := range values {
			b.Queue("INSERT INTO jottings VALUES ($1)", n)
		}
		return &b
	}
	count := func(q schema.Querier) (n int) {
		t.Helper()
		if err := q.QueryRow(t.Context(), "SELECT count(*) FROM jottings").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	refused := errors.New("refused")
	later := func(values ...int) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error { return schema.Later(ctx, tx, note(values...)) }
	}
	for name, test := range map[string]struct {
		work, step func(context.Context, pgx.Tx) error
		kept       int
		fails      bool
		is         error
	}{
		"nothing":  {work: func(context.Context, pgx.Tx) error { return nil }},
		"one":      {work: func(ctx context.Context, tx pgx.Tx) error { return tx.SendBatch(ctx, note(1)).Close() }, kept: 1},
		"by later": {work: later(1, 2), kept: 2},
		"later comes first": {work: func(ctx context.Context, tx pgx.Tx) error {
			if err := schema.Later(ctx, tx, note(1, 2)); err != nil {
				return err
			}
			if n := count(tx); n != 2 {
				t.Errorf("a query sees %d rows, want 2", n)
			}
			return schema.Later(ctx, tx, note(3))
		}, kept: 3},
		"with a batch": {work: func(ctx context.Context, tx pgx.Tx) error {
			if err := schema.Later(ctx, tx, note(1)); err != nil {
				return err
			}
			var seen int
			b := note(2)
			b.Queue("SELECT count(*) FROM jottings").QueryRow(func(row pgx.Row) error { return row.Scan(&seen) })
			err := tx.SendBatch(ctx, b).Close()
			if seen != 2 {
				t.Errorf("the batch sees %d rows, want 2", seen)
			}
			return err
		}, kept: 2},
		"nested": {work: func(ctx context.Context, tx pgx.Tx) error {
			if err := schema.Later(ctx, tx, note(1)); err != nil {
				return err
			}
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO jottings VALUES (2), (200)")
				return err
			})
			if err == nil {
				t.Error("a refused value was taken")
			}
			return nil
		}, kept: 1},
		"rows by COPY": {work: func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"jottings"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
			return err
		}, kept: 2},
		"rows by the connection": {work: func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Conn().CopyFrom(ctx, pgx.Identifier{"jottings"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
			return err
		}, step: func(context.Context, pgx.Tx) error { return refused }, fails: true, is: refused},
		"and a step":     {work: later(1), step: later(2), kept: 2},
		"a step refuses": {work: later(1), step: func(context.Context, pgx.Tx) error { return refused }, fails: true, is: refused},
		"work refuses": {work: func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO jottings VALUES (1)"); err != nil {
				return err
			}
			return refused
		}, fails: true, is: refused},
		"at the commit": {work: later(1, 200), fails: true},
		"before another": {work: func(ctx context.Context, tx pgx.Tx) error {
			if err := schema.Later(ctx, tx, note(1, 200)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO jottings VALUES (2)")
			return err
		}, fails: true},
		"an error is passed over": {work: func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO jottings VALUES (200)"); err == nil {
				t.Error("a refused value was taken")
			}
			return nil
		}, fails: true, is: pgx.ErrTxCommitRollback},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pool.Exec(t.Context(), "TRUNCATE jottings"); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if test.step != nil {
				ctx = schema.WithBeforeCommit(ctx, test.step)
			}
			err := schema.Tx(ctx, pool, test.work)
			if (err != nil) != test.fails || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("it ended with %v", err)
			}
			if n := count(pool); n != test.kept {
				t.Errorf("%d rows were kept, want %d", n, test.kept)
			}
		})
	}
	if n := pool.Stat().NewConnsCount(); n > 2 {
		t.Errorf("%d connections were made: some were not given back clean", n)
	}
}
