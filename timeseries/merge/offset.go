package merge

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// compared are the channels that clocks are compared by, the most telling
// first. Counters, means and estimates are not among them: they look alike
// wherever they are laid.
var compared = []string{
	"speed_ms", "current_a", "power_w", "motor_rpm", "throttle_pct", "vesc_current_a", "voltage_v", "accel_x", "accel_y", "gyro_z",
	"brake_pct", "throttle", "motor_current_a", "motor_phase_1_current_a", "vesc_voltage_v", "latitude", "longitude", "altitude_m", "avg_power_w", "avg_speed_kmh",
}

const (
	// mostCompared bounds how many of them are used.
	mostCompared = 6
	// leastSamples is how many instants must be in both.
	leastSamples = 30
	// mostCells bounds the grid that whole runs are laid over each other on.
	mostCells = 1 << 16
	// detail is how long a feature of a drive is at most: slower changes are
	// taken out, since any two slow changes look alike.
	detail = 60 * time.Second
	// convincing is the least correlation, over all channels, of two logs of one
	// drive. Sensors of one car have 0.9 and more, two drives on one track 0.3 to
	// 0.7.
	convincing = 0.75
	// rivals is how good the second place may be, as a share of the evidence for
	// the first.
	rivals = 0.85
)

// signal is one channel of a log: its samples in order of time.
type signal struct {
	at    []int64 // µs
	value []float64
}

// log is what clocks are compared by: the same channels in both.
type log []signal

// match says how two clocks were found to belong together.
type match struct {
	Offset      time.Duration // to add to the logger's times
	Correlation float64       // over all channels compared, 0 to 1; the rest is noise
	Drift       time.Duration // by how much the offset grows from the begin to the end of what is in both
}

// findOffset finds the offset of the logger's clock by laying the two logs over
// each other in every way. Rates may differ and both may have holes. It returns
// an Invalid fault where no place, or more than one, is convincing.
func findOffset(radio, logger log) (match, error) {
	cell := max(usual(radio), usual(logger), 50*time.Millisecond)
	rFrom, rTo := bounds(radio)
	lFrom, lTo := bounds(logger)
	cell = max(cell, time.Duration(max(rTo-rFrom, lTo-lFrom))*time.Microsecond/mostCells)
	step := cell.Microseconds()
	coarse, err := overlay(radio, logger, rFrom, lFrom, step)
	if err != nil {
		return match{}, err
	}
	offset := refine(radio, logger, coarse, step)
	m := match{Offset: time.Duration(offset) * time.Microsecond, Correlation: correlation(radio, logger, offset)}
	if m.Correlation < convincing {
		return m, fault.New(fault.Invalid, "the file does not fit the run: at the best place their channels correlate by %.2f, and %.2f is the least to believe; give the offset of the clocks if it is the same drive", m.Correlation, convincing)
	}
	// Clocks that run at different rates: the offset of either end.
	from, to := max(rFrom, lFrom+offset), min(rTo, lTo+offset)
	if third := (to - from) / 3; third > 20*step {
		early := refine(radio.between(from, from+third), logger, offset, step)
		late := refine(radio.between(to-third, to), logger, offset, step)
		m.Drift = time.Duration(late-early) * time.Microsecond * 3 / 2
	}
	return m, nil
}

