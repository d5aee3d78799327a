// Package mode adds up, record by record, what a car took in each of its driver modes. A
// mode lasts from the record that carries it until another one does, or until the records
// fall silent: what follows a silence is in no mode before one is sent. One goroutine uses
// its values at a time.
package mode

import (
	"slices"
	"strings"
)

const (
	// most bounds the modes that are told apart, and mostBytes the name of one: a car may
	// send anything.
	most      = 100
	mostBytes = 200
)

// Mode is the one that a car is in; empty where none is known.
type Mode string

// Now takes the mode that a record carries, if it does.
func (m *Mode) Now(sent []byte) {
	switch {
	case len(sent) == 0 || string(sent) == string(*m):
	case len(sent) > mostBytes:
		*m = Mode(strings.ToValidUTF8(string(sent[:mostBytes]), "") + "…")
	default:
		*m = Mode(sent)
	}
}

// Sums are what was taken in each mode: s, m and J by the places of their names.
type Sums struct {
	Names                []string
	Seconds, Way, Energy []float64
}

// Add adds what was taken in a mode. Without a mode it is left out, and so it is of modes
// beyond the first hundred.
func (s *Sums) Add(m Mode, seconds, way, energy float64) {
	if m == "" {
		return
	}
	k := slices.Index(s.Names, string(m))
	if k < 0 {
		if k = len(s.Names); k == most {
			return
		}
		s.Names, s.Seconds, s.Way, s.Energy = append(s.Names, string(m)), append(s.Seconds, 0), append(s.Way, 0), append(s.Energy, 0)
	}
	s.Seconds[k] += seconds
	s.Way[k] += way
	s.Energy[k] += energy
}
