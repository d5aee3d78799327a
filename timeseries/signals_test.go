package timeseries_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
	"github.com/ecovolt/telemetryd/timeseries/signal"
)

// drives are records with values that often lie on edges, and often not at all.
func drives(rng *rand.Rand, runs, each int) (list []rec) {
	for run := range runs {
		for i := range each {
			r := rec{"session_id": fmt.Sprint("run-", run), "timestamp": record.FormatTime(raceStart.Add(time.Duration(i) * 100 * time.Millisecond)), "message_id": i}
			for _, name := range []string{"speed_ms", "power_w", "Oil Temp"} {
				switch rng.IntN(4) {
				case 0:
				case 1:
					r[name] = float64(rng.IntN(11)) // whole numbers are edges
				default:
					r[name] = 10 * rng.Float64()
				}
			}
			list = append(list, r)
		}
	}
	return list
}

// bruteForce counts a request as the definitions of package signal say, between these
// edges.
func bruteForce(list []rec, req signal.Request, x, y []float64) (counts []int64, means []*float64, records, missing, outside int64, is looked) {
	place := func(v any, edges []float64) (int, bool) {
		f, ok := v.(float64)
		if !ok {
			return 0, false
		}
		for i := len(edges) - 2; i >= 0; i-- {
			if f >= edges[i] && (f < edges[i+1] || i == len(edges)-2 && f == edges[i+1]) {
				return i, true
			}
		}
		return -1, true
	}
	member := map[string]string{"speed_ms": "speed_ms", "power_w": "power_w", "oil_temp": "Oil Temp"}
	value := func(r rec, name string) any {
		if name == "twice" {
			if v, ok := r["speed_ms"].(float64); ok {
				return 2 * v
			}
			return nil
		}
		return r[member[name]]
	}
	rows := 1
	if req.Y != "" {
		rows = len(y) - 1
	}
	counts, means = make([]int64, (len(x)-1)*rows), make([]*float64, (len(x)-1)*rows)
	sums, with := make([]float64, len(counts)), make([]float64, len(counts))
	for _, r := range list {
		at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
		in := len(req.Laps) == 0 && (req.From.IsZero() || !at.Before(req.From)) && (req.To.IsZero() || at.Before(req.To))
		for _, l := range req.Laps {
			in = in || !at.Before(l.From) && at.Before(l.To)
		}
		if !in || !strings.Contains(" "+strings.Join(req.Runs, " ")+" ", " "+r["session_id"].(string)+" ") {
			continue
		}
		records++
		is.add(value(r, req.X), value(r, req.Y))
		i, has := place(value(r, req.X), x)
		j, also := 0, true
		if req.Y != "" {
			j, also = place(value(r, req.Y), y)
		}
		switch {
		case !has || !also:
			missing++
		case i < 0 || j < 0:
			outside++
		default:
			cell := i + j*(len(x)-1)
			counts[cell]++
			if v, ok := value(r, req.Mean).(float64); ok {
				sums[cell] += v
				with[cell]++
			}
		}
	}
	for i := range means {
		if with[i] > 0 {
			mean := sums[i] / with[i]
			means[i] = &mean
		}
	}
	return counts, means, records, missing, outside, is
}

// looked is what x and y were, and both in the records that have both.
type looked struct{ x, y, bothX, bothY []float64 }

func (l *looked) add(x, y any) {
	a, has := x.(float64)
	b, also := y.(float64)
	if has {
		l.x = append(l.x, a)
	}
	if also {
		l.y = append(l.y, b)
	}
	if has && also {
		l.bothX, l.bothY = append(l.bothX, a), append(l.bothY, b)
	}
}

// about is the mean of values, and the sum of products of what they are apart from it.
func about(x, y []float64) (mean, product float64) {
	other := 0.0
	for i := range x {
		mean, other = mean+x[i]/float64(len(x)), other+y[i]/float64(len(x))
	}
	for i := range x {
		product += (x[i] - mean) * (y[i] - other)
	}
	return mean, product
}

// agrees compares an axis with the values that it had.
func agrees(a *signal.CountedAxis, values []float64) bool {
	mean, square := about(values, values)
	near := func(got *float64, want float64, least int) bool {
		return len(values) < least && got == nil || got != nil && math.Abs(*got-want) < 1e-9
	}
	return near(a.Mean, mean, 1) && near(a.Deviation, math.Sqrt(square/float64(len(values)-1)), 2)
}