// overlay finds the place at which the logs fit best, to a cell of a grid. For
// each lag it correlates the cells that both have (Padfield, "Masked object
// registration in the Fourier domain", 2012).
func overlay(radio, logger log, rFrom, lFrom, step int64) (offset int64, err error) {
	_, rTo := bounds(radio)
	_, lTo := bounds(logger)
	nr, nl := int((rTo-rFrom)/step)+1, int((lTo-lFrom)/step)+1
	size := 1
	for size < nr+nl {
		size *= 2
	}
	fft := fourier.NewFFT(size)
	smooth := max(2, int(detail.Microseconds()/step/2))
	evidence := make([]float64, size) // of lag k, at k mod size
	for c := range radio {
		x, mx := gridded(radio[c], rFrom, step, nr, size, smooth)
		y, my := gridded(logger[c], lFrom, step, nl, size, smooth)
		fx, fmx, fxx := fft.Coefficients(nil, x), fft.Coefficients(nil, mx), fft.Coefficients(nil, squared(x))
		fy, fmy, fyy := fft.Coefficients(nil, y), fft.Coefficients(nil, my), fft.Coefficients(nil, squared(y))
		n, sx, sy := crossed(fft, fmx, fmy), crossed(fft, fx, fmy), crossed(fft, fmx, fy)
		sxx, syy, sxy := crossed(fft, fxx, fmy), crossed(fft, fmx, fyy), crossed(fft, fx, fy)
		flatX, flatY := 1e-9*sum(squared(x))/float64(nr), 1e-9*sum(squared(y))/float64(nl)
		least := max(leastSamples, 0.2*min(sum(mx), sum(my)))
		for k := range size {
			if n[k] < least-0.5 {
				continue
			}
			vx, vy := sxx[k]-sx[k]*sx[k]/n[k], syy[k]-sy[k]*sy[k]/n[k]
			if vx < flatX || vy < flatY {
				continue
			}
			evidence[k] += weight((sxy[k]-sx[k]*sy[k]/n[k])/math.Sqrt(vx*vy), n[k])
		}
	}
	best := slices.Index(evidence, slices.Max(evidence))
	if evidence[best] <= 0 {
		return 0, fault.New(fault.Invalid, "the file does not fit the run: no place has %d instants in both whose channels go alike; give the offset of the clocks if it is the same drive", leastSamples)
	}
	// The peak reaches down to half its height.
	lo, hi := 0, 0
	for hi < size/2 && evidence[(best+hi)%size] > evidence[best]/2 {
		hi++
	}
	for lo < size/2 && evidence[(best-lo+size)%size] > evidence[best]/2 {
		lo++
	}
	rival := 0.0
	for d := hi; d < size-lo; d++ {
		rival = max(rival, evidence[(best+d)%size])
	}
	if rival > rivals*evidence[best] {
		return 0, fault.New(fault.Invalid, "the file fits the run at more than one place nearly alike; give the offset of the clocks")
	}
	if best >= size/2 || best >= nr {
		best -= size
	}
	return rFrom - lFrom + int64(best)*step, nil
}

// weight is the evidence that a correlation over n samples is: the logarithm of
// its likelihood ratio, for signals that go alike; against it, for opposite ones.
func weight(r, n float64) float64 {
	const all = 1 - 1e-12 // of two copies of one log
	r = max(-all, min(all, r))
	w := -n / 2 * math.Log(1-r*r)
	if r < 0 {
		return -w
	}
	return w
}

// gridded lays a signal on a grid: the mean of each cell, without what changes
// more slowly than a drive does, and which cells have one.
func gridded(s signal, from, step int64, cells, size, smooth int) (x, mask []float64) {
	x, mask = make([]float64, size), make([]float64, size)
	for i, at := range s.at {
		c := int((at - from) / step)
		x[c] += s.value[i]
		mask[c]++
	}
	sums, counts := make([]float64, cells+1), make([]float64, cells+1)
	for c := range cells {
		if mask[c] > 0 {
			x[c] /= mask[c]
			mask[c] = 1
		}
		sums[c+1], counts[c+1] = sums[c]+x[c], counts[c]+mask[c]
	}
	for c := range cells {
		if mask[c] > 0 {
			lo, hi := max(0, c-smooth), min(cells, c+smooth+1)
			x[c] -= (sums[hi] - sums[lo]) / (counts[hi] - counts[lo])
		}
	}
	return x, mask
}

