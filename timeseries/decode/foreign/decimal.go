package foreign

import (
	"bytes"
	"iter"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
)

// ungroup drops the signs that part the thousands of a cell, where it has any.
func (c *Column) ungroup(cell []byte) []byte {
	if c.group == 0 || bytes.IndexByte(cell, c.group) < 0 {
		return cell
	}
	if f, sign := number.FormOf(cell); (f == number.OneGroup || f == number.Grouped) && number.Signs[sign] == c.group {
		return bytes.ReplaceAll(cell, []byte{c.group}, nil)
	}
	return cell
}

// seen is what was seen of a column's cells.
type seen struct {
	n       [number.Grouped + 1][len(number.Signs)]int // by form and sign
	line    int                                        // of the first cell that can be read in two ways
	cell    []byte
	numbers int    // how many of the cells are plain ones, as far as they were counted
	odd     []*row // where the others are
}

const pointSign = 1 // the point in number.Signs

func (s *seen) add(f number.Form, sign int, cell []byte, line int) {
	if s.n[f][sign]++; f == number.OneGroup && (s.line == 0 || line < s.line) {
		s.line, s.cell = line, cell
	}
}

// seen returns what a column that is no channel by its name has of plain numbers, and
// its other cells with their lines. A wide file has hundreds of such columns, of
// hardly anything but numbers: these are looked at once, row by row.
func (p *plan) seen(i int) (seen, iter.Seq2[[]byte, int]) {
	if p.counts == nil {
		p.count()
	}
	s := p.counts[i]
	if s.numbers == 0 {
		return s, p.samples(i)
	}
	return s, func(yield func([]byte, int) bool) {
		for _, r := range s.odd {
			if !yield(r.cells[i], r.line) {
				return
			}
		}
	}
}

func (p *plan) count() {
	p.counts = make([]seen, len(p.columns))
	var own []int
	for i, l := range p.labels {
		if to, _, ok := label.Target(l.Name); !ok || to == label.Time {
			own = append(own, i)
		}
	}
	p.samples(0) // reads the head's records
	for _, r := range p.records {
		for _, i := range own {
			if i >= len(r.cells) {
				break
			}
			cell, s := r.cells[i], &p.counts[i]
			if len(cell) == 0 {
				continue
			}
			if f := number.PlainForm(cell); f != number.None {
				sign := 0
				if f == number.Decimal || f == number.OneGroup {
					sign = pointSign
				}
				s.add(f, sign, cell, r.line)
				s.numbers++
			} else {
				s.odd = append(s.odd, r)
			}
		}
	}
}

// findDecimals finds out which sign parts thousands in which column: what the
// column's own cells cannot tell, those of the others may. 1,000 after 999 may
// be one or a thousand; where nothing in the file says which, it is asked for.
func (p *plan) findDecimals() error {
	columns, proven := make([]seen, len(p.columns)), [len(number.Signs)]bool{}
	// Between commas, and without quotes, no cell holds one: the first number with
	// a fraction tells all of a channel's cells.
	points := p.layout.sep == ',' && !p.layout.quoted
	for i := range p.columns {
		c, s := &p.columns[i], &columns[i]
		if c.Known && !c.numeric || c.Name == "" {
			s.n[number.None][0]++
			continue
		}
		cells := p.samples(i)
		if !c.Known {
			*s, cells = p.seen(i)
		}
		for cell, line := range cells {
			if number.IsMissing(cell) {
				continue
			}
			f, sign := number.FormOf(cell)
			s.add(f, sign, cell, line)
			if f == number.Decimal && points && c.numeric {
				break
			}
		}
		if s.n[number.None][0] == 0 || c.numeric {
			for sign := range number.Signs {
				proven[sign] = proven[sign] || s.n[number.Decimal][sign] > 0 || s.n[number.Grouped][1-sign] > 0 && c.numeric
			}
		}
	}
	switch p.opt.Decimal {
	case "":
	case "comma":
		proven = [len(number.Signs)]bool{true, false}
	case "point":
		proven = [len(number.Signs)]bool{false, true}
	default:
		return fault.Field("decimal", "%q is neither comma nor point", fault.Clip(p.opt.Decimal))
	}
	for i := range columns {
		c, s := &p.columns[i], &columns[i]
		if s.n[number.None][0] > 0 && !c.numeric {
			continue
		}
		for sign := range number.Signs {
			one, others := s.n[number.OneGroup][sign], s.n[number.Short][0]+s.n[number.Grouped][sign]
			switch {
			case s.n[number.Decimal][sign] > 0:
			case s.n[number.Grouped][sign] > 0 && (c.numeric || one > 0):
				c.group = number.Signs[sign]
			case proven[1-sign] && !proven[sign]:
				// Later cells are read so as well: 2.500 would be a number else.
				if one > 0 || number.Signs[sign] == '.' && p.layout.sep != ',' {
					c.group = number.Signs[sign]
				}
			case one == 0 || proven[sign] && !proven[1-sign] || s.n[number.Long][0] > 0:
			case number.Signs[sign] == '.' && p.layout.sep == ',': // the comma is taken
			case others > 0 || proven[0] && proven[1]:
				return fault.Field("decimal", "line %d, column %q: %q may be a number of thousands or one with a fraction, and nothing in the file tells: say which sign stands before fractions with %s or %s",
					s.line, fault.Clip(c.Label), fault.Clip(string(s.cell)), p.ask("decimal", "comma"), p.ask("decimal", "point"))
			}
		}
	}
	return nil
}
