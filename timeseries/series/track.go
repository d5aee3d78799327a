package series

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// TrackPoint is a place on the way of a session.
type TrackPoint struct {
	Time      time.Time
	Latitude  float64 // deg, WGS84
	Longitude float64
}

// Track is the way of a session on the map, parted where its fixes have a
// gap (channel.GapAfter).
type Track struct {
	Session   string
	Version   string
	Tolerance float64 // m; how far the way may lie from what was measured
	Measured  int     // positions that it was drawn from
	Parts     [][]TrackPoint
}

// trackRecords is up to how many records a track is drawn from each; of longer
// runs two positions a second are.
const trackRecords = 50_000

// Track returns the way of a session, simplified so that no measured position
// lies further from it than the tolerance, in metres.
func (r *Reader) Track(ctx context.Context, id string, tolerance float64) (*Track, error) {
	if !(tolerance >= 0 && tolerance <= 10_000) {
		return nil, fault.Field("tolerance", "0 to 10000 m")
	}
	track := &Track{Session: id, Tolerance: tolerance}
	var points []TrackPoint
	err := r.snapshot(ctx, []string{id}, nil, func(views []*view) (err error) {
		track.Version = views[0].version
		points, err = views[0].readPositions(ctx)
		return err
	})
	if err != nil {
		return nil, wrap("read track", err)
	}
	track.Measured = len(points)
	var steps []time.Duration
	for i := 1; i < len(points); i++ {
		steps = append(steps, points[i].Time.Sub(points[i-1].Time))
	}
	gap := channel.GapAfter(channel.UsualStep(steps))
	start := 0
	for i := range points {
		if i+1 == len(points) || points[i+1].Time.Sub(points[i].Time) > gap {
			track.Parts = append(track.Parts, simplify(points[start:i+1], tolerance))
			start = i + 1
		}
	}
	return track, nil
}

