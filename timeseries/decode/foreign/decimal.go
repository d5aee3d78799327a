package foreign

import (
	"bytes"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// signs are what numbers may have between their digits.
const signs = ",."

// form is what a cell tells of the signs in it.
type form int

const (
	noNumber form = iota
	short         // up to three digits, no sign
	long          // more digits, no sign: thousands are not parted
	decimal       // the sign can only be a decimal one, as in 0,123 and 48.25
	oneGroup      // 1,234: a decimal sign, or one that parts thousands
	grouped       // 1,234,567 and 1,234.5: the sign can only part thousands
)

// formOf returns the form of a cell, and the index in signs of its (first) sign.
func formOf(cell []byte) (f form, sign int) {
	cell = trim(cell)
	for len(cell) > 0 && (cell[0] == '+' || cell[0] == '-') {
		cell = cell[1:]
	}
	first := 0
	for first < len(cell) && cell[first] != signs[0] && cell[first] != signs[1] {
		first++
	}
	if first == len(cell) {
		switch {
		case !isDigits(cell) || len(cell) > 1 && cell[0] == '0':
			return noNumber, 0
		case len(cell) > 3:
			return long, 0
		}
		return short, 0
	}
	sign = strings.IndexByte(signs, cell[first])
	if other := bytes.IndexByte(cell[first:], signs[1-sign]); other >= 0 {
		if isDigits(cell[first+other+1:]) && groups(cell[:first+other], signs[sign]) > 1 {
			return grouped, sign
		}
		return noNumber, 0
	}
	switch groups(cell, signs[sign]) {
	case 0, 1:
		if _, ok := number(cell, sign == 0, true); ok {
			return decimal, sign
		}
		return noNumber, 0
	case 2:
		return oneGroup, sign
	}
	return grouped, sign
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return len(text) > 0
}

// groups is how many groups the sign parts the digits of a cell into; 0 where
// not each but the first, which begins with no zero, has three of them.
func groups(cell []byte, sign byte) (n int) {
	for begin := 0; ; n++ {
		end := begin
		for end < len(cell) && cell[end]-'0' <= 9 {
			end++
		}
		length := end - begin
		if n == 0 && (length == 0 || length > 3 || cell[0] == '0') || n > 0 && length != 3 {
			return 0
		}
		if end == len(cell) {
			return n + 1
		}
		if cell[end] != sign {
			return 0
		}
		begin = end + 1
	}
}

// ungroup drops the signs that part the thousands of a cell, where it has any.
func (c *Column) ungroup(cell []byte) []byte {
	if c.group == 0 || bytes.IndexByte(cell, c.group) < 0 {
		return cell
	}
	if f, sign := formOf(cell); (f == oneGroup || f == grouped) && signs[sign] == c.group {
		return bytes.ReplaceAll(cell, []byte{c.group}, nil)
	}
	return cell
}

// findDecimals finds out which sign parts thousands in which column: what the
// column's own cells cannot tell, those of the others may. 1,000 after 999 may
// be one or a thousand; where nothing in the file says which, it is asked for.
func (p *plan) findDecimals() error {
	type seen struct {
		n    [grouped + 1][len(signs)]int
		line int // of the first cell that can be read in two ways
		cell []byte
	}
	columns, proven := make([]seen, len(p.columns)), [len(signs)]bool{}
	// Between commas, and without quotes, no cell holds one: the first number with
	// a fraction tells all of a channel's cells.
	points := p.layout.sep == ',' && !p.layout.quoted
	for i := range p.columns {
		c, s := &p.columns[i], &columns[i]
		if c.Known && !c.numeric || c.Name == "" {
			s.n[noNumber][0]++
			continue
		}
		for cell, line := range p.samples(i) {
			if IsMissing(cell) {
				continue
			}
			f, sign := formOf(cell)
			if s.n[f][sign]++; f == oneGroup && s.line == 0 {
				s.line, s.cell = line, cell
			}
			if f == decimal && points && c.numeric {
				break
			}
		}
		if s.n[noNumber][0] == 0 || c.numeric {
			for sign := range signs {
				proven[sign] = proven[sign] || s.n[decimal][sign] > 0 || s.n[grouped][1-sign] > 0 && c.numeric
			}
		}
	}
	switch p.opt.Decimal {
	case "":
	case "comma":
		proven = [len(signs)]bool{true, false}
	case "point":
		proven = [len(signs)]bool{false, true}
	default:
		return fault.Field("decimal", "%q is neither comma nor point", fault.Clip(p.opt.Decimal))
	}
	for i := range columns {
		c, s := &p.columns[i], &columns[i]
		if s.n[noNumber][0] > 0 && !c.numeric {
			continue
		}
		for sign := range signs {
			one, others := s.n[oneGroup][sign], s.n[short][0]+s.n[grouped][sign]
			switch {
			case s.n[decimal][sign] > 0:
			case s.n[grouped][sign] > 0 && (c.numeric || one > 0):
				c.group = signs[sign]
			case proven[1-sign] && !proven[sign]:
				// Later cells are read so as well: 2.500 would be a number else.
				if one > 0 || signs[sign] == '.' && p.layout.sep != ',' {
					c.group = signs[sign]
				}
			case one == 0 || proven[sign] && !proven[1-sign] || s.n[long][0] > 0:
			case signs[sign] == '.' && p.layout.sep == ',': // the comma is taken
			case others > 0 || proven[0] && proven[1]:
				return fault.Field("decimal", "line %d, column %q: %q may be a number of thousands or one with a fraction, and nothing in the file tells: say which sign stands before fractions with %s or %s",
					s.line, fault.Clip(c.Label), fault.Clip(string(s.cell)), p.ask("decimal", "comma"), p.ask("decimal", "point"))
			}
		}
	}
	return nil
}
