package track

import "math"

// headingOver is how far to each side of a corner tell the line's direction there, m.
const headingOver = 10

// Even spaces corners that lie at equal lengths of what was driven as evenly: each is
// the mean of few fixes, and off by decimetres along the line, by which gates would lie
// elsewhere than their places say. Which way the line leads its corners tell far better
// than how far; so corners are moved along it to where they lie by direction and length.
// That holds over reach, m; over more of the line, lengths add up less well than
// the means of its fixes tell.
func (l *Line) Even(reach float64) {
	m := len(l.X)
	w := min((m-1)/4, int(math.Round(reach/2/l.Step)))
	if w < 1 {
		return
	}
	half := max(1, int(math.Round(headingOver/l.Step)))
	ux, uy := make([]float64, m), make([]float64, m)
	pace, driftX, driftY := 0.0, 0.0, 0.0
	between := func(a, b int) (x, y float64) {
		a, b = (a+m)%m, b%m
		return l.X[b] - l.X[a], l.Y[b] - l.Y[a]
	}
	for i := range m {
		x, y := between(i-half, i+half)
		if size := math.Hypot(x, y); size > 0 {
			ux[i], uy[i] = x/size, y/size
		}
		x, y = between(i-1, i+1)
		pace += (x*ux[i] + y*uy[i]) / 2
		driftX, driftY = driftX+ux[i], driftY+uy[i]
	}
	pace, driftX, driftY = pace/float64(m), driftX/float64(m), driftY/float64(m)
	offX, offY := make([]float64, m), make([]float64, m)
	x, y := l.X[0], l.Y[0]
	for i := range m {
		offX[i], offY[i] = x-l.X[i], y-l.Y[i]
		next := (i + 1) % m
		x += pace * ((ux[i]+ux[next])/2 - driftX)
		y += pace * ((uy[i]+uy[next])/2 - driftY)
	}
	meanX, meanY := mean(mean(offX, w), w), mean(mean(offY, w), w)
	for i := range m {
		along := (offX[i]-meanX[i])*ux[i] + (offY[i]-meanY[i])*uy[i]
		l.X[i] += along * ux[i]
		l.Y[i] += along * uy[i]
	}
}

// mean is that of each value of a closed list and w to each side.
func mean(list []float64, w int) []float64 {
	m := len(list)
	means := make([]float64, m)
	sum := 0.0
	for k := -w; k <= w; k++ {
		sum += list[(k+m)%m]
	}
	for i := range m {
		means[i] = sum / float64(2*w+1)
		sum += list[(i+w+1)%m] - list[(i-w+m)%m]
	}
	return means
}
