package series

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// What is kept of answers has a bound, so that none is larger than it says.
func TestSizeOfAnswer(t *testing.T) {
	const n = 1000
	one := Session{X: make([]float64, n), Metrics: []Metric{{Gaps: make([][2]float64, n)}}, States: []State{{Last: make([]string, n)}}}
	for i := range n {
		one.X[i], one.Metrics[0].Gaps[i] = 1.8e12+float64(i), [2]float64{1.8e12 + float64(i), 1.8e12 + float64(i) + 0.5}
		one.States[0].Last[i] = strings.Repeat("é", 100)
	}
	answer := Answer{Sessions: []Session{one}}
	if size, text := answer.size(), len(answer.JSON()); text > size/2 {
		t.Errorf("%d bytes of JSON of an answer that says %d for everything", text, size)
	}
}

// Numbers read back as they were, and means to twelve digits.
func FuzzAppendNumber(f *testing.F) {
	for _, v := range []float64{0, -0.001, 0.1, 1.005, 999.999, -46.04, 1e11, 1e12, 1e-7, 1.0 / 3, math.MaxFloat64, 123456789.1234} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		text := string(appendNumber(nil, v))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			if text != "null" {
				t.Errorf("%v is written %s", v, text)
			}
			return
		}
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != v {
			t.Errorf("%v is written %s and read as %v, %v", v, text, back, err)
		}
		mean, err := strconv.ParseFloat(string(appendMean(nil, v)), 64)
		if err != nil || math.Abs(mean-v) > 1e-11*math.Abs(v) {
			t.Errorf("the mean %v is read as %v, %v", v, mean, err)
		}
	})
}
