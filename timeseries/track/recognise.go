package track

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/fix"
)

// Found is the line that the laps of a run have in common.
type Found struct {
	Session int32
	Shape
	Laps int // that it is the mean of
}

// Known is what is known of where a run goes round.
type Known struct {
	Track, Revision int32 // 0 where it is no track, yet
	// Gates are where sectors begin, m along the line of the run.
	Gates []float64
	// Finish tells that a person set it: laps begin at the first gate.
	Finish bool
}

const (
	// leastLaps is from how many laps on a line is a track: of one alone it is not
	// known whether anybody goes along there again.
	leastLaps = 2
	// enoughLaps is from how many on a line gets no better.
	enoughLaps = 8
	// leastLength is that of a track, m: less is a turning place.
	leastLength = 100
)

// Recognise returns the track that a run goes along, which it adds if it is new, in
// the transaction that works out the run.
func Recognise(ctx context.Context, tx pgx.Tx, f Found) (Known, error) {
	l := f.Plane(f.Lat[0], f.Lon[0])
	elsewhere := map[int32]int32{}
	if t, known, err := match(ctx, tx, &f, l, elsewhere); t != nil || err != nil {
		return known, err
	}
	own := Known{Gates: l.gates(f.Alt)}
	if f.Laps < leastLaps || f.Length < leastLength {
		return own, nil
	}
	// Another run may have found it a moment ago.
	if err := schema.Lock(ctx, tx, "tracks"); err != nil {
		return own, err
	}
	if t, known, err := match(ctx, tx, &f, l, elsewhere); t != nil || err != nil {
		return known, err
	}
	// What a run took for its track until now it was not.
	err := tx.QueryRow(ctx, `
		UPDATE tracks SET latitude = $2, longitude = $3, altitude_m = $4, length_m = $5, south = $6, north = $7, laps = $8, gates_m = $9,
			gate_names = array_fill(''::text, ARRAY[cardinality($9::float8[])]), revision = revision + 1
		WHERE found_by = $1 AND NOT edited AND same_as IS NULL
		RETURNING track, revision`, f.columns(own.Gates)...).Scan(&own.Track, &own.Revision)
	if err == pgx.ErrNoRows {
		err = tx.QueryRow(ctx, `
			WITH other AS (UPDATE tracks SET found_by = NULL WHERE found_by = $1)
			INSERT INTO tracks (found_by, latitude, longitude, altitude_m, length_m, south, north, laps, gates_m, gate_names)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, array_fill(''::text, ARRAY[cardinality($9::float8[])]))
			RETURNING track, revision`, f.columns(own.Gates)...).Scan(&own.Track, &own.Revision)
	}
	if err != nil {
		return own, fmt.Errorf("add a track: %w", err)
	}
	return own, nil
}

// columns are of found_by, the line, and the gates.
func (f *Found) columns(gates []float64) []any {
	return []any{f.Session, f.Lat, f.Lon, f.Alt, f.Length, slices.Min(f.Lat), slices.Max(f.Lat), f.Laps, gates}
}

// candidate is a track that a run may be on.
type candidate struct {
	Track, Revision int32
	Shape
	Gates          []float64
	Finish, Edited bool
	Laps           int
	Own            bool   // the run found it
	Same           *int32 // the one that it is part of
}

const selectCandidate = `
	SELECT track, revision, latitude, longitude, altitude_m, length_m, gates_m, finish_set, edited, laps, found_by IS NOT DISTINCT FROM $1, same_as
	FROM tracks`

func scanCandidate(row pgx.CollectableRow) (c candidate, err error) {
	err = row.Scan(&c.Track, &c.Revision, &c.Lat, &c.Lon, &c.Alt, &c.Length, &c.Gates, &c.Finish, &c.Edited, &c.Laps, &c.Own, &c.Same)
	return c, err
}