// Whatever is counted by, in whatever window, counts are what a look at every record
// gives, before and after levels have the records.
func TestSignalsAreExact(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is counted in the records")
	h := newServer(t)
	h.store.Signals.PieceRecords = 300
	rng := rand.New(rand.NewPCG(14, 4))
	list := drives(rng, 3, 800)
	h.insert(list...)
	h.refresh() // "Oil Temp" is a channel now
	if _, err := h.store.Channels.Put(t.Context(), "", "twice", registry.Definition{Expression: "2 * speed_ms"}); err != nil {
		t.Fatal(err)
	}
	late := drives(rng, 3, 100)
	for _, r := range late {
		at, _ := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
		r["timestamp"] = record.FormatTime(at.Add(30 * time.Millisecond))
	}
	h.insert(late...)
	list = append(list, late...)
	names := []string{"speed_ms", "power_w", "oil_temp", "twice"}
	name := func(orNone bool) string {
		if orNone && rng.IntN(3) == 0 {
			return ""
		}
		return names[rng.IntN(len(names))]
	}
	bins := func() signal.Bins {
		b := signal.Bins{Count: 1 + rng.IntN(20)}
		if rng.IntN(3) == 0 {
			low, high := float64(rng.IntN(5)), float64(5+rng.IntN(7))
			b = signal.Bins{Count: int(high - low), Low: &low, High: &high}
		}
		return b
	}
	for i := range 150 {
		if i == 100 {
			h.refresh()
		}
		req := signal.Request{Runs: []string{"run-0", "run-1", "run-2"}[:1+rng.IntN(3)], X: name(false), Y: name(true), Mean: name(true), XBins: bins(), YBins: bins()}
		if req.Y == "" {
			req.YBins = signal.Bins{Count: 50}
		}
		moment := func() time.Time { return raceStart.Add(time.Duration(rng.IntN(800)) * 100 * time.Millisecond) }
		switch from, to := moment(), moment(); {
		case rng.IntN(3) == 0 || !from.Before(to):
		case rng.IntN(2) == 0:
			req.From, req.To = from, to
		default:
			req.Runs = req.Runs[:1]
			middle := from.Add(to.Sub(from) / 4)
			req.Laps = []rollup.Span{{From: from, To: middle}, {From: middle.Add(to.Sub(from) / 4), To: to}}
		}
		var shares []float64
		if rng.IntN(2) == 0 { // in pieces
			req.Progress = func(share float64) { shares = append(shares, share) }
		}
		got, err := h.store.Signals.Read(t.Context(), req)
		if err != nil {
			t.Fatalf("%+v: %v", req, err)
		}
		if req.Progress != nil && (!slices.IsSorted(shares) || got.Records > 700 && len(shares) < 3 || len(shares) > 0 && (shares[0] != 0 || math.Abs(shares[len(shares)-1]-1) > 0.01)) {
			t.Fatalf("%+v: read %v of %d records", req, shares, got.Records)
		}
		var y []float64
		if req.Y != "" {
			y = got.Y.Edges
		}
		if len(got.X.Edges) == 0 || req.Y != "" && len(y) == 0 {
			continue // so short a window that no record has a value
		}
		counts, means, records, missing, outside, is := bruteForce(list, req, got.X.Edges, y)
		if !reflect.DeepEqual(got.Counts, counts) || got.Records != records || got.Missing != missing || got.Outside != outside || got.Counted != records-missing-outside {
			t.Fatalf("%+v: %d records, %d missing, %d outside, %v;\nwant %d, %d, %d, %v", req, got.Records, got.Missing, got.Outside, got.Counts, records, missing, outside, counts)
		}
		_, xx := about(is.bothX, is.bothX)
		_, yy := about(is.bothY, is.bothY)
		_, xy := about(is.bothX, is.bothY)
		if r := got.Correlation; !agrees(&got.X, is.x) || req.Y != "" && !agrees(got.Y, is.y) || (r != nil) != (xx > 0 && yy > 0) || r != nil && math.Abs(*r-xy/math.Sqrt(xx*yy)) > 1e-9 {
			t.Fatalf("%+v: %+v and %+v, of which the correlation is %v; want %v", req, got.X, got.Y, r, xy/math.Sqrt(xx*yy))
		}
		if (got.Mean != nil) != (req.Mean != "") {
			t.Fatalf("%+v: means %v", req, got.Mean)
		}
		for k, want := range means {
			if got.Mean == nil {
				break
			}
			if v := got.Mean.Means[k]; (v == nil) != (want == nil) || v != nil && math.Abs(*v-*want) > 1e-9 {
				t.Fatalf("%+v: mean of cell %d is %v, want %v", req, k, v, want)
			}
		}
		if req.XBins.Low == nil && got.X.Below+got.X.Above > 0 {
			t.Errorf("%+v: values are outside of bins that were found", req)
		}
		again, err := h.store.Signals.Read(t.Context(), req)
		if err != nil || again != got {
			t.Fatalf("asked again it is counted again: %v", err)
		}
	}
}

