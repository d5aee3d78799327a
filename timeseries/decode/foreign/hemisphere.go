package foreign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
)

// hemisphere is the column that tells the sign of a latitude or longitude: another
// one, or its own, as 48.1173N does.
type hemisphere struct {
	column   int
	negative byte // S or W
}

// findHemispheres looks for columns of N and S, or E and W: beside the position's
// column, or with a name that tells. Another one is warned of.
func (p *plan) findHemispheres() {
	for _, h := range []struct {
		channel, letters string
		names            []string
	}{
		{"latitude", "NS", []string{"ns", "n_s", "lat", "latitude"}},
		{"longitude", "EW", []string{"ew", "e_w", "lon", "long", "lng", "longitude"}},
	} {
		at := slices.IndexFunc(p.columns, func(c Column) bool { return c.Name == h.channel })
		if at < 0 {
			continue
		}
		if p.holdsOnly(at, h.letters, func(cell []byte) []byte { _, letter := number.SplitLetter(cell); return letter }) {
			p.columns[at].hemisphere = &hemisphere{at, h.letters[1]}
		}
		for i := range p.columns {
			if p.columns[i].Known || p.columns[i].Name == "" || !p.holdsOnly(i, h.letters, number.Trim) {
				continue
			}
			name := p.labels[i].Name
			named := slices.ContainsFunc(h.names, func(n string) bool {
				return name == n || strings.HasPrefix(name, n+"_") || strings.HasSuffix(name, "_"+n)
			})
			if p.columns[at].hemisphere == nil && (named || i == at+1 || i == at-1) {
				p.columns[at].hemisphere = &hemisphere{i, h.letters[1]}
				continue
			}
			p.warnings = append(p.warnings, fmt.Sprintf("column %q holds %c and %c, but is not known to belong to %q: its signs are as they stand there",
				fault.Clip(p.columns[i].Label), h.letters[0], h.letters[1], fault.Clip(p.columns[at].Label)))
		}
	}
}

// holdsOnly reports whether what of a column's cells is looked at is one of the
// letters each.
func (p *plan) holdsOnly(i int, letters string, of func(cell []byte) []byte) bool {
	filled := false
	for cell := range p.samples(i) {
		if number.IsMissing(cell) {
			continue
		}
		if cell = of(cell); len(cell) != 1 || strings.IndexByte(letters, cell[0]&^0x20) < 0 {
			return false
		}
		filled = true
	}
	return filled
}

// signed returns a position with the sign that the letter says. Without one that
// it knows the cell is no number any more, and its record is told of.
func (h *hemisphere) signed(cell, letter []byte) []byte {
	letter = number.Trim(letter)
	if len(letter) != 1 || !strings.ContainsRune("NSEW", rune(letter[0]&^0x20)) {
		return fmt.Appendf(nil, "%s %q", cell, letter)
	}
	if letter[0]&^0x20 == h.negative && cell[0] != '-' {
		return append([]byte{'-'}, cell...)
	}
	return cell
}
