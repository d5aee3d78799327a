package schema

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migrations are the files that Migrate applies.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// The topics that a reactive query can depend on. TopicSession and
// TopicSessions are not rows of the changes table: their version is the
// watermark that ingest keeps in the sessions table.
const (
	TopicSessions = "sessions" // any session appeared, grew, changed or went
	TopicUsers    = "users"    // any account or profile changed
	TopicLive     = "live"     // the live session state changed
	TopicChannels = "channels" // a channel appeared or changed
)

// TopicSession is the records and metadata of one session, by its text id.
func TopicSession(id string) string { return "session:" + id }

// SessionVersion is SQL for the version of a row s of sessions. It begins with the row's
// key: a session that was deleted and begun again under its id never looks unchanged.
const SessionVersion = "s.session || '.' || s.batch || '.' || s.revision"

// LiveWindow is how near to the server's clock a run's newest record lies while the run is
// live. Who may read it, where it is listed and what it may still spend go by the same.
const LiveWindow = 5 * time.Minute

// TopicUser is one account: its profile, role and bearer sessions.
func TopicUser(id string) string { return "user:" + id }

// TopicKey is one deploy key: whether it is valid.
func TopicKey(id string) string { return "key:" + id }

// TopicNotifications is the driver notifications of one session.
func TopicNotifications(session string) string { return "notifications:" + session }

// TopicBook is what people say of one session: its name, its book and their notes.
func TopicBook(session string) string { return "book:" + session }

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
