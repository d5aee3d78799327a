// Package trail reads how a run went, half a second by half a second, as package analysis
// keeps it in analysis_parts: for who needs all of a run without reading its records.
package trail

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

// Step is a run at the last record of half a second. What it sums up is since the run
// began, and over no gap.
type Step struct {
	At       int64   // µs since 1970
	Way      float64 // m
	Energy   float64 // J
	Silent   float64 // s that the way leaves out as gaps
	Altitude float64 // m, mean of the half second; NaN without
}

// lasts is how long a step lasts at most, µs.
const lasts = 500_000

// Read returns the steps of a run, in order of time. The first one is its first record,
// where nothing is summed up.
func Read(ctx context.Context, tx pgx.Tx, session int32) ([]Step, error) {
	var first *int64
	if err := tx.QueryRow(ctx, "SELECT (extract(epoch FROM first_time) * 1000000)::bigint FROM sessions WHERE session = $1", session).Scan(&first); err != nil {
		return nil, fmt.Errorf("read how a run went: %w", err)
	}
	rows, err := tx.Query(ctx, "SELECT at, way_m, energy_j, silent_s, altitude_m FROM analysis_parts WHERE session = $1 ORDER BY minute", session)
	if err != nil {
		return nil, fmt.Errorf("read how a run went: %w", err)
	}
	var list []Step
	var at []int64
	var way, energy, silent, altitude []float64
	_, err = pgx.ForEachRow(rows, []any{&at, &way, &energy, &silent, &altitude}, func() error {
		if list == nil && first != nil && len(at) > 0 && *first < at[0] && at[0] <= *first+lasts {
			list = append(list, Step{At: *first, Altitude: math.NaN()})
		}
		for i := range at {
			s := Step{at[i], way[i], energy[i], silent[i], math.NaN()}
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
