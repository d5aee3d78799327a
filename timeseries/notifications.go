package timeseries

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// The values that a notification's members can take.
var (
	Severities = []string{"info", "warn", "critical"}
	Categories = []string{"efficiency", "speed", "style", "system"}
)

// Limits of notifications.
const (
	DefaultNotifications = 20    // given when a reader names no limit
	MaxNotifications     = 1000  // given at most
	KeptNotifications    = 50    // newest of a session that a clean-up leaves
	maxNotificationBatch = 10000 // stored by one call; a bridge that was cut off sends all it has
)

// NewNotification is a message for the driver's cockpit.
type NewNotification struct {
	SessionID string   `json:"session_id"`
	Severity  string   `json:"severity"`
	Title     string   `json:"title"`
	Message   string   `json:"message"`
	Category  *string  `json:"category,omitempty"`
	TTL       *float64 `json:"ttl,omitempty"` // how long to show it, ms
	CreatedAt string   `json:"created_at"`    // ISO 8601, kept as it is
}

// Notification is a stored message.
type Notification struct {
	ID           string  `json:"_id"`
	CreationTime float64 `json:"_creationTime"` // server time, ms since 1970
	NewNotification
}

// AddNotifications stores all of them in this order, or none, and gives their
// ids.
func (s *Store) AddNotifications(ctx context.Context, list []NewNotification) ([]string, error) {
	if err := checkNotifications(list); err != nil || len(list) == 0 {
		return nil, err
	}
	var ids []string
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		var columns struct {
			session, severity, title, message, created []string
			category                                   []*string
			ttl                                        []*float64
		}
		var topics []string
		for _, n := range list {
			columns.session = append(columns.session, n.SessionID)
			columns.severity = append(columns.severity, n.Severity)
			columns.title = append(columns.title, n.Title)
			columns.message = append(columns.message, n.Message)
			columns.category = append(columns.category, n.Category)
			columns.ttl = append(columns.ttl, n.TTL)
			columns.created = append(columns.created, n.CreatedAt)
			topics = append(topics, schema.TopicNotifications(n.SessionID))
		}
		rows, err := tx.Query(ctx, `
			INSERT INTO driver_notifications (session_id, severity, title, message, category, ttl, created_at)
			SELECT session_id, severity, title, message, category, ttl, created_at
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[])
				WITH ORDINALITY AS n (session_id, severity, title, message, category, ttl, created_at, place)
			ORDER BY place
			RETURNING notification::text`,
			columns.session, columns.severity, columns.title, columns.message, columns.category, columns.ttl, columns.created)
		if err != nil {
			return fmt.Errorf("store notifications: %w", err)
		}
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return fmt.Errorf("store notifications: %w", err)
		}
		return schema.Touch(ctx, tx, topics...)
	})
	return ids, err
}

func checkNotifications(list []NewNotification) error {
	if len(list) > maxNotificationBatch {
		return fault.New(fault.TooLarge, "at most %d notifications can be stored at once", maxNotificationBatch)
	}
	var p problems
	for i, n := range list {
		p.index = &i
		n.check(&p)
	}
	return p.err()
}

func (n NewNotification) check(p *problems) {
	if n.SessionID == "" {
		p.add("session_id", "must not be empty")
	}
	p.text("session_id", n.SessionID, maxIDText)
	if !slices.Contains(Severities, n.Severity) {
		p.add("severity", "must be one of %v", Severities)
	}
	p.text("title", n.Title, maxTitleText)
	p.text("message", n.Message, maxMessageText)
	if n.Category != nil && !slices.Contains(Categories, *n.Category) {
		p.add("category", "must be one of %v", Categories)
	}
	if n.TTL != nil && (math.IsNaN(*n.TTL) || math.IsInf(*n.TTL, 0)) {
		p.add("ttl", "must be a finite number")
	}
	p.text("created_at", n.CreatedAt, maxTimeText)
}

// ImportedNotification is a message from another installation.
type ImportedNotification struct {
	NewNotification
	StoredAt time.Time
}

// ImportNotifications stores those of a session's messages that are not there
// yet, in this order, and gives how many. It can be repeated: of messages that
// are equal in every member, as many are there afterwards as the list has.
func (s *Store) ImportNotifications(ctx context.Context, sessionID string, list []ImportedNotification) (added int, err error) {
	var p problems
	for i, n := range list {
		p.index = &i
		n.check(&p)
		if n.SessionID != sessionID {
			p.add("session_id", "is of another session")
		}
	}
	if err := p.err(); err != nil {
		return 0, err
	}
	err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		// One import of a session at a time, or two would both find nothing there.
		if err := schema.Lock(ctx, tx, schema.TopicNotifications(sessionID)); err != nil {
			return fmt.Errorf("import notifications: %w", err)
		}
		added = 0
		seen := map[string]int{}
		for _, n := range list {
			key := fmt.Sprintf("%q %q %q %q %q", n.Severity, n.Title, n.Message, deref(n.Category), n.CreatedAt)
			tag, err := tx.Exec(ctx, `
				INSERT INTO driver_notifications (session_id, severity, title, message, category, ttl, created_at, stored_at)
				SELECT $1, $2, $3, $4, $5, $6, $7, $8
				WHERE $9 >= (
					SELECT count(*) FROM driver_notifications
					WHERE session_id = $1 AND severity = $2 AND title = $3 AND message = $4
					  AND category IS NOT DISTINCT FROM $5 AND created_at = $7)`,
				sessionID, n.Severity, n.Title, n.Message, n.Category, n.TTL, n.CreatedAt, n.StoredAt, seen[key])
			if err != nil {
				return fmt.Errorf("import notifications: %w", err)
			}
			seen[key]++
			added += int(tag.RowsAffected())
		}
		if added == 0 {
			return nil
		}
		return schema.Touch(ctx, tx, schema.TopicNotifications(sessionID))
	})
	return added, err
}

// Notifications gives a session's newest messages, newest first, limit of them
// at most. Without since, newest means stored last. With since, only messages
// whose created_at is a greater text count, and newest means greatest
// created_at.
func (s *Store) Notifications(ctx context.Context, sessionID string, limit int, since string) ([]Notification, error) {
	order := "n.notification DESC"
	if since != "" {
		order = `created_at COLLATE "C" DESC, n.notification DESC`
	}
	rows, err := s.pool.Query(ctx, `
		SELECT n.notification::text AS id, extract(epoch FROM stored_at)::float8 * 1000,
			session_id, severity, title, message, category, ttl, created_at
		FROM driver_notifications n
		WHERE session_id = $1 AND ($2 = '' OR created_at COLLATE "C" > $2 COLLATE "C")
		ORDER BY `+order+` LIMIT $3`, lookupText(sessionID), lookupText(since), min(max(limit, 0), MaxNotifications))
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Notification])
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	return list, nil
}

// PruneNotifications removes all but the 50 newest messages of a session and
// gives how many it removed.
func (s *Store) PruneNotifications(ctx context.Context, sessionID string) (int, error) {
	var removed int
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			DELETE FROM driver_notifications
			WHERE session_id = $1 AND notification <= (
				SELECT notification FROM driver_notifications WHERE session_id = $1
				ORDER BY notification DESC OFFSET $2 LIMIT 1)`, lookupText(sessionID), KeptNotifications)
		if err != nil {
			return fmt.Errorf("remove notifications: %w", err)
		}
		if removed = int(tag.RowsAffected()); removed == 0 {
			return nil
		}
		return schema.Touch(ctx, tx, schema.TopicNotifications(sessionID))
	})
	return removed, err
}
