package timeseries

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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
	keptNotifications    = 50    // newest of a session that a clean-up leaves
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

// notificationColumns are notifications as SQL takes them.
type notificationColumns struct {
	session, severity, title, message, created []string
	category                                   []*string
	ttl                                        []*float64
}

func (c *notificationColumns) add(n *NewNotification) {
	c.session = append(c.session, n.SessionID)
	c.severity = append(c.severity, n.Severity)
	c.title = append(c.title, n.Title)
	c.message = append(c.message, n.Message)
	c.category = append(c.category, n.Category)
	c.ttl = append(c.ttl, n.TTL)
	c.created = append(c.created, n.CreatedAt)
}

// ask runs a query over the notifications and returns the ids that it answers.
func (c *notificationColumns) ask(ctx context.Context, tx pgx.Tx, query string) ([]*string, error) {
	return schema.List(ctx, tx, pgx.RowTo[*string], query, c.session, c.severity, c.title, c.message, c.category, c.ttl, c.created)
}

const (
	// A bridge whose answer got lost sends its notifications again. Of those
	// that are equal in every member, as many are stored as one call has.
	heldNotificationsSQL = `
		WITH sent AS (
			SELECT *, row_number() OVER (PARTITION BY session_id, severity, title, message, category, ttl, created_at ORDER BY place) AS copy
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[])
				WITH ORDINALITY AS n (session_id, severity, title, message, category, ttl, created_at, place)
		), held AS (
			SELECT *, row_number() OVER (PARTITION BY session_id, severity, title, message, category, ttl, created_at ORDER BY notification) AS copy
			FROM driver_notifications
			WHERE session_id = ANY($1) AND created_at = ANY($7)
		)
		SELECT held.notification::text
		FROM sent
		LEFT JOIN held
			ON held.session_id = sent.session_id AND held.created_at = sent.created_at AND held.copy = sent.copy
			AND held.severity = sent.severity AND held.title = sent.title AND held.message = sent.message
			AND held.category IS NOT DISTINCT FROM sent.category AND held.ttl IS NOT DISTINCT FROM sent.ttl
		ORDER BY sent.place`

	newNotificationsSQL = `
		INSERT INTO driver_notifications (session_id, severity, title, message, category, ttl, created_at)
		SELECT session_id, severity, title, message, category, ttl, created_at
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[])
			WITH ORDINALITY AS n (session_id, severity, title, message, category, ttl, created_at, place)
		ORDER BY place
		RETURNING notification::text`
)

// AddNotifications stores all of them in this order, or none, and returns their
// ids. One that was sent before is not stored again, and has the id that it got
// then. It fails with an Invalid or TooLarge fault.
func (s *Store) AddNotifications(ctx context.Context, list []NewNotification) ([]string, error) {
	if err := checkNotifications(list); err != nil || len(list) == 0 {
		return nil, err
	}
	var all notificationColumns
	var topics []string
	for i := range list {
		all.add(&list[i])
		topics = append(topics, schema.TopicNotifications(list[i].SessionID))
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	ids := make([]string, len(list))
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		for _, topic := range topics { // or two calls would both find nothing there
			if err := schema.Lock(ctx, tx, topic); err != nil {
				return err
			}
		}
		held, err := all.ask(ctx, tx, heldNotificationsSQL)
		if err != nil {
			return err
		}
		var fresh notificationColumns
		var places []int
		for i, id := range held {
			if id != nil {
				ids[i] = *id
				continue
			}
			fresh.add(&list[i])
			places = append(places, i)
		}
		if len(places) == 0 {
			return nil
		}
		stored, err := fresh.ask(ctx, tx, newNotificationsSQL)
		if err != nil {
			return err
		}
		for k, i := range places {
			ids[i] = *stored[k]
		}
		return schema.Touch(ctx, tx, topics...)
	})
	if err != nil {
		return nil, fmt.Errorf("store notifications: %w", err)
	}
	return ids, nil
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
// yet, in this order, and returns how many. It can be repeated: of messages that
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

// Notifications returns a session's newest messages, newest first, limit of them
// at most. Without since, newest means stored last. With since, only messages
// whose created_at is a greater text count, and newest means greatest
// created_at.
func (s *Store) Notifications(ctx context.Context, sessionID string, limit int, since string) ([]Notification, error) {
	order := "n.notification DESC"
	if since != "" {
		order = `created_at COLLATE "C" DESC, n.notification DESC`
	}
	list, err := schema.List(ctx, s.reads, pgx.RowToStructByPos[Notification], `
		SELECT n.notification::text AS id, extract(epoch FROM stored_at)::float8 * 1000,
			session_id, severity, title, message, category, ttl, created_at
		FROM driver_notifications n
		WHERE session_id = $1 AND ($2 = '' OR created_at COLLATE "C" > $2 COLLATE "C")
		ORDER BY `+order+` LIMIT $3`, schema.Storable(sessionID), strings.ReplaceAll(since, "\x00", "\uFFFD"), min(max(limit, 0), MaxNotifications))
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	return list, nil
}

// PruneNotifications removes all but the 50 newest messages of a session and
// returns how many it removed.
func (s *Store) PruneNotifications(ctx context.Context, sessionID string) (int, error) {
	var removed int
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			DELETE FROM driver_notifications
			WHERE session_id = $1 AND notification <= (
				SELECT notification FROM driver_notifications WHERE session_id = $1
				ORDER BY notification DESC OFFSET $2 LIMIT 1)`, schema.Storable(sessionID), keptNotifications)
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
