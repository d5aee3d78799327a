// Package walk reads channels whose value in a record depends on the records before it,
// such as rates: no SQL over one row tells it. It owns no table.
//
//	records of a run from Reach before, in the order of their cursors ──► record.Walks ──► values
//
// What a record has does therefore not depend on how it is asked for: in a page, in a
// window of a chart, by itself right after it came, or in all of the run. It is what the
// records tell that are stored when it is asked for.
package walk

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// near is how far back is looked first: mostly the record before is enough.
const near = 2 * time.Second

// Most is about over how many records one read walks, whoever asks.
const Most = 400_000

// Over selects channels, for those who read the columns of more beside them.
func Over(channels []channel.Channel) *record.Selection {
	computed := make([]record.Computed, len(channels))
	for i, c := range channels {
		computed[i] = record.Computed{Name: c.Name, Formula: c.Formula}
	}
	return record.Select("timestamp").WithComputed(computed)
}

// Read calls each for the records of [from, to), in order, and then sample for each value
// that the record has, with the channel's place.
func Read(ctx context.Context, q schema.Querier, session int32, channels []channel.Channel, from, to time.Time, each func(micros int64), sample func(k int, value float64, micros int64)) error {
	if len(channels) == 0 {
		return nil
	}
	selection, begin := Over(channels), from.UnixMicro()
	walks, names, places := selection.Walks(), selection.Names(), make([]int, len(channels))
	for k, c := range channels { // one that is named twice is computed once
		places[k] = slices.Index(names, c.Name)
	}
	return records(ctx, q, session, math.MaxInt32, selection, from.Add(-expression.Reach), to, func(at record.Cursor, c *record.Columns) bool {
		values := walks.Read(at.Micros, c)
		if at.Micros < begin {
			return true
		}
		each(at.Micros)
		for k, place := range places {
			if value := values[place]; !math.IsNaN(value) {
				sample(k, value, at.Micros)
			}
		}
		return true
	})
}

// Before begins a walk over the records of batches up to that one, with the record first
// to be the next.
func Before(ctx context.Context, q schema.Querier, session, batch int32, selection *record.Selection, first record.Cursor) (*record.Walks, error) {
	return from(ctx, q, session, batch, selection, first, first, nil)
}

// Of returns the values of the selection in these records, of which there is one at
// least, as the batches up to that one tell.
func Of(ctx context.Context, q schema.Querier, session, batch int32, selection *record.Selection, wanted []record.Cursor) (map[record.Cursor][]float64, error) {
	values := make(map[record.Cursor][]float64, len(wanted))
	for _, at := range wanted {
		values[at] = nil
	}
	first, last := slices.MinFunc(wanted, record.Cursor.Compare), slices.MaxFunc(wanted, record.Cursor.Compare)
	_, err := from(ctx, q, session, batch, selection, first, last, func(at record.Cursor, found []float64) {
		if _, ok := values[at]; ok {
			values[at] = slices.Clone(found)
		}
	})
	return values, err
}

// from walks from what lies before the record first to the record last, and calls each
// from first on. Without each it stops before first.
func from(ctx context.Context, q schema.Querier, session, batch int32, selection *record.Selection, first, last record.Cursor, each func(record.Cursor, []float64)) (*record.Walks, error) {
	for reach := near; ; reach = expression.Reach {
		walks, there := selection.Walks(), false
		err := records(ctx, q, session, batch, selection, first.Time().Add(-reach), last.Time().Add(time.Microsecond), func(at record.Cursor, c *record.Columns) bool {
			if there = there || at.Compare(first) >= 0; there && (each == nil || reach == near && !walks.Primed()) {
				return false
			}
			if values := walks.Read(at.Micros, c); there {
				each(at, values)
			}
			return true
		})
		if err != nil || reach == expression.Reach || walks.Primed() {
			return walks, err
		}
	}
}

// records calls each with records in order, until it has enough, and with the columns of
// what is computed of them.
func records(ctx context.Context, q schema.Querier, session, batch int32, selection *record.Selection, from, to time.Time, each func(record.Cursor, *record.Columns) bool) error {
	// Planned anew, with the times known, so that the plan names the chunks of these only.
	rows, err := q.Query(ctx, "SELECT time, batch, ord"+selection.Inputs()+` FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 AND batch <= $4
		ORDER BY time, batch, ord`, pgx.QueryExecModeCacheDescribe, pgx.QueryResultFormats{pgx.BinaryFormatCode}, session, from, to, batch)
	if err != nil {
		return fmt.Errorf("read records beside their neighbours: %w", err)
	}
	defer rows.Close()
	var columns record.Columns
	for rows.Next() {
		columns.Reset(rows.RawValues())
		if !each(columns.Cursor(), &columns) || columns.Err() != nil {
			break
		}
	}
	rows.Close()
	if err := cmp.Or(columns.Err(), rows.Err()); err != nil {
		return fmt.Errorf("read records beside their neighbours: %w", err)
	}
	return nil
}