// readPositions returns the fixes of a session in order; see analysis.Fixes.
// Of a long session it takes the mean of each half second that is stored, and
// reads the records of what came since.
func (v *view) readPositions(ctx context.Context) ([]TrackPoint, error) {
	var points []TrackPoint
	var fixes analysis.Fixes
	from := v.span.From
	if v.records > trackRecords {
		rows, err := v.tx.Query(ctx, `
			SELECT p.minute, f.at, f.latitude, f.longitude
			FROM analysis_parts p CROSS JOIN LATERAL unnest(p.fix_at, p.latitude, p.longitude) f (at, latitude, longitude)
			WHERE p.session = $1 AND p.minute < (SELECT max(minute) FROM analysis_parts WHERE session = $1)
			ORDER BY f.at`, v.session)
		if err != nil {
			return nil, err
		}
		var part time.Time
		var at float64
		var p TrackPoint
		_, err = pgx.ForEachRow(rows, []any{&part, &at, &p.Latitude, &p.Longitude}, func() error {
			p.Time = time.UnixMicro(int64(at)).UTC()
			points = append(points, p)
			if next := part.Add(time.Minute).UTC(); next.After(from) {
				from = next
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(points) > 0 {
			fixes = analysis.Fixes{Begun: true, Last: analysis.Fix{At: p.Time.UnixMicro(), Lat: p.Latitude, Lon: p.Longitude}}
		}
	}
	rows, err := v.tx.Query(ctx, `
		SELECT time, latitude, longitude FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 AND latitude IS NOT NULL AND longitude IS NOT NULL
		ORDER BY time, batch, ord`, v.session, from, v.span.To)
	if err != nil {
		return nil, err
	}
	var known []analysis.Fix
	add := func() {
		for _, f := range known {
			points = append(points, TrackPoint{time.UnixMicro(f.At).UTC(), f.Lat, f.Lon})
		}
	}
	err = record.ReadColumns(rows, func(r *record.Columns) {
		known = fixes.Add(known[:0], analysis.Fix{At: r.Micros(), Lat: r.Float(), Lon: r.Float()})
		add()
	})
	known = fixes.End(known[:0])
	add()
	return points, err
}

// Coarsen simplifies the track further until it has at most that many
// positions, besides the ends of its parts. A receiver's noise is the reason:
// it leaves a short run with as many corners as it has records.
func (t *Track) Coarsen(points int) {
	for count := t.positions(); count > points+2*len(t.Parts); count = t.positions() {
		t.Tolerance = max(1, 1.5*t.Tolerance)
		for i, part := range t.Parts {
			t.Parts[i] = simplify(part, t.Tolerance)
		}
	}
}

func (t *Track) positions() int {
	n := 0
	for _, part := range t.Parts {
		n += len(part)
	}
	return n
}

// simplify is Douglas and Peucker's: it keeps the ends, and of the points in
// between those without which one would lie further than the tolerance from
// the line. It works through a list instead of calling itself, since a lap
// driven a thousand times nests deeply.
func simplify(points []TrackPoint, tolerance float64) []TrackPoint {
	if len(points) < 3 || tolerance == 0 {
		return points
	}
	keep := make([]bool, len(points))
	keep[0], keep[len(points)-1] = true, true
	todo := [][2]int{{0, len(points) - 1}}
	for len(todo) > 0 {
		a, b := todo[len(todo)-1][0], todo[len(todo)-1][1]
		todo = todo[:len(todo)-1]
		farthest, at := tolerance, -1
		// The earth is flat for the length of a track.
		scale := math.Cos(points[a].Latitude * math.Pi / 180)
		for i := a + 1; i < b; i++ {
			if d := distanceToLine(points[i], points[a], points[b], scale); d > farthest {
				farthest, at = d, i
			}
		}
		if at >= 0 {
			keep[at] = true
			todo = append(todo, [2]int{a, at}, [2]int{at, b})
		}
	}
	var kept []TrackPoint
	for i, k := range keep {
		if k {
			kept = append(kept, points[i])
		}
	}
	return kept
}

// distanceToLine returns how many metres p lies from the way between a and b.
func distanceToLine(p, a, b TrackPoint, scale float64) float64 {
	px, py := (p.Longitude-a.Longitude)*scale, p.Latitude-a.Latitude
	bx, by := (b.Longitude-a.Longitude)*scale, b.Latitude-a.Latitude
	if length := bx*bx + by*by; length > 0 {
		along := min(1, max(0, (px*bx+py*by)/length))
		px, py = px-along*bx, py-along*by
	}
	return math.Hypot(px, py) * analysis.MetresPerDegree
}

// AppendGeoJSON appends the track as a GeoJSON feature (RFC 7946), with the
// time of each position in milliseconds since 1970.
func (t *Track) AppendGeoJSON(dst []byte) []byte {
	dst = append(dst, `{"type":"Feature","geometry":`...)
	if len(t.Parts) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, `{"type":"MultiLineString","coordinates":[`...)
		for i, part := range t.Parts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '[')
			if len(part) == 1 { // a line needs two positions
				part = []TrackPoint{part[0], part[0]}
			}
			for k, p := range part {
				if k > 0 {
					dst = append(dst, ',')
				}
				dst = append(dst, '[')
				dst = appendNumber(dst, p.Longitude)
				dst = append(dst, ',')
				dst = appendNumber(dst, p.Latitude)
				dst = append(dst, ']')
			}
			dst = append(dst, ']')
		}
		dst = append(dst, "]}"...)
	}
	dst = append(dst, `,"properties":{"session_id":`...)
	dst = record.AppendJSONString(dst, []byte(t.Session))
	dst = append(dst, `,"tolerance_m":`...)
	dst = appendNumber(dst, t.Tolerance)
	dst = append(dst, `,"measured":`...)
	dst = appendNumber(dst, float64(t.Measured))
	dst = append(dst, `,"times":[`...)
	for i, part := range t.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		if len(part) == 1 {
			part = []TrackPoint{part[0], part[0]}
		}
		for k, p := range part {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = appendMillis(dst, float64(p.Time.UnixMicro())/1e3)
		}
		dst = append(dst, ']')
	}
	return append(dst, "]}}"...)
}
