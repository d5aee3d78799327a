package rollup

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// Bounds of the analysts' view of the records: how many channels that have no column
// in telemetry it has one for, the first that came, and how many bytes of SQL what is
// made of others may take in it, since whoever asks the view for anything pays for
// these.
const (
	mostMembers = 300
	mostSQL     = 256 << 10
)

// MemberColumns has the analysts' view of the records show channels that came in
// them or are made of others, a column each. New ones are last, and none goes, so
// that what is built on the view lives on.
type MemberColumns struct{ Channels *registry.Registry }

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
		FROM pg_attribute a JOIN channels d ON d.name = a.attname AND d.kind IN ('seen', 'declared')
		WHERE a.attrelid = to_regclass('analytics.records')))`

// undescribed finds the columns whose comment is not what is said of the channel now.
const undescribed = `
	SELECT c.name, d.description
	FROM pg_attribute a
	JOIN channels c ON c.name = a.attname AND c.kind <> 'contract'
	CROSS JOIN LATERAL (
		SELECT coalesce(c.meaning, CASE c.kind WHEN 'math' THEN 'Made of others' ELSE '"' || c.member || '" of the records' END) ||
		       coalesce(', ' || c.unit, '') || coalesce(': ' || c.expression, '') AS description
	) d
	WHERE a.attrelid = to_regclass('analytics.records') AND col_description(a.attrelid, a.attnum) IS DISTINCT FROM d.description`

// Due implements Work.
func (w MemberColumns) Due(ctx context.Context, conn *pgx.Conn) (due bool, err error) {
	if err = conn.QueryRow(ctx, "SELECT EXISTS ("+missing+") OR EXISTS ("+undescribed+")", mostMembers).Scan(&due); err != nil {
		return false, fmt.Errorf("look for channels that analysts do not see: %w", err)
	}
	if due {
		return true, nil
	}
	set, err := w.Channels.On(ctx, conn)
	if err != nil {
		return false, err
	}
	fresh, changed, err := w.computed(ctx, conn, set)
	return len(fresh) > 0 || changed, err
}

// computed finds the channels made of others that the view is to have a column for,
// the oldest first, and whether one that it has is made otherwise now. A row does not
// know its neighbours.
func (MemberColumns) computed(ctx context.Context, q schema.Querier, set *registry.Set) (fresh []channel.Channel, changed bool, err error) {
	type column struct {
		Name  string
		Shown *string
		Has   bool
	}
	columns, err := schema.List(ctx, q, pgx.RowToStructByPos[column], `
		SELECT c.name, c.shown, a.attname IS NOT NULL
		FROM channels c
		LEFT JOIN pg_attribute a ON a.attrelid = to_regclass('analytics.records') AND a.attname = c.name AND NOT a.attisdropped
		WHERE c.kind = 'math' AND to_regclass('analytics.records') IS NOT NULL
		ORDER BY a.attname IS NULL, c.created_at, c.name`)
	if err != nil {
		return nil, false, fmt.Errorf("look for channels made of others that analysts do not see: %w", err)
	}
	size := 0
	for _, one := range columns {
		c, ok := set.Find(one.Name)
		if one.Has {
			if c.Formula != nil {
				size += len(c.SQL())
			}
			changed = changed || one.Shown == nil || *one.Shown != digestOf(c.Channel)
			continue
		}
		if !ok || c.Formula == nil || c.Neighbours() || size+len(c.SQL()) > mostSQL {
			continue
		}
		size += len(c.SQL())
		fresh = append(fresh, c.Channel)
	}
	return fresh, changed, nil
}

// digestOf tells how a channel is made of others; "" where that cannot be computed.
func digestOf(c channel.Channel) string {
	if c.Formula == nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(c.Formula.Text)))
}

// computedColumn is what the column of a channel shows that is made of others: NULL
// where it cannot be computed any more.
func computedColumn(c channel.Channel) channel.Channel {
	if c.Formula == nil {
		c.Formula = &channel.Formula{SQL: func() string { return "NULL::double precision" }}
	}
	return c
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
		set, err := w.Channels.On(ctx, tx)
		if err != nil {
			return err
		}
		known, err := schema.List(ctx, tx, toChannel, `
			SELECT c.name, coalesce(c.member, ''), c.type = 'text'
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
		all := append(known, fresh...)
		computed, changed, err := w.computed(ctx, tx, set)
		if err != nil {
			return err
		}
		all = append(all, computed...)
		if len(fresh) > 0 || len(computed) > 0 || changed {
			for i, c := range all {
				if c.Member != "" {
					continue
				}
				known, _ := set.Find(c.Name)
				all[i] = computedColumn(known.Channel)
				all[i].Name = c.Name
				if _, err := tx.Exec(ctx, "UPDATE channels SET shown = $2 WHERE name = $1", c.Name, digestOf(known.Channel)); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, recordsView(all)); err != nil {
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
