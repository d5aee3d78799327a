package schema

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

type beforeCommitKey struct{}

// WithBeforeCommit makes the first Tx that runs under the context call step as
// its last act before it commits. If step fails, nothing is committed.
func WithBeforeCommit(ctx context.Context, step func(context.Context, pgx.Tx) error) context.Context {
	return context.WithValue(ctx, beforeCommitKey{}, step)
}

// Tx runs work in one transaction and commits it. An error from work, or from
// the step of WithBeforeCommit, rolls everything back and is returned as it is.
//
// It saves round trips, which are a twentieth of what a small batch takes: the
// transaction begins with its first batch of statements, and what was left to
// Later goes out with those that follow, or with the commit.
func Tx(ctx context.Context, pool *pgxpool.Pool, work func(context.Context, pgx.Tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // which closes one that is still within a transaction
	step, _ := ctx.Value(beforeCommitKey{}).(func(context.Context, pgx.Tx) error)
	// Nested calls must not run the step a second time.
	ctx = context.WithValue(ctx, beforeCommitKey{}, nil)
	t := &transaction{ctx: ctx, conn: conn.Conn()}
	defer t.rollback()
	if err := work(ctx, t); err != nil {
		return err
	}
	if step != nil {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	return t.Commit(ctx)
}

// Snapshot runs work in a transaction that sees one moment of the database and writes
// nothing. Each of its statements may take as long as timeout, and is not compiled (jit),
// which takes longer than most of them.
func Snapshot(ctx context.Context, pool *pgxpool.Pool, timeout time.Duration, work func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true), set_config('jit', 'off', true)", strconv.FormatInt(timeout.Milliseconds(), 10)); err != nil {
			return err
		}
		return work(tx)
	})
}

// Later queues statements whose results the rest of the transaction does not
// need. They are done before any other that it sends, COPY by its Conn apart, and
// their errors are those of what they go out with.
func Later(ctx context.Context, tx pgx.Tx, statements *pgx.Batch) error {
	if t, ok := tx.(*transaction); ok {
		t.later = append(t.later, statements.QueuedQueries...)
		return nil
	}
	return tx.SendBatch(ctx, statements).Close()
}

// transaction is what Tx hands to its work.
type transaction struct {
	pgx.Tx // once it has begun
	ctx    context.Context
	conn   *pgx.Conn
	later  []*pgx.QueuedQuery
}

// SendBatch sends what comes before the batch with it.
func (t *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if t.Tx != nil && len(t.later) == 0 {
		return t.Tx.SendBatch(ctx, b)
	}
	var all pgx.Batch
	begins := t.Tx == nil
	if begins {
		all.BeginTx(pgx.TxOptions{})
	}
	all.QueuedQueries = append(all.QueuedQueries, t.later...)
	before := all.QueuedQueries
	t.later = nil
	all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
	results := t.conn.SendBatch(ctx, &all)
	if begins {
		t.Tx = results.Tx()
	}
	for _, q := range before {
		var err error
		if q.Fn != nil {
			err = q.Fn(results)
		} else {
			_, err = results.Exec()
		}
		if err != nil {
			results.Close()
			return pgx.FailedBatchResults(b, err)
		}
	}
	return results
}

// ready sends what comes before another statement.
func (t *transaction) ready(ctx context.Context) error {
	if t.Tx != nil && len(t.later) == 0 {
		return nil
	}
	return t.SendBatch(ctx, &pgx.Batch{}).Close()
}

// Commit ends the transaction, together with what is left of it.
func (t *transaction) Commit(ctx context.Context) error {
	if t.Tx == nil && len(t.later) == 0 {
		return nil
	}
	var end pgx.Batch
	var tag pgconn.CommandTag
	end.Queue("commit").Exec(func(got pgconn.CommandTag) error {
		tag = got
		return nil
	})
	if err := t.SendBatch(ctx, &end).Close(); err != nil {
		return err
	}
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// rollbackPatience is how long a rollback may take. Then the connection is
// closed, which rolls back, too.
const rollbackPatience = 5 * time.Second

// rollback ends a transaction that was not committed.
func (t *transaction) rollback() {
	if t.Tx != nil && t.conn.PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackPatience)
		defer cancel()
		_ = t.Rollback(ctx)
	}
}

func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.ready(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.Tx.Exec(ctx, sql, args...)
}

func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	return t.Tx.Query(ctx, sql, args...)
}

func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.ready(ctx); err != nil {
		return failed{err}
	}
	return t.Tx.QueryRow(ctx, sql, args...)
}

// failed is the row of a query that was not sent.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

func (t *transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	return t.Tx.CopyFrom(ctx, table, columns, rows)
}

func (t *transaction) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	return t.Tx.Begin(ctx)
}

// Conn is for what only the driver's connection can do, such as COPY of encoded
// rows. It does not wait for what was left to Later.
func (t *transaction) Conn() *pgx.Conn {
	if t.Tx == nil {
		_ = t.ready(t.ctx) // should this fail, the connection does, too
	}
	return t.conn
}
