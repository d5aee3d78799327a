package foreign

import (
	"bytes"

	"github.com/ecovolt/telemetryd/internal/fault"
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

// findDecimals finds out which sign parts thousands in which column: what the
// column's own cells cannot tell, those of the others may. 1,000 after 999 may
// be one or a thousand; where nothing in the file says which, it is asked for.
func (p *plan) findDecimals() error {
	type seen struct {
		n    [number.Grouped + 1][len(number.Signs)]int
		line int // of the first cell that can be read in two ways
		cell []byte
	}
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
		for cell, line := range p.samples(i) {
			if number.IsMissing(cell) {
				continue
			}
			f, sign := number.FormOf(cell)
			if s.n[f][sign]++; f == number.OneGroup && s.line == 0 {
				s.line, s.cell = line, cell
			}
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
