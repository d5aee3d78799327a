package schema

import (
	"context"
	"embed"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Migrations are the files that Migrate applies.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type beforeCommitKey struct{}

// WithBeforeCommit makes the first Tx that runs under the context call step as
// its last act before it commits. If step fails, nothing is committed.
func WithBeforeCommit(ctx context.Context, step func(context.Context, pgx.Tx) error) context.Context {
	return context.WithValue(ctx, beforeCommitKey{}, step)
}

// Tx runs work in one transaction and commits it. An error from work, or from
// the step of WithBeforeCommit, rolls everything back and is returned as it is.
func Tx(ctx context.Context, pool *pgxpool.Pool, work func(context.Context, pgx.Tx) error) error {
	step, _ := ctx.Value(beforeCommitKey{}).(func(context.Context, pgx.Tx) error)
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Nested calls must not run the step a second time.
		inner := context.WithValue(ctx, beforeCommitKey{}, nil)
		if err := work(inner, tx); err != nil {
			return err
		}
		if step != nil {
			return step(inner, tx)
		}
		return nil
	})
}

// The topics that a reactive query can depend on. TopicSession and
// TopicSessions are not rows of the changes table: their version is the
// watermark that ingest keeps in the sessions table.
const (
	TopicSessions = "sessions" // any session appeared, grew, changed or went
	TopicUsers    = "users"    // any account or profile changed
	TopicLive     = "live"     // the live session state changed
)

// TopicSession is the records and metadata of one session, by its text id.
func TopicSession(id string) string { return "session:" + id }

// TopicUser is one account: its profile, role and bearer sessions.
func TopicUser(id string) string { return "user:" + id }

// TopicKey is one deploy key: whether it is valid.
func TopicKey(id string) string { return "key:" + id }

// TopicNotifications is the driver notifications of one session.
func TopicNotifications(session string) string { return "notifications:" + session }

// TopicDashboard is the dashboard settings, views and widgets of one account.
func TopicDashboard(user string) string { return "dashboard:" + user }

// Touch bumps the version of each topic inside tx. The row locks it takes are
// held until commit, so versions become visible in order.
func Touch(ctx context.Context, tx pgx.Tx, topics ...string) error {
	topics = slices.Clone(topics)
	slices.Sort(topics) // one order for all writers, so that they cannot deadlock
	topics = slices.Compact(topics)
	_, err := tx.Exec(ctx, `
		INSERT INTO changes (topic)
		SELECT unnest($1::text[])
		ON CONFLICT (topic) DO UPDATE
		SET version = changes.version + 1, changed_at = clock_timestamp()`, topics)
	if err != nil {
		return fmt.Errorf("announce change: %w", err)
	}
	return nil
}
