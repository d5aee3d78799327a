package analysis

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
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// Course is what is known of where a run's laps lead along.
type Course struct {
	ID      string
	Session int32
	Records int64
	First   time.Time // of the records
	Last    time.Time
	// HasDistance and HasEnergy tell that the run measures them.
	HasDistance, HasEnergy bool

	laps map[int64]*lapFigures // nil until they are read

	gates []float64   // where sectors begin, m along the line
	names []string    // of the sectors
	line  *track.Line // nil where its laps have none in common
	// start is where the run passes its start line, m along the line, by the lap
	// of its own that was laid on it first; nil before.
	start    *float64
	lat, lon float64
	noise    float64
}

// ReadCourse returns the course of a run. It fails with fault.NotFound.
func ReadCourse(ctx context.Context, tx pgx.Tx, id string) (*Course, error) {
	c := &Course{ID: id}
	var length, noise *float64
	var lat, lon []float64
	var first, last *time.Time
	err := tx.QueryRow(ctx, `
		SELECT s.session, s.records, s.first_time, s.last_time, coalesce(r.distance_from IS NOT NULL, false), coalesce(r.energy_from IS NOT NULL, false),
		       r.lap_m, r.noise_m, r.line_latitude, r.line_longitude, r.gates_m, `+track.Names("r.track", "r.gates_m")+`
		FROM sessions s LEFT JOIN analysis_runs r USING (session)
		WHERE s.id = $1 AND s.deleted_at IS NULL`, id).Scan(
		&c.Session, &c.Records, &first, &last, &c.HasDistance, &c.HasEnergy, &length, &noise, &lat, &lon, &c.gates, &c.names)
	if err == pgx.ErrNoRows {
		return nil, fault.NoSession(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read the course of a run: %w", err)
	}
	if first != nil && last != nil {
		c.First, c.Last = *first, *last
	}
	if length == nil || noise == nil || len(lat) == 0 || len(lat) != len(lon) {
		return c, nil
	}
	c.put(lat, lon, *length, *noise)
	return c, nil
}

// put lays the line of a course on the plane around its first corner.
func (c *Course) put(lat, lon []float64, length, noise float64) {
	c.lat, c.lon, c.noise = lat[0], lon[0], noise
	shape := track.Shape{Lat: lat, Lon: lon, Length: length}
	c.line = shape.Plane(c.lat, c.lon)
}

// Length is that of the line, m; 0 without one.
func (c *Course) Length() float64 {
	if c.line == nil {
		return 0
	}
	return c.line.Length
}

// Way is how a lap went.
type Way struct {
	Lap      int64 // as analytics.laps counts
	From, To time.Time
	Seconds  float64
	Distance *float64 // m
	Energy   *float64 // J; both nil where nothing measures them
	Error    *float64 // standard deviation of Seconds, s

	course *Course
	run    run // around the lap
}

// Knot is a lap at a moment. Between two of them all of it grows evenly.
type Knot struct {
	At     float64 // s since the lap began
	Place  float64 // m along what the lap was laid on
	Way    float64 // m since the lap began, over no gap
	Energy float64 // J since the lap began
}

const selectParts = `
	SELECT at, way_m, energy_j, silent_s, paused_s, top_ms, peak_w, coast_s, altitude_m, fix_at, fix_way_m, latitude, longitude, fixes, lap_at, lap_after, lap_number
	FROM analysis_parts `

// Lap returns a lap of the run, of which it is still to be read how it went. It fails
// with fault.NotFound.
func (c *Course) Lap(ctx context.Context, tx pgx.Tx, lap int64) (*Way, error) {
	if err := c.readLaps(ctx, tx); err != nil {
		return nil, err
	}
	l := c.laps[lap]
	if l == nil {
		return nil, fault.New(fault.NotFound, "run %q has no lap %d", fault.Clip(c.ID), lap)
	}
	w := &Way{Lap: lap, From: l.From, To: l.To, Seconds: l.Seconds, Distance: l.Distance, Error: l.Error, course: c, run: run{Measured: c.HasDistance}}
	if l.Energy != nil {
		joules := *l.Energy * 3600
		w.Energy = &joules
	}
	return w, nil
}

// Read reads how the lap went.
func (w *Way) Read(ctx context.Context, tx pgx.Tx) error {
	// A minute or two more to each side, so that its ends are known as well as its
	// middle, and where they lie in a silence what is beyond.
	rows, err := tx.Query(ctx, selectParts+`
		WHERE session = $1
		  AND minute >= coalesce((SELECT max(minute) FROM analysis_parts WHERE session = $1 AND minute <= $2::timestamptz - INTERVAL '1 minute'), '-infinity')
		  AND minute <= coalesce((SELECT min(minute) FROM analysis_parts WHERE session = $1 AND minute >= $3), 'infinity')
		ORDER BY minute`, w.course.Session, w.From, w.To)
	if err == nil {
		err = w.run.scan(rows)
	}
	if err == nil && len(w.run.Bins) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return fmt.Errorf("read a lap: %w", err)
	}
	w.run.sort()
	// Nothing is summed up at the run's first record, which has no bin of its own.
	if first, next := w.course.First.UnixMicro(), w.run.Bins[0].At; first < next && next-first <= binWidth {
		w.run.Bins = slices.Insert(w.run.Bins, 0, bin{At: first, Top: math.NaN(), Peak: math.NaN(), Alt: math.NaN()})
	}
	return nil
}

