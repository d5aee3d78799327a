package digits

import (
	"math"
	"strconv"
	"testing"
)

// Numbers read back as they were, and means to twelve digits.
func FuzzAppend(f *testing.F) {
	for _, v := range []float64{0, -0.001, 0.1, 1.005, 999.999, -46.04, 1e11, 1e12, 1e-7, 1.0 / 3, math.MaxFloat64, 123456789.1234} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		text := string(Append(nil, v))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			if text != "null" {
				t.Errorf("%v is written %s", v, text)
			}
			return
		}
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != v {
			t.Errorf("%v is written %s and read as %v, %v", v, text, back, err)
		}
		mean, err := strconv.ParseFloat(string(AppendMean(nil, v)), 64)
		if err != nil || math.Abs(mean-v) > 1e-11*math.Abs(v) {
			t.Errorf("the mean %v is read as %v, %v", v, mean, err)
		}
	})
}
