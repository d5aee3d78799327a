// Package region tells when a run was within a part of the map. It owns no table: it reads
// the fixes that package analysis keeps of each half second, of which long tracks are drawn
// and laps are found, too.
//
// # Definition
//
// Between two fixes the car drove straight and evenly, unless what lies between is a gap
// (channel.GapAfter of their usual step): then, and before the first and after the last one,
// it is known to be at a fix for a quarter of a second, half of what that is the mean of. So
// a record is within or not by its time alone, whether or not it carries a position, and one
// whose own position is no fix is where the car was and not where the receiver said.
//
// It keeps nothing. Degrees are WGS84.
package region

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

const (
	// widest bounds a box, deg: on more than half of the globe west and east are the same.
	widest = 180
	// mostStays bounds what is told of one run: 24 hours that go in and out every 4 s.
	mostStays = 20_000
	// around is how long the car is known to be at a fix that stands alone, either way.
	around = 250 * time.Millisecond
)

// Box is what lies between two parallels and two meridians. It crosses 180 degrees where East
// is less than West.
type Box struct{ South, West, North, East float64 }

// Of makes a Box of south, west, north and east, or says what is wrong with them.
func Of(corners []float64) (b Box, err error) {
	if len(corners) != 4 {
		return b, fault.Field("region", "must be south,west,north,east: 4 numbers, not %d", len(corners))
	}
	b = Box{corners[0], corners[1], corners[2], corners[3]}
	switch { // NaN fails each
	case !(math.Abs(b.South) <= 90 && math.Abs(b.North) <= 90):
		return b, fault.Field("region", "south and north must be -90 to 90")
	case !(math.Abs(b.West) <= 180 && math.Abs(b.East) <= 180):
		return b, fault.Field("region", "west and east must be -180 to 180")
	case !(b.South < b.North):
		return b, fault.Field("region", "south must be less than north: the order is south,west,north,east")
	case !(b.width() > 0 && b.width() <= widest):
		return b, fault.Field("region", "must be over 0 and up to %d degrees wide, from west to east", widest)
	}
	return b, nil
}

// width is from west to east, deg.
func (b *Box) width() float64 { return math.Mod(b.East-b.West+360, 360) }

// spot is where the car was.
type spot struct{ at, lat, lon float64 } // µs since 1970, deg

// part is which part of the straight way between two spots lies within: from a to z of it, 0
// to 1; a is over z where none does.
func (b *Box) part(p, q spot) (a, z float64) {
	a, z = 0, 1
	within := func(at, by, low, high float64) {
		switch {
		case by == 0 && (at < low || at > high):
			a, z = 1, 0
		case by > 0:
			a, z = max(a, (low-at)/by), min(z, (high-at)/by)
		case by < 0:
			a, z = max(a, (high-at)/by), min(z, (low-at)/by)
		}
	}
	half := b.width() / 2
	within(p.lat, q.lat-p.lat, b.South, b.North)
	within(math.Remainder(p.lon-b.West-half, 360), math.Remainder(q.lon-p.lon, 360), -half, half)
	return a, z
}

// stays are when the car was within, by spots in order of time.
func (b *Box) stays(spots []spot) (list []rollup.Span) {
	var steps []time.Duration
	for i := 1; i < len(spots); i++ {
		steps = append(steps, time.Duration(spots[i].at-spots[i-1].at)*time.Microsecond)
	}
	gap := float64(channel.GapAfter(channel.UsualStep(steps)).Microseconds())
	add := func(from, to float64) {
		s := rollup.Span{From: time.UnixMicro(int64(math.Ceil(from))).UTC(), To: time.UnixMicro(int64(math.Ceil(to))).UTC()}
		if n := len(list); n > 0 && !s.From.After(list[n-1].To) {
			list[n-1].To = s.To
		} else if !s.Empty() {
			list = append(list, s)
		}
	}
	alone := float64(around.Microseconds())
	for i, p := range spots {
		_, z := b.part(p, p)
		begins, ends := i == 0 || p.at-spots[i-1].at > gap, i == len(spots)-1 || spots[i+1].at-p.at > gap
		if begins && z == 1 {
			add(p.at-alone, p.at)
		}
		if ends && z == 1 {
			add(p.at, p.at+alone)
		}
		if !ends {
			if a, z := b.part(p, spots[i+1]); a < z {
				by := spots[i+1].at - p.at
				add(p.at+a*by, p.at+z*by)
			}
		}
	}
	return list
}

// Stays returns when a run was within the box, in order, as far as it is analysed. It fails with
// fault.Invalid where that is too often.
func Stays(ctx context.Context, q schema.Querier, session int32, box Box) ([]rollup.Span, error) {
	rows, err := q.Query(ctx, "SELECT fix_at, latitude, longitude FROM analysis_parts WHERE session = $1 ORDER BY minute", session)
	if err != nil {
		return nil, fmt.Errorf("read when a run was within a region: %w", err)
	}
	var at, lat, lon []float64
	var spots []spot
	_, err = pgx.ForEachRow(rows, []any{&at, &lat, &lon}, func() error {
		for i := range at {
			spots = append(spots, spot{at[i], lat[i], lon[i]})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read when a run was within a region: %w", err)
	}
	// A fix may be known a minute late.
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Compare(a.at, b.at) })
	list := box.stays(spots)
	if len(list) > mostStays {
		return nil, fault.Field("region", "the run is within it %d times, over %d; ask for one whose border the car does not follow", len(list), mostStays)
	}
	return list, nil
}
