package series

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/fix"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series/digits"
	"github.com/ecovolt/telemetryd/timeseries/series/line"
)

// Track is the way of a session on the map, parted where its fixes have a
// gap (channel.GapAfter).
type Track struct {
	Session   string
	Version   string
	Tolerance float64 // m; how far the way may lie from what was measured
	Measured  int     // positions that it was drawn from
	Parts     [][]line.Point
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
	var points []line.Point
	err := r.snapshot(ctx, []string{id}, nil, nil, func(views []*view) (err error) {
		track.Version = views[0].version
		points, err = views[0].readPositions(ctx)
		return err
	})
	if err != nil {
		return nil, fault.Wrap("read track", err)
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
			track.Parts = append(track.Parts, line.Simplify(points[start:i+1], tolerance))
			start = i + 1
		}
	}
	return track, nil
}

// readPositions returns the fixes of a session in order; see fix.Fixes.
// Of a long session it takes the mean of each half second that is stored, and
// reads the records of what came since.
func (v *view) readPositions(ctx context.Context) ([]line.Point, error) {
	var points []line.Point
	var fixes fix.Fixes
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
		var p line.Point
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
			fixes = fix.Fixes{Begun: true, Last: fix.Fix{At: p.Time.UnixMicro(), Lat: p.Latitude, Lon: p.Longitude}}
		}
	}
	rows, err := v.tx.Query(ctx, `
		SELECT time, latitude, longitude FROM telemetry
		WHERE session = $1 AND time >= $2 AND time < $3 AND latitude IS NOT NULL AND longitude IS NOT NULL
		ORDER BY time, batch, ord`, v.session, from, v.span.To)
	if err != nil {
		return nil, err
	}
	var known []fix.Fix
	add := func() {
		for _, f := range known {
			points = append(points, line.Point{Time: time.UnixMicro(f.At).UTC(), Latitude: f.Lat, Longitude: f.Lon})
		}
	}
	err = record.ReadColumns(rows, func(r *record.Columns) {
		known = fixes.Add(known[:0], fix.Fix{At: r.Micros(), Lat: r.Float(), Lon: r.Float()})
		add()
	})
	known = fixes.End(known[:0])
	add()
	return points, err
}

// Coarsen simplifies the track further until it has at most that many
// positions, besides the ends of its parts. A receiver's noise is the reason:
// it leaves a short run with as many corners as it has records.
func (t *Track) Coarsen(points int) { t.Tolerance = line.Coarsen(t.Parts, t.Tolerance, points) }

// AppendGeoJSON appends the track as a GeoJSON feature (RFC 7946), with the
// time of each position in milliseconds since 1970.
func (t *Track) AppendGeoJSON(dst []byte) []byte {
	dst = append(dst, `{"type":"Feature","geometry":`...)
	dst = line.AppendGeometry(dst, t.Parts)
	dst = append(dst, `,"properties":{"session_id":`...)
	dst = record.AppendJSONString(dst, []byte(t.Session))
	dst = append(dst, `,"tolerance_m":`...)
	dst = digits.Append(dst, t.Tolerance)
	dst = append(dst, `,"measured":`...)
	dst = digits.Append(dst, float64(t.Measured))
	dst = append(dst, `,"times":`...)
	dst = line.AppendTimes(dst, t.Parts)
	return append(dst, "}}"...)
}