// Edges: the highest value is in the last bin, one on an edge in the bin above it, and
// what never changes, or is never there, is counted as well.
func TestSignalsAtTheEdges(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var list []rec
	for i, v := range []any{0.0, 0.1, 0.2, 0.3, 1.0, 1.0, nil, 0.7} {
		r := recordAt("run", time.Duration(i)*time.Second, i)
		r["speed_ms"], r["power_w"] = v, 7
		list = append(list, r)
	}
	h.insert(list...)
	read := func(req signal.Request) *signal.Counted {
		t.Helper()
		req.Runs = []string{"run"}
		got, err := h.store.Signals.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := read(signal.Request{X: "speed_ms", XBins: signal.Bins{Count: 10}})
	if want := []int64{1, 1, 1, 1, 0, 0, 0, 1, 0, 2}; !reflect.DeepEqual(got.Counts, want) || got.Missing != 1 || got.X.Missing != 1 {
		t.Errorf("%v in %v, %d missing", got.Counts, got.X.Edges, got.Missing)
	}
	low, high := 0.1, 0.3
	got = read(signal.Request{X: "speed_ms", XBins: signal.Bins{Count: 2, Low: &low, High: &high}})
	if got.X.Below != 1 || got.X.Above != 3 || got.Outside != 4 || got.Counted != 3 {
		t.Errorf("%+v", got)
	}
	if got = read(signal.Request{X: "power_w", XBins: signal.Bins{Count: 3}}); !reflect.DeepEqual(got.Counts, []int64{0, 8, 0}) {
		t.Errorf("what never changes: %v in %v", got.Counts, got.X.Edges)
	}
	if got = read(signal.Request{X: "brake_pct", XBins: signal.Bins{Count: 3}}); len(got.X.Edges) != 0 || len(got.Counts) != 0 || got.Missing != 8 {
		t.Errorf("what is never there: %+v", got)
	}
	h.insert(recordAt("run", time.Minute, 9)) // another version
	if got = read(signal.Request{X: "power_w", XBins: signal.Bins{Count: 3}}); got.Records != 9 || got.Missing != 1 {
		t.Errorf("with one more: %+v", got)
	}
}

// What asks for too much is told what fits.
func TestSignalsSayWhatFits(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var list []rec
	for i := range 100 {
		list = append(list, recordAt("run", time.Duration(i)*time.Second, i))
	}
	h.insert(list...)
	if _, err := h.pool.Exec(t.Context(), "UPDATE sessions SET records = 20000000"); err != nil { // what a cost goes by
		t.Fatal(err)
	}
	if _, err := h.store.Channels.Put(t.Context(), "", "change", registry.Definition{Expression: "rate(speed_ms)"}); err != nil {
		t.Fatal(err)
	}
	bins := signal.Bins{Count: 10}
	high := -5.0
	for _, c := range []struct {
		req   signal.Request
		field string
	}{
		{signal.Request{X: "speed_ms", XBins: bins}, "to"},
		{signal.Request{X: "driver_mode", XBins: bins}, "x"},
		{signal.Request{X: "nothing", XBins: bins}, "x"},
		{signal.Request{X: "speed_ms", Y: "change", XBins: bins, YBins: bins, To: raceStart.Add(50 * time.Second)}, "to"},
		{signal.Request{X: "speed_ms", Mean: "nothing", XBins: bins}, "mean"},
		{signal.Request{X: "speed_ms", Y: "power_w", XBins: signal.Bins{Count: 5000}, YBins: bins}, "y_bins"},
		{signal.Request{X: "speed_ms", XBins: bins, From: raceStart.Add(time.Hour), To: raceStart}, "to"},
		{signal.Request{X: "speed_ms", XBins: signal.Bins{Count: 5, High: &high}, To: raceStart.Add(10 * time.Second)}, "x_high"},
	} {
		c.req.Runs, c.req.Class = []string{"run"}, series.Member
		_, err := h.store.Signals.Read(t.Context(), c.req)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Problems[0].Field != c.field {
			t.Errorf("%+v: %v", c.req, err)
		}
	}
	if _, err := h.store.Signals.Read(t.Context(), signal.Request{Runs: []string{"none"}, X: "speed_ms", XBins: bins}); fault.As(err) == nil || fault.As(err).Kind != fault.NotFound {
		t.Errorf("a run that is not there: %v", err)
	}
}

// A rate goes by the record before, in a window and in laps too, and is counted with
// others as they are counted.
func TestSignalsOfRates(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "rates are counted in Go: the same on both editions")
	h := newServer(t)
	var list []rec
	for i := range 100 {
		r := recordAt("run", time.Duration(i)*time.Second, i)
		r["speed_ms"], r["power_w"] = float64(i*i)/2, float64(10*i) // its rate is i - 0.5
		if i == 50 {
			delete(r, "speed_ms")
		}
		list = append(list, r)
	}
	h.insert(list...)
	if _, err := h.store.Channels.Put(t.Context(), "", "change", registry.Definition{Expression: "rate(speed_ms)"}); err != nil {
		t.Fatal(err)
	}
	read := func(req signal.Request) *signal.Counted {
		t.Helper()
		req.Runs, req.Class = []string{"run"}, series.Member
		a, err := h.store.Signals.Read(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	low, high := 0.0, 100.0
	bins := signal.Bins{Count: 10, Low: &low, High: &high}
	// The first has none, nor has 50; that of 51 is over two seconds.
	all := read(signal.Request{X: "change", XBins: bins})
	if all.Records != 100 || all.Missing != 2 || !reflect.DeepEqual(all.Counts, []int64{10, 10, 10, 10, 9, 10, 10, 10, 10, 9}) {
		t.Errorf("all: %+v", all)
	}
	if mean := *all.X.Mean; math.Abs(mean-(99.0*99/2-49.5-50.5+50)/98) > 1e-9 || *all.X.Deviation < 28 || *all.X.Deviation > 29 {
		t.Errorf("mean %v, deviation %v", mean, *all.X.Deviation)
	}
	if got := read(signal.Request{X: "change", XBins: signal.Bins{Count: 4}, From: raceStart.Add(10 * time.Second), To: raceStart.Add(20 * time.Second)}); got.Records != 10 || got.Missing != 0 || got.X.Edges[0] != 9.5 || got.X.Edges[4] != 18.5 {
		t.Errorf("a window: %+v", got)
	}
	laps := []rollup.Span{{From: raceStart.Add(10 * time.Second), To: raceStart.Add(15 * time.Second)}, {From: raceStart.Add(20 * time.Second), To: raceStart.Add(25 * time.Second)}}
	got := read(signal.Request{X: "change", Y: "power_w", Mean: "change", XBins: bins, YBins: signal.Bins{Count: 2}, Laps: laps})
	if got.Records != 10 || got.Y.Edges[0] != 100 || got.Y.Edges[2] != 240 || got.Counts[0]+got.Counts[1] != 5 || got.Counts[11]+got.Counts[12] != 5 || *got.Mean.Means[1] != 12 || math.Abs(*got.Correlation-1) > 1e-12 {
		t.Errorf("laps: %+v", got)
	}
	// What needs no record before it is counted alike, whoever counts.
	for _, mean := range []string{"speed_ms", "change"} {
		a := read(signal.Request{X: "speed_ms", Y: "power_w", Mean: mean, XBins: signal.Bins{Count: 7}, YBins: signal.Bins{Count: 5}})
		a.Mean = nil
		if b := read(signal.Request{X: "speed_ms", Y: "power_w", XBins: signal.Bins{Count: 7}, YBins: signal.Bins{Count: 5}}); !reflect.DeepEqual(a.Counts, b.Counts) || math.Abs(*a.Y.Deviation-*b.Y.Deviation) > 1e-9 || math.Abs(*a.Correlation-*b.Correlation) > 1e-12 {
			t.Errorf("with the mean of %s: %+v, want %+v", mean, a, b)
		}
	}
	// Another rate under the name is counted anew.
	if _, err := h.store.Channels.Put(t.Context(), "", "change", registry.Definition{Expression: "rate(power_w)"}); err != nil {
		t.Fatal(err)
	}
	if got := read(signal.Request{X: "change", XBins: bins}); got.Missing != 1 || got.Counts[1] != 99 {
		t.Errorf("after an edit: %+v", got)
	}
}