// match finds the track that a line leads along, the one that its run found first.
// Those of another way are noted in elsewhere with their revision, and not tried again.
func match(ctx context.Context, tx pgx.Tx, f *Found, l *Line, elsewhere map[int32]int32) (t *candidate, known Known, err error) {
	const margin = 0.001 // deg
	list, err := schema.List(ctx, tx, scanCandidate, selectCandidate+`
		WHERE south <= $2 AND north >= $3 AND length_m BETWEEN $4 * 0.8 AND $4 * 1.25
		ORDER BY found_by IS NOT DISTINCT FROM $1 DESC, track`, f.Session, slices.Max(f.Lat)+margin, slices.Min(f.Lat)-margin, f.Length)
	if err != nil {
		return nil, known, fmt.Errorf("look for a track: %w", err)
	}
	for i := range list {
		c := &list[i]
		if revision, ok := elsewhere[c.Track]; ok && revision == c.Revision {
			continue
		}
		elsewhere[c.Track] = c.Revision
		if math.Abs(math.Remainder(c.Lon[0]-f.Lon[0], 360))*math.Cos(f.Lat[0]*math.Pi/180)*fix.MetresPerDegree > c.Length {
			continue
		}
		places, ok := l.along(c.Plane(f.Lat[0], f.Lon[0]), beside)
		if ok && c.Same != nil {
			whole, err := schema.One(ctx, tx, scanCandidate, selectCandidate+" WHERE track = $2", f.Session, *c.Same)
			if err != nil {
				return nil, known, fmt.Errorf("read the track that another is part of: %w", err)
			}
			c, whole.Own = &whole, false // its line is not this run's
			places, ok = l.along(c.Plane(f.Lat[0], f.Lon[0]), merged+beside)
		}
		if !ok {
			continue
		}
		known = Known{c.Track, c.Revision, l.carry(c.Gates, places, c.Length), c.Finish}
		if c.Own && c.Laps < enoughLaps && f.Laps >= 2*c.Laps {
			gates := known.Gates
			if !c.Edited {
				gates = l.gates(f.Alt)
			}
			// Names go with gates; new ones of its own have none yet. What somebody edits
			// meanwhile stays; the run is Stale then, and is done again.
			err = tx.QueryRow(ctx, `
				UPDATE tracks SET latitude = $2, longitude = $3, altitude_m = $4, length_m = $5, south = $6, north = $7, laps = $8, gates_m = $9,
					gate_names = CASE WHEN edited THEN gate_names ELSE array_fill(''::text, ARRAY[cardinality($9::float8[])]) END,
					revision = revision + 1
				WHERE found_by = $1 AND track = $10 AND revision = $11
				RETURNING revision`, append(f.columns(gates), c.Track, c.Revision)...).Scan(&known.Revision)
			switch {
			case err == nil:
				known.Gates = gates
			case err != pgx.ErrNoRows:
				return nil, known, fmt.Errorf("redraw a track: %w", err)
			}
		}
		return c, known, nil
	}
	return nil, known, nil
}

// Stale is SQL for whether what was worked out of a run on that track, at that
// revision and time, is no longer so: the track was changed, or is no more; or the
// run goes round somewhere, and a track was found since that it may be on.
func Stale(track, revision, round, at string) string {
	return fmt.Sprintf(`coalesce(CASE WHEN %[1]s IS NOT NULL
		THEN NOT EXISTS (SELECT FROM tracks t WHERE t.track = %[1]s AND t.revision = %[2]s)
		ELSE %[3]s AND EXISTS (SELECT FROM tracks t WHERE t.created_at > %[4]s) END, false)`, track, revision, round, at)
}

// Name is SQL for what a track is called, of that alias.
func Name(t string) string {
	return "coalesce(nullif(" + t + ".name, ''), 'Track ' || " + t + ".track)"
}

// Names is SQL for the names of the sectors of a track, as many as there are gates.
func Names(track, gates string) string {
	return `(SELECT array_agg(coalesce(nullif(t.gate_names[i], ''), 'Sector ' || i) ORDER BY i)
		FROM generate_series(1, cardinality(` + gates + `)) i LEFT JOIN tracks t ON t.track = ` + track + `)`
}
