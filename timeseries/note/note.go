package note

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/unicode/norm"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/turns"
)

// Bounds.
const (
	maxNotes = 2000 // of a run, by people
	maxText  = 2000 // characters
	// slack is how far before and behind a run's records a note may lie: the evening
	// before belongs to a run, another year is a slip.
	slack = 24 * time.Hour
)

// Kinds are those of notes: note is by people, the others are by the server.
var Kinds = []string{"note", "notification", "stop", "gap", "clock_step", "set_aside", "outlier"}

// Note is one of a run. Without From it is of the whole run or, with a position, of
// a place; with To it is of a stretch. ID, Author, Revision and ChangedAt are those
// of notes by people.
type Note struct {
	Kind                string
	From, To            *time.Time
	Latitude, Longitude *float64
	Severity            *string // info, warning or critical
	Text                string
	Author              *string // name
	ID                  *int64
	CreatedAt           *time.Time
	Account             *string // the author's
	Revision            *int32
	ChangedAt           *time.Time
}

// When says what a note is on, in words, with times of UTC.
func (n *Note) When() string {
	const layout = "2006-01-02 15:04:05.000 UTC"
	switch {
	case n.To != nil:
		return n.From.UTC().Format(layout) + " to " + n.To.UTC().Format(layout)
	case n.From != nil:
		return n.From.UTC().Format(layout)
	case n.Latitude != nil:
		return fmt.Sprintf("%.6f, %.6f", *n.Latitude, *n.Longitude)
	}
	return "the whole run"
}

// Content is what a person notes.
type Content struct {
	From, To            *time.Time
	Latitude, Longitude *float64
	Text                string
}

// Author is who writes: an account, or a key, which has a name only.
type Author struct {
	Account, Name string
	// All lets change what others wrote.
	All bool
}

// Notes reads and writes them.
type Notes struct {
	pool, reads *pgxpool.Pool
	kept        *kept.Values[*marks]
	finding     turns.Turns[string]
}

// New makes Notes on a migrated database; reads is for what somebody waits for.
func New(pool, reads *pgxpool.Pool) *Notes {
	return &Notes{pool: pool, reads: reads, kept: kept.New[*marks](keptBytes)}
}

// list returns the notes of a run, of the kinds named, by time.
func (n *Notes) list(ctx context.Context, id string, kinds []string) ([]Note, error) {
	list, err := schema.List(ctx, n.reads, pgx.RowToStructByPos[Note], `
		SELECT a.kind, a.from_time, a.to_time, a.latitude, a.longitude, a.severity, a.text, a.author, a.note, a.created_at,
		       o.author, o.revision, o.changed_at
		FROM analytics.notes($1, $2) a
		LEFT JOIN notes o ON o.note = a.note
		ORDER BY a.from_time NULLS FIRST, a.kind, a.note`, id, kinds)
	if err != nil {
		return nil, fmt.Errorf("list notes: %w", err)
	}
	return list, nil
}

