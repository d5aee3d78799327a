package book

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Of is an entry as a column of a query that reads sessions; Read makes one of it.
const Of = `(SELECT to_jsonb(b) FROM run_book b WHERE b.session = sessions.session)`

// Read reads what Of returned; nil is a run that nobody said anything of.
func Read(column []byte) (Entry, error) {
	e := Entry{Tags: []string{}, Fields: map[string]string{}}
	if column == nil {
		return e, nil
	}
	if err := json.Unmarshal(column, &e); err != nil {
		return Entry{}, fmt.Errorf("read run book: %w", err)
	}
	return e, nil
}

// Write changes the entry of a session whose row is locked by the transaction, and
// tells whoever watches the run. seen is the revision that the change was made
// from: where it is not the present one, that is a Conflict. nil does not ask.
func Write(ctx context.Context, tx pgx.Tx, session int32, id string, c Change, seen *int32) error {
	var column []byte
	err := tx.QueryRow(ctx, `SELECT to_jsonb(b) FROM run_book b WHERE session = $1`, session).Scan(&column)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read run book: %w", err)
	}
	before, err := Read(column)
	if err != nil {
		return err
	}
	if seen != nil && *seen != before.Revision {
		return fault.Coded(fault.Conflict, "BOOK_CONFLICT", "Somebody else has changed the run's book meanwhile. Look at what it says now.")
	}
	e, err := before.With(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO run_book AS b (session, driver, car, setup, tyres, weather, tags, fields, plan_energy_wh, plan_laps, plan_distance_km, plan_time_s)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (session) DO UPDATE
		SET driver = $2, car = $3, setup = $4, tyres = $5, weather = $6, tags = $7, fields = $8,
		    plan_energy_wh = $9, plan_laps = $10, plan_distance_km = $11, plan_time_s = $12,
		    revision = b.revision + 1, changed_at = clock_timestamp()`,
		session, e.Driver, e.Car, e.Setup, e.Tyres, e.Weather, e.Tags, e.Fields, e.Plan.Energy, e.Plan.Laps, e.Plan.Distance, e.Plan.Time)
	if err != nil {
		return fmt.Errorf("write run book: %w", err)
	}
	return schema.Touch(ctx, tx, schema.TopicBook(id))
}

// Forget removes what people said of a deleted session.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	return schema.DeleteOf(ctx, tx, session, "run_book")
}