// crossed is the sum over j of a[j+k] times b[j], at each k.
func crossed(fft *fourier.FFT, a, b []complex128) []float64 {
	product := make([]complex128, len(a))
	for i := range a {
		product[i] = a[i] * complex(real(b[i]), -imag(b[i]))
	}
	out := fft.Sequence(nil, product)
	for i := range out {
		out[i] /= float64(len(out))
	}
	return out
}

// refine moves an offset to where the samples themselves fit best.
func refine(radio, logger log, offset, within int64) int64 {
	const ways = 6
	for step := within / 2; step >= 200; step = step * 2 / ways {
		best, at := math.Inf(-1), offset
		for k := int64(-ways / 2); k <= ways/2; k++ {
			if e, _ := fit(radio, logger, offset+k*step); e > best {
				best, at = e, offset+k*step
			}
		}
		offset = at
	}
	return offset
}

// correlation is that of all channels together at an offset.
func correlation(radio, logger log, offset int64) float64 {
	e, n := fit(radio, logger, offset)
	if e <= 0 || n == 0 {
		return 0
	}
	return math.Sqrt(1 - math.Exp(-2*e/n))
}

// fit is the evidence for an offset, and how many samples were compared: those
// of the slower log, with the other's values between its samples.
func fit(radio, logger log, offset int64) (evidence, samples float64) {
	for c := range radio {
		slow, fast, move := radio[c], logger[c], -offset
		if len(slow.at) < 2 || len(fast.at) < 2 {
			continue
		}
		if slow.step() < fast.step() {
			slow, fast, move = fast, slow, offset
		}
		gap := channel.GapAfter(fast.step()).Microseconds()
		var n, sx, sy, sxx, syy, sxy float64
		x0, y0 := slow.value[0], fast.value[0]
		j := 0
		for i := 0; i < len(slow.at); i += 1 + len(slow.at)/20_000 {
			at := slow.at[i] + move
			for j < len(fast.at) && fast.at[j] <= at {
				j++
			}
			if j == 0 || j == len(fast.at) || fast.at[j]-fast.at[j-1] > gap {
				continue
			}
			part := float64(at-fast.at[j-1]) / float64(fast.at[j]-fast.at[j-1])
			x, y := slow.value[i]-x0, fast.value[j-1]+part*(fast.value[j]-fast.value[j-1])-y0
			n, sx, sy, sxx, syy, sxy = n+1, sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
		}
		vx, vy := sxx-sx*sx/max(n, 1), syy-sy*sy/max(n, 1)
		if n < leastSamples/2 || vx <= 1e-12*sxx || vy <= 1e-12*syy {
			continue
		}
		evidence += weight((sxy-sx*sy/n)/math.Sqrt(vx*vy), n)
		samples += n
	}
	return evidence, samples
}

func (s signal) step() time.Duration {
	if len(s.at) < 2 {
		return 0
	}
	steps := make([]time.Duration, 0, 1024)
	for i := 1; i < len(s.at); i += 1 + len(s.at)/1024 {
		steps = append(steps, time.Duration(s.at[i]-s.at[i-1])*time.Microsecond)
	}
	return channel.UsualStep(steps)
}

// usual is the longest usual step of a log's channels.
func usual(l log) (step time.Duration) {
	for _, s := range l {
		step = max(step, s.step())
	}
	return step
}

func (l log) between(from, to int64) log {
	part := make(log, len(l))
	for c, s := range l {
		i, _ := slices.BinarySearch(s.at, from)
		j, _ := slices.BinarySearch(s.at, to)
		part[c] = signal{s.at[i:j], s.value[i:j]}
	}
	return part
}

func bounds(l log) (from, to int64) {
	from, to = math.MaxInt64, math.MinInt64
	for _, s := range l {
		from, to = min(from, s.at[0]), max(to, s.at[len(s.at)-1])
	}
	return from, to
}

func squared(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v * v
	}
	return out
}

func sum(x []float64) (total float64) {
	for _, v := range x {
		total += v
	}
	return total
}