// lapFigures are what analytics.laps says of a lap.
type lapFigures struct {
	Lap              int64
	From, To         time.Time
	Seconds          float64
	Distance, Energy *float64 // m, Wh
	Error            *float64
}

// readLaps finds the laps of the run, once: to plan that takes longer than to do it.
func (c *Course) readLaps(ctx context.Context, tx pgx.Tx) error {
	if c.laps != nil {
		return nil
	}
	list, err := schema.List(ctx, tx, pgx.RowToAddrOfStructByPos[lapFigures], "SELECT lap, from_time, to_time, seconds, distance_m, energy_wh, error_s FROM analytics.laps($1)", c.ID)
	if err != nil {
		return fmt.Errorf("find laps: %w", err)
	}
	c.laps = map[int64]*lapFigures{}
	for _, l := range list {
		c.laps[l.Lap] = l
	}
	return nil
}

// scan adds the rows of selectParts.
func (r *run) scan(rows pgx.Rows) error {
	var at []int64
	var changed, after, number []int64
	var c [bins + spots][]float64
	into := []any{&at}
	for k := range c {
		into = append(into, &c[k])
	}
	into = append(into, &changed, &after, &number)
	_, err := pgx.ForEachRow(rows, into, func() error {
		for k := range c[:bins] {
			none := 0.0
			if k == 5 || k == 7 { // peak_w, altitude_m
				none = math.NaN()
			}
			for len(c[k]) < len(at) { // a server of an older version stored it
				c[k] = append(c[k], none)
			}
		}
		for i := range at {
			r.Bins = append(r.Bins, bin{at[i], c[0][i], c[1][i], c[4][i], c[2][i], c[3][i], c[5][i], c[6][i], c[7][i]})
		}
		for i := range changed {
			r.Counted = append(r.Counted, counted{changed[i], after[i], number[i]})
		}
		s := c[bins:]
		for i := range s[0] {
			r.Spots = append(r.Spots, spot{s[0][i], s[1][i], s[2][i], s[3][i], s[4][i]})
		}
		return nil
	})
	return err
}

func (r *run) sort() {
	slices.SortStableFunc(r.Spots, func(a, b spot) int { return cmp.Compare(a.At, b.At) })
}

// Driven returns the lap along its own odometer, silences filled in; nil where
// nothing measures the distance.
func (w *Way) Driven() []Knot {
	if !w.run.Measured || len(w.run.Bins) == 0 {
		return nil
	}
	w.run.odometer = odometer(w.run.Bins)
	knots := w.moments(func(_, d float64) float64 { return d })
	begin := knots[0].Place
	for i := range knots {
		knots[i].Place -= begin
	}
	return rising(knots)
}

// Timed returns the lap without places.
func (w *Way) Timed() []Knot {
	w.run.odometer = odometer(w.run.Bins)
	return w.moments(func(_, _ float64) float64 { return 0 })
}

