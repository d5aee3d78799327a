package along

import (
	"math"
	"testing"
)

func TestAlong(t *testing.T) {
	t.Parallel()
	var got []float64
	a := Places{Place: func(p Row) { got = append(got, p.At) }}
	at := func(micros int64, metres float64) { a.Add(Row{First: micros, Last: micros, Records: 1, At: metres}) }
	at(0, none)
	at(10, 5)
	at(12, none)
	at(18, none)
	at(20, 15)
	at(20, none)
	at(20, 25)
	at(30, none)
	a.End()
	want := []float64{5, 5, 7, 13, 15, 20, 25, 25}
	if len(got) != len(want) {
		t.Fatalf("placed at %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("placed at %v, want %v", got, want)
		}
	}
}

// A run whose counter comes late, or never, is not held in memory.
func TestAlongHoldsABound(t *testing.T) {
	t.Parallel()
	const n = 10 * mostWaiting
	var records, count int64
	var low, high, sum float64
	a := Places{Place: func(p Row) {
		records += p.Records
		if m := p.Metrics[0]; m.Count > 0 {
			count += m.Count
			sum += m.Sum
			low, high = min(low, m.Min), max(high, m.Max)
		}
	}}
	wantCount, wantSum := int64(0), 0.0
	for i := range int64(n) {
		v, one := float64(i), int64(1)
		if i%3 == 0 {
			v, one = none, 0
		} else {
			wantCount, wantSum = wantCount+1, wantSum+v
		}
		at := none
		if i == n-1 {
			at = 100
		}
		a.Add(Row{First: i, Last: i, Records: 1, At: at, Metrics: []Sums{{v, v, v, one}}})
		if len(a.waiting) > mostWaiting {
			t.Fatalf("%d rows wait", len(a.waiting))
		}
	}
	a.End()
	if records != n || count != wantCount || sum != wantSum || low != 0 || high != n-1 {
		t.Errorf("%d records, %d values from %v to %v, sum %v; want %d, %d, sum %v", records, count, low, high, sum, n, wantCount, wantSum)
	}
}

var none = math.NaN()