// Add notes something of a run. It returns NotFound where there is no such run,
// Invalid for what cannot be kept, and Conflict where the run has as many notes as
// one may.
func (n *Notes) Add(ctx context.Context, id string, by Author, c Content) (*Note, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return n.write(ctx, id, c, func(ctx context.Context, tx pgx.Tx, session int32) (note int64, err error) {
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM notes WHERE session = $1`, session).Scan(&count); err != nil {
			return 0, err
		}
		if count >= maxNotes {
			return 0, fault.Coded(fault.Conflict, "NOTE_LIMIT", "A run has at most %d notes by people.", maxNotes)
		}
		return note, tx.QueryRow(ctx, `
			INSERT INTO notes (session, from_time, to_time, latitude, longitude, text, author, author_name)
			VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8, ''))
			RETURNING note`, session, c.From, c.To, c.Latitude, c.Longitude, c.Text, by.Account, by.Name).Scan(&note)
	})
}

// Change puts another content in the place of a note's. seen is the revision that
// it was made from: where it is not the present one, that is a Conflict. nil does
// not ask. Another one's note is Forbidden.
func (n *Notes) Change(ctx context.Context, id string, note int64, by Author, c Content, seen *int32) (*Note, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return n.write(ctx, id, c, func(ctx context.Context, tx pgx.Tx, session int32) (int64, error) {
		revision, err := own(ctx, tx, session, note, by)
		if err != nil {
			return 0, err
		}
		if seen != nil && *seen != revision {
			return 0, fault.Coded(fault.Conflict, "NOTE_CONFLICT", "Somebody else has changed the note meanwhile. Look at what it says now.")
		}
		_, err = tx.Exec(ctx, `
			UPDATE notes
			SET from_time = $2, to_time = $3, latitude = $4, longitude = $5, text = $6, revision = revision + 1, changed_at = clock_timestamp()
			WHERE note = $1`, note, c.From, c.To, c.Latitude, c.Longitude, c.Text)
		return note, err
	})
}

// Delete removes a note. Another one's is Forbidden.
func (n *Notes) Delete(ctx context.Context, id string, note int64, by Author) error {
	_, err := n.write(ctx, id, Content{}, func(ctx context.Context, tx pgx.Tx, session int32) (int64, error) {
		if _, err := own(ctx, tx, session, note, by); err != nil {
			return 0, err
		}
		_, err := tx.Exec(ctx, `DELETE FROM notes WHERE note = $1`, note)
		return 0, err
	})
	return err
}

// own locks a note of a run, if the author may change it.
func own(ctx context.Context, tx pgx.Tx, session int32, note int64, by Author) (revision int32, err error) {
	var account *string
	err = tx.QueryRow(ctx, `SELECT author, revision FROM notes WHERE note = $1 AND session = $2 FOR UPDATE`, note, session).Scan(&account, &revision)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, fault.New(fault.NotFound, "there is no note %d of this run", note)
	case err != nil:
		return 0, err
	case !by.All && (account == nil || *account != by.Account):
		return 0, fault.New(fault.Forbidden, "the note is another one's; administrators can change it")
	}
	return revision, nil
}

// write changes the notes of a run, one change after the other, and tells whoever
// watches. Of c, what somebody notes, the times must be the run's. It returns the note
// that work names.
func (n *Notes) write(ctx context.Context, id string, c Content, work func(ctx context.Context, tx pgx.Tx, session int32) (int64, error)) (*Note, error) {
	if schema.Storable(id) == "" {
		return nil, fault.NoSession(id)
	}
	var written Note
	err := schema.Tx(ctx, n.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := schema.Lock(ctx, tx, schema.TopicBook(id)); err != nil {
			return err
		}
		// So that it is neither deleted nor given other times meanwhile.
		var session int32
		var first, last time.Time
		err := tx.QueryRow(ctx, `
			SELECT session, coalesce(first_time, created_at), coalesce(last_time, updated_at)
			FROM sessions WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE`, id).Scan(&session, &first, &last)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.NoSession(id)
		}
		if err != nil {
			return err
		}
		if err := c.within(first, last); err != nil {
			return err
		}
		note, err := work(ctx, tx, session)
		if err != nil {
			return err
		}
		if note != 0 {
			written, err = schema.One(ctx, tx, pgx.RowToStructByPos[Note], `
				SELECT 'note', from_time, to_time, latitude, longitude, NULL::text, text, author_name, note, created_at, author, revision, changed_at
				FROM notes WHERE note = $1`, note)
			if err != nil {
				return err
			}
		}
		return schema.Touch(ctx, tx, schema.TopicBook(id))
	})
	if err != nil {
		return nil, fmt.Errorf("write note: %w", err)
	}
	return &written, nil
}

// check says what of a content cannot be kept, and tidies the text.
func (c *Content) check() error {
	c.Text = strings.TrimSpace(norm.NFC.String(c.Text))
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	switch {
	case c.Text == "":
		return fault.Field("text", "must not be empty")
	case !utf8.ValidString(c.Text) || strings.ContainsFunc(c.Text, control):
		return fault.Field("text", "must not hold control characters")
	case utf8.RuneCountInString(c.Text) > maxText:
		return fault.Field("text", "must have at most %d characters", maxText)
	case c.To != nil && (c.From == nil || !c.To.After(*c.From)):
		return fault.Field("to", "must be later than from")
	case (c.Latitude == nil) != (c.Longitude == nil):
		return fault.Field("longitude", "latitude and longitude go together")
	case c.Latitude != nil && !(math.Abs(*c.Latitude) <= 90 && math.Abs(*c.Longitude) <= 180):
		return fault.Field("latitude", "is no place on earth")
	}
	return nil
}

// within says which time of a content is none of a run with records from first to last.
func (c *Content) within(first, last time.Time) error {
	for _, t := range []struct {
		field string
		at    *time.Time
	}{{"from", c.From}, {"to", c.To}} {
		if t.at != nil && (t.at.Before(first.Add(-slack)) || t.at.After(last.Add(slack))) {
			return fault.Field(t.field, "is more than a day from the run, whose records are of %s to %s", first.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// Forget removes the notes of a deleted session.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	return schema.DeleteOf(ctx, tx, session, "notes")
}
