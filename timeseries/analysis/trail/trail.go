// Package trail reads how a run went, half a second by half a second, as package analysis
// keeps it in analysis_parts: for who needs all of a run, or a part of it, without reading its
// records. It owns nothing; one goroutine uses a transaction at a time.
package trail

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// Step is a run at the last record of half a second. What it sums up is since the run
// began, and over no gap.
type Step struct {
	At       int64   // µs since 1970
	Way      float64 // m
	Energy   float64 // J
	Silent   float64 // s that way and energy leave out as gaps
	Paused   float64 // s that it stood, in pauses
	Altitude float64 // m, mean of the half second; NaN without
}

// lasts is how long a step lasts at most, µs.
const lasts = 500_000

// Read returns the steps of a run, in order of time. The first one is its first record,
// where nothing is summed up.
func Read(ctx context.Context, tx pgx.Tx, session int32) ([]Step, error) {
	return read(ctx, tx, session, "")
}

// Around returns those between two moments, and what lies next to them.
func Around(ctx context.Context, tx pgx.Tx, session int32, from, to time.Time) ([]Step, error) {
	return read(ctx, tx, session, `
		AND minute >= coalesce((SELECT max(minute) FROM analysis_parts WHERE session = $1 AND minute < $2), $2)
		AND minute <= coalesce((SELECT min(minute) FROM analysis_parts WHERE session = $1 AND minute > $3), $3)`, from.Truncate(time.Minute), to)
}

func read(ctx context.Context, tx pgx.Tx, session int32, within string, args ...any) ([]Step, error) {
	rows, err := tx.Query(ctx, `
		SELECT (SELECT (extract(epoch FROM first_time) * 1000000)::bigint FROM sessions WHERE session = $1), at, way_m, energy_j, silent_s, paused_s, altitude_m
		FROM analysis_parts
		WHERE session = $1`+within+`
		ORDER BY minute`, append([]any{session}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read how a run went: %w", err)
	}
	var list []Step
	var first *int64
	var at []int64
	var way, energy, silent, paused, altitude []float64
	_, err = pgx.ForEachRow(rows, []any{&first, &at, &way, &energy, &silent, &paused, &altitude}, func() error {
		if list == nil && first != nil && len(at) > 0 && *first < at[0] && at[0] <= *first+lasts {
			list = append(list, Step{At: *first, Altitude: math.NaN()})
		}
		for i := range at {
			s := Step{at[i], way[i], energy[i], silent[i], paused[i], math.NaN()}
			if i < len(altitude) { // a server of an older version stored none
				s.Altitude = altitude[i]
			}
			list = append(list, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read how a run went: %w", err)
	}
	return list, nil
}
