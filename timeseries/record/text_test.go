package record

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
)

// What is written of a number reads back bit for bit, and as JSON where it is to be.
func FuzzFloat(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -0.1, 1e-7, 1e-6, 1e-5, 9.999999e-5, 1e15, 1e16, 1e20, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		f.Add(math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint64) {
		want := math.Float64frombits(bits)
		if math.IsNaN(want) || math.IsInf(want, 0) {
			return
		}
		for _, written := range []string{string(AppendJSONFloat(nil, want)), string(appendPythonFloat(nil, want))} {
			if again, err := strconv.ParseFloat(written, 64); err != nil || math.Float64bits(again) != bits {
				t.Fatalf("%x is written as %q", bits, written)
			}
		}
		if !json.Valid(AppendJSONFloat(nil, want)) {
			t.Fatalf("%x is written as %s, which is not JSON", bits, AppendJSONFloat(nil, want))
		}
	})
}
