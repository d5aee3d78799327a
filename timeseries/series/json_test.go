package series

import (
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
