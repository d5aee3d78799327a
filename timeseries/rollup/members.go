package rollup

import (
	"context"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// mostMembers is how many channels that are members of records the analysts' view of
// these has a column for, the first that came.
const mostMembers = 300

// MemberColumns has the analysts' view of the records show channels that came in
// them, a column each. New ones are last, and none goes, so that what is built on
// the view lives on.
type MemberColumns struct{}

// missing finds the channels that the view has no column for, the oldest first.
const missing = `
	SELECT c.name, c.member, c.type = 'text'
	FROM channels c
	WHERE c.kind IN ('seen', 'declared') AND c.member IS NOT NULL AND c.type IN ('number', 'text')
	  AND EXISTS (SELECT FROM session_members m WHERE m.member = c.member)
	  AND NOT EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = to_regclass('analytics.records') AND a.attname = c.name AND NOT a.attisdropped)
	  AND to_regclass('analytics.records') IS NOT NULL
	ORDER BY c.created_at, c.name
	LIMIT greatest(0, $1 - (
		SELECT count(*)
		FROM pg_attribute a JOIN channels d ON d.name = a.attname AND d.kind <> 'contract'
		WHERE a.attrelid = to_regclass('analytics.records')))`

// undescribed finds the columns whose comment is not what is said of the channel now.
const undescribed = `
	SELECT c.name, d.description
	FROM pg_attribute a
	JOIN channels c ON c.name = a.attname AND c.kind <> 'contract'
	CROSS JOIN LATERAL (
		SELECT coalesce(c.meaning, '"' || c.member || '" of the records') || coalesce(', ' || c.unit, '') AS description
	) d
	WHERE a.attrelid = to_regclass('analytics.records') AND col_description(a.attrelid, a.attnum) IS DISTINCT FROM d.description`

// Due implements Work.
func (MemberColumns) Due(ctx context.Context, conn *pgx.Conn) (due bool, err error) {
	if err = conn.QueryRow(ctx, "SELECT EXISTS ("+missing+") OR EXISTS ("+undescribed+")", mostMembers).Scan(&due); err != nil {
		return false, fmt.Errorf("look for channels that analysts do not see: %w", err)
	}
	return due, nil
}

// Do implements Work. Where an analyst holds the view it is for the next pass.
func (w MemberColumns) Do(ctx context.Context, conn *pgx.Conn) error {
	due, err := w.Due(ctx, conn)
	if err != nil || !due {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Whoever waits for it would have all behind it wait.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '200ms'"); err != nil {
			return err
		}
		known, err := schema.List(ctx, tx, toChannel, `
			SELECT c.name, c.member, c.type = 'text'
			FROM pg_attribute a JOIN channels c ON c.name = a.attname AND c.kind <> 'contract'
			WHERE a.attrelid = to_regclass('analytics.records')
			ORDER BY a.attnum`)
		if err != nil {
			return err
		}
		fresh, err := schema.List(ctx, tx, toChannel, missing, mostMembers)
		if err != nil {
			return err
		}
		if len(fresh) > 0 {
			if _, err := tx.Exec(ctx, recordsView(append(known, fresh...))); err != nil {
				return err
			}
		}
		type column struct{ Name, Description string }
		columns, err := schema.List(ctx, tx, pgx.RowToStructByPos[column], undescribed)
		if err != nil {
			return err
		}
		for _, c := range columns {
			if _, err := tx.Exec(ctx, comment("COLUMN analytics.records."+c.Name, c.Description, "")); err != nil {
				return err
			}
		}
		return nil
	})
	if schema.HasCode(err, pgerrcode.LockNotAvailable) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("show analysts what came in records: %w", err)
	}
	return nil
}

func toChannel(row pgx.CollectableRow) (c channel.Channel, err error) {
	text := false
	err = row.Scan(&c.Name, &c.Member, &text)
	if text {
		c.Type = channel.Text
	}
	return c, err
}
