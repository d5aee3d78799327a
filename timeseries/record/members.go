package record

import "iter"

// Span is how long a member of an object without white space is, as it is encoded, and
// its number.
type Span struct {
	Name, Value uint32
	Number      Number
	Numeric     bool
}

// isUsual reports whether it is a number, no boolean, of so few digits that a float
// tells it from others.
func (s *Span) isUsual() bool { return s.Numeric && s.Value <= 17 && s.Number.scale() != truth }

// spanned returns the name and the value of the member that stands there, and where the
// next one does.
func spanned(object []byte, at int, s *Span) (name, value []byte, next int) {
	colon := at + int(s.Name)
	next = colon + 1 + int(s.Value)
	return object[at:colon], object[colon+1 : next], next + 1
}

// Members are those of a JSON object, in its order: names with their quotes, and values
// as they stand. The object is one that was checked, or that PostgreSQL wrote.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for at := skip(object, 1); object[at] == '"'; {
			end := endOf(object, at)
			begin := skip(object, skip(object, end)+len(":"))
			next := endOf(object, begin)
			if !yield(object[at:end], object[begin:next]) {
				return
			}
			if at = skip(object, next); object[at] == ',' {
				at = skip(object, at+1)
			}
		}
	}
}

// skip returns where the white space from there on ends.
func skip(object []byte, at int) int {
	for object[at] <= ' ' {
		at++
	}
	return at
}

// endOf returns where the value that begins there ends.
func endOf(object []byte, at int) int {
	depth := 0
	for ; ; at++ {
		switch c := object[at]; c {
		case '"':
			for at++; object[at] != '"'; at++ {
				if object[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default: // up to the end of a number or a word
			if depth > 0 {
				continue
			}
			for c := object[at]; c > ' ' && c != ',' && c != '}' && c != ']'; c = object[at] {
				at++
			}
			return at
		}
		if depth == 0 {
			return at + 1
		}
	}
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// Decimal reads a JSON number as most are: of so few digits that these and the power
// of ten are exact, so that one division rounds as it should. It reports false for others.
func Decimal(number []byte) (v float64, ok bool) {
	digits := number
	if number[0] == '-' {
		digits = number[1:]
	}
	if len(digits) > len(powersOfTen) {
		return 0, false
	}
	mantissa, point := int64(0), len(digits)-1
	for i, c := range digits {
		switch {
		case c-'0' <= 9:
			mantissa = mantissa*10 + int64(c-'0')
		case c == '.':
			point = i
		default:
			return 0, false
		}
	}
	v = float64(mantissa) / powersOfTen[len(digits)-1-point]
	if len(digits) < len(number) {
		v = -v
	}
	return v, true
}