// Along returns the lap along the line of a course, from where on it that began,
// which lies in [0, length), once round; ok is false where it did not go along. A
// lap of the course's own run is to be laid first.
func (w *Way) Along(c *Course) (knots []Knot, ok bool) {
	if c.line == nil || len(w.run.Spots) == 0 {
		return nil, false
	}
	r, own := &w.run, c == w.course || c.Session == w.course.Session
	nodes := steady(r.nodesAround(c.lat, c.lon))
	if len(nodes) < 8 {
		return nil, false
	}
	noise := w.course.noise
	if w.course.line == nil {
		noise = usualNoise
	}
	f := r.follower(c.line, noise)
	from, to := w.since(w.From), w.since(w.To)
	if own && r.Measured {
		_, d := r.wayAt(from)
		began := nodes[0].d - d
		f.began = &began
	}
	places := f.follow(nodes, r.Measured)
	inside, fit := 0, 0
	for i := range nodes {
		if nodes[i].t >= from && nodes[i].t <= to {
			if inside++; places[i].used && !nodes[i].lost {
				fit++
			}
		}
	}
	if inside == 0 || !own && float64(fit) < leastFit*float64(inside) {
		return nil, false
	}
	k := 0
	knots = w.moments(func(t, d float64) float64 {
		if !r.Measured {
			d = t
		}
		for k < len(nodes)-2 && nodes[k+1].d <= d {
			k++
		}
		a, b := &nodes[k], &nodes[k+1]
		if d < a.d || d > b.d || b.d <= a.d {
			if d > b.d {
				return b.s + places[k+1].k*(d-b.d)
			}
			return a.s + places[k].k*(d-a.d)
		}
		return a.s + (d-a.d)/(b.d-a.d)*(b.s-a.s)
	})
	// The lap begins and ends at one place, which is that of the start line if the
	// course is its own.
	length, last := c.line.Length, len(knots)-1
	begin := knots[0].Place
	if own {
		begin = math.Round(begin/length) * length
	} else if c.start != nil {
		for i := range knots {
			knots[i].Place -= *c.start
		}
		begin = knots[0].Place
	}
	off := knots[0].Place - begin
	more := knots[last].Place - (begin + length) - off
	if most := max(backwards, mostAside*length); math.Abs(off) > most || math.Abs(more) > most {
		return nil, false
	}
	if own && c.start == nil {
		start := off + more/2
		c.start = &start
	}
	round := knots[last].Place - knots[0].Place
	turns := math.Floor(begin/length) * length
	for i := range knots {
		knots[i].Place -= off + more*(knots[i].Place-begin-off)/round + turns
	}
	knots[0].Place, knots[last].Place = begin-turns, begin-turns+length
	return rising(knots), true
}

const (
	// leastFit is which share of a lap's fixes fit the line of another run at least,
	// for the lap to be one of the same track.
	leastFit = 0.7
	// mostAside is by how much of the line a lap may begin or end elsewhere, by its
	// fixes, than it is known to.
	mostAside = 0.05
)

// since is a time in the lap's run, s since the first bin.
func (w *Way) since(t time.Time) float64 {
	return float64(t.UnixMicro()-w.run.Bins[0].At) / 1e6
}

// wayAt is the run at so many seconds since its first bin, and the odometer then.
func (r *run) wayAt(t float64) (b bin, d float64) {
	micros := float64(r.Bins[0].At) + t*1e6
	k := 0
	for k < len(r.Bins)-1 && float64(r.Bins[k].At) <= micros {
		k++
	}
	b = r.at(k, micros)
	d = r.odometer[k].d
	if k > 0 && r.Bins[k].At > r.Bins[k-1].At {
		d = r.odometer[k-1].d + (micros-float64(r.Bins[k-1].At))/float64(r.Bins[k].At-r.Bins[k-1].At)*(r.odometer[k].d-r.odometer[k-1].d)
	}
	return b, d
}

// moments are the begin of the lap, its bins and its end, with their places by
// time and odometer.
func (w *Way) moments(place func(t, d float64) float64) []Knot {
	r := &w.run
	from, to := w.since(w.From), w.since(w.To)
	first, d := r.wayAt(from)
	knots := []Knot{{Place: place(from, d)}}
	add := func(t float64, b bin, d float64) {
		knots = append(knots, Knot{At: t - from, Place: place(t, d), Way: b.Way - first.Way, Energy: b.Energy - first.Energy})
	}
	for i, b := range r.Bins {
		if t := float64(b.At-r.Bins[0].At) / 1e6; t > from && t < to {
			add(t, b, r.odometer[i].d)
		}
	}
	last, d := r.wayAt(to)
	add(to, last, d)
	return knots
}

// rising has no place lie behind an earlier one, nor beyond the last.
func rising(knots []Knot) []Knot {
	end := knots[len(knots)-1].Place
	far := knots[0].Place
	for i := range knots {
		far = min(end, max(far, knots[i].Place))
		knots[i].Place = far
	}
	return knots
}

// Sector is a part of the line between two places of it, m.
type Sector struct {
	Name     string
	From, To float64
}

// Sectors returns the parts of the line between the gates, from its start on. A
// sector in which that lies comes first and last. None without a line.
func (c *Course) Sectors() []Sector {
	if c.line == nil {
		return nil
	}
	offsets, sectors := partsOf(0, c.line.Length, c.gates)
	list := make([]Sector, len(offsets))
	for i, from := range offsets {
		list[i] = Sector{From: from, To: c.line.Length}
		if i+1 < len(offsets) {
			list[i].To = offsets[i+1]
		}
		if n := sectors[i]; n < len(c.names) {
			list[i].Name = c.names[n]
		}
	}
	return list
}
