package column

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

func sameBits(t *testing.T, values []float64) frame {
	t.Helper()
	data, f := appendFloats([]byte{1, 2, 3}, values)
	size := len(data)
	data = append(data, make([]byte, padding)...)
	for from := 0; from < len(values); from += 1 + len(values)/3 {
		got := make([]float64, len(values)-from)
		f.floats(data, from, got)
		for i, v := range values[from:] {
			if math.Float64bits(got[i]) != math.Float64bits(v) && !(math.IsNaN(v) && math.IsNaN(got[i])) {
				t.Fatalf("value %d of %v is %x, not %x (%+v)", from+i, values, math.Float64bits(got[i]), math.Float64bits(v), f)
			}
		}
	}
	if most := 3 + 8*len(values) + len(values)/8 + 8; size > most {
		t.Fatalf("%d values take %d bytes", len(values), size)
	}
	return f
}

func TestFloatsComeBackBitForBit(t *testing.T) {
	t.Parallel()
	nan, odd := math.NaN(), []float64{math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64, 1 << 53, -1<<53 - 2, 1e-9, 1e300, 2.2250738585072011e-308, 0.1 + 0.2, math.NaN()}
	for _, values := range [][]float64{{0}, {nan}, {nan, 1.5, nan}, {-0.01, 327.67}, odd, odd[:1], odd[1:3], {1 << 53, 0.1}, {-9e15 / 1e9, 9e15 / 1e9}, {9007199254740991, -9007199254740991}} {
		sameBits(t, values)
	}
	if f := sameBits(t, []float64{46.16, 46.37, 46.31, nan, 46.36}); f.kind != scaled || f.width != 5 || f.digits != 2 {
		t.Errorf("voltages are packed as %+v", f)
	}
	if f := sameBits(t, []float64{float64(float32(8.15)), float64(float32(0.1))}); f.kind != single {
		t.Errorf("values of 32 bits are packed as %+v", f)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		values := make([]float64, 1+random.IntN(60))
		kind, power := random.IntN(6), math.Pow(10, float64(random.IntN(11)))
		for i := range values {
			switch {
			case kind == 0 || random.IntN(200) == 0:
				values[i] = math.Float64frombits(random.Uint64())
			case kind == 1:
				values[i] = float64(math.Float32frombits(random.Uint32()))
			case kind == 2 && random.IntN(3) == 0:
				values[i] = nan
			case kind == 3:
				values[i] = odd[random.IntN(len(odd))]
			default:
				values[i] = math.Round(random.NormFloat64()*1e4) / power
			}
		}
		sameBits(t, values)
	}
}

func FuzzFloats(f *testing.F) {
	f.Add([]byte("12345678abcdefgh"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		values := []float64{0.25}
		for ; len(raw) >= 8 && len(values) < frameRows; raw = raw[8:] {
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		sameBits(t, values)
	})
}

func TestTimesComeBack(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		times := make([]int64, 1+random.IntN(80))
		at, unit := random.Int64N(1e16)-1e15, []int64{1, 7, 1000, 1e6}[random.IntN(4)]
		step, jitter := random.Int64N(1e6), random.Int64N(5)*random.Int64N(1000)
		for i := range times {
			if times[i] = at; random.IntN(10) > 0 {
				at += (step + random.Int64N(jitter+1)) * unit
			}
			if random.IntN(500) == 0 {
				at += random.Int64N(1e14)
			}
		}
		data, f := appendTimes(nil, times)
		data = append(data, make([]byte, padding)...)
		got := make([]int64, len(times))
		f.times(data, got)
		for i := range times {
			if got[i] != times[i] {
				t.Fatalf("time %d of %v is %d (%+v)", i, times, got[i], f)
			}
		}
	}
	even := make([]int64, frameRows)
	for i := range even {
		even[i] = 1774072800_000_000 + int64(i)*20_000
	}
	if data, _ := appendTimes(nil, even); len(data) > 0 {
		t.Errorf("even times take %d bytes", len(data))
	}
}
