package column

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// frameRows is how many rows are packed together: so few that the times and values of
// a channel in them differ little, so many that what describes them is small beside them.
const frameRows = 1024

// packed says how the values of a frame are packed.
type packed uint8

const (
	absent packed = iota // no row has a value
	scaled               // whole numbers, divided by a power of ten
	single               // those that 32 bits hold
	double               // as they are
	moment               // times: base + row * step + unit * number
)

// frame is up to frameRows rows of one column.
type frame struct {
	kind   packed
	holes  bool  // a bit for each row precedes the numbers: whether it has a value
	digits uint8 // of scaled: the power of ten
	width  uint8 // of a number, bits
	rows   int
	base   int64 // what is added to each number
	step   int64 // of moment, µs
	unit   int64
	first  int64 // of moment: the first row's time, µs since 1970
	at     int   // where its bytes begin
}

// Bounds of a number: with the bits before it in its first byte, eight bytes hold it.
const (
	mostWidth  = 56
	mostDigits = 9
	exact      = 1 << 53 // whole numbers up to that are floats of their own
)

var powers = func() (p [mostDigits + 1]float64) {
	p[0] = 1
	for i := 1; i <= mostDigits; i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// number is the whole number that is v when divided by that power of ten, if there is one.
func number(v float64, digits int) (int64, bool) {
	n := math.RoundToEven(v * powers[digits])
	if !(n > -exact && n < exact) || math.Float64bits(n/powers[digits]) != math.Float64bits(v) {
		return 0, false
	}
	return int64(n), n != 0 || !math.Signbit(v)
}

// appendFloats packs values, of which NaN stands for none. What is unpacked has the
// same bits.
func appendFloats(data []byte, values []float64) ([]byte, frame) {
	f := frame{rows: len(values), at: len(data)}
	present := 0
	digits, narrow := 0, true
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		present++
		for digits <= mostDigits {
			if _, ok := number(v, digits); ok {
				break
			}
			digits++
		}
		narrow = narrow && math.Float64bits(float64(float32(v))) == math.Float64bits(v)
	}
	if present == 0 {
		return data, f
	}
	numbers := make([]uint64, len(values))
	if !f.scale(values, numbers, digits) {
		f.kind, f.width, f.base = double, 64, 0
		if narrow {
			f.kind, f.width = single, 32
		}
		for i, v := range values {
			if numbers[i] = math.Float64bits(v); narrow {
				numbers[i] = uint64(math.Float32bits(float32(v)))
			}
		}
	}
	if f.holes = present < len(values); f.holes {
		marks := make([]byte, (len(values)+7)/8)
		for i, v := range values {
			if math.IsNaN(v) {
				numbers[i] = 0
			} else {
				marks[i/8] |= 1 << (i % 8)
			}
		}
		data = append(data, marks...)
	}
	return appendNumbers(data, numbers, f.width), f
}

// scale turns values into numbers, if all can be with so many digits.
func (f *frame) scale(values []float64, numbers []uint64, digits int) bool {
	if digits > mostDigits {
		return false
	}
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		n, ok := number(v, digits)
		if !ok {
			return false
		}
		low, high, numbers[i] = min(low, n), max(high, n), uint64(n)
	}
	f.kind, f.digits, f.base, f.width = scaled, uint8(digits), low, uint8(bits.Len64(uint64(high-low)))
	for i := range numbers {
		numbers[i] -= uint64(low)
	}
	return f.width <= mostWidth
}

// appendTimes packs times, which are in order.
func appendTimes(data []byte, times []int64) ([]byte, frame) {
	first, n := times[0], len(times)
	f := frame{kind: moment, rows: n, first: first, at: len(data)}
	for _, t := range times {
		f.unit = divisor(f.unit, t-first)
	}
	f.unit = max(f.unit, 1)
	if n > 1 {
		f.step = (times[n-1] - first) / int64(n-1) / f.unit * f.unit
	}
	low, high := int64(0), int64(0)
	off := func(i int) int64 { return times[i] - first - int64(i)*f.step }
	for i := range times {
		low, high = min(low, off(i)), max(high, off(i))
	}
	f.base, f.width = first+low, uint8(bits.Len64(uint64((high-low)/f.unit)))
	numbers := make([]uint64, n)
	for i := range times {
		numbers[i] = uint64((off(i) - low) / f.unit)
	}
	if f.width > mostWidth {
		f.width = 64
	}
	return appendNumbers(data, numbers, f.width), f
}

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// appendNumbers packs numbers of that many bits, the lowest first.
func appendNumbers(data []byte, numbers []uint64, width uint8) []byte {
	if width == 64 {
		for _, n := range numbers {
			data = binary.LittleEndian.AppendUint64(data, n)
		}
		return data
	}
	var pending uint64
	held := uint8(0)
	for _, n := range numbers {
		pending |= n << held
		for held += width; held >= 8; held -= 8 {
			data = append(data, byte(pending))
			pending >>= 8
		}
	}
	if held > 0 {
		data = append(data, byte(pending))
	}
	return data
}

// padding stands behind all frames, so that eight bytes can be read from any number.
const padding = 8

// times unpacks a frame into out, which has its length.
func (f *frame) times(data []byte, out []int64) {
	at, mask, width := f.base, uint64(1)<<f.width-1, int(f.width)
	data = data[f.at:]
	if f.width == 64 {
		for i := range out {
			out[i] = at + int64(binary.LittleEndian.Uint64(data[8*i:]))*f.unit
			at += f.step
		}
		return
	}
	for i, bit := 0, 0; i < len(out); i++ {
		out[i] = at + int64(binary.LittleEndian.Uint64(data[bit>>3:])>>(bit&7)&mask)*f.unit
		at, bit = at+f.step, bit+width
	}
}

// floats unpacks the rows from that one on into out.
func (f *frame) floats(data []byte, from int, out []float64) {
	data = data[f.at:]
	marks := data
	if f.holes {
		data = data[(f.rows+7)/8:]
	}
	mask, width, bit := uint64(1)<<f.width-1, int(f.width), from*int(f.width)
	switch f.kind {
	case absent:
		for i := range out {
			out[i] = math.NaN()
		}
	case scaled:
		power := powers[f.digits]
		for i := range out {
			out[i] = float64(f.base+int64(binary.LittleEndian.Uint64(data[bit>>3:])>>(bit&7)&mask)) / power
			bit += width
		}
	case single:
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*(from+i):])))
		}
	case double:
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*(from+i):]))
		}
	}
	if f.holes {
		for i := range out {
			if marks[(from+i)/8]>>((from+i)%8)&1 == 0 {
				out[i] = math.NaN()
			}
		}
	}
}
