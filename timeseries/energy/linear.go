package energy

import "math"

// matrix is square, of as many rows as there are terms.
type matrix [][]float64

func newMatrix(n int) matrix {
	m := make(matrix, n)
	for i := range m {
		m[i] = make([]float64, n)
	}
	return m
}

// inverse returns the inverse of a matrix; ok is false where it has none that a float
// could hold, its rows being told apart by less than a millionth.
func (m matrix) inverse() (inv matrix, ok bool) {
	n := len(m)
	work := make(matrix, n)
	for i := range m {
		work[i] = append(append(make([]float64, 0, 2*n), m[i]...), make([]float64, n)...)
		work[i][n+i] = 1
	}
	largest := 0.0
	for i := range m {
		for k := range m {
			largest = max(largest, math.Abs(m[i][k]))
		}
	}
	for c := range n {
		pivot := c
		for r := c + 1; r < n; r++ {
			if math.Abs(work[r][c]) > math.Abs(work[pivot][c]) {
				pivot = r
			}
		}
		if !(math.Abs(work[pivot][c]) > 1e-9*largest) {
			return nil, false
		}
		work[c], work[pivot] = work[pivot], work[c]
		by := work[c][c]
		for k := range work[c] {
			work[c][k] /= by
		}
		for r := range n {
			if f := work[r][c]; r != c && f != 0 {
				for k := range work[r] {
					work[r][k] -= f * work[c][k]
				}
			}
		}
	}
	inv = make(matrix, n)
	for i := range inv {
		inv[i] = work[i][n:]
	}
	return inv, true
}

func (m matrix) times(b matrix) matrix {
	out := newMatrix(len(m))
	for i := range m {
		for k := range b {
			for j := range m {
				out[i][k] += m[i][j] * b[j][k]
			}
		}
	}
	return out
}

func (m matrix) turned() matrix {
	out := newMatrix(len(m))
	for i := range m {
		for k := range m {
			out[i][k] = m[k][i]
		}
	}
	return out
}

// of is m·v.
func (m matrix) of(v []float64) []float64 {
	out := make([]float64, len(m))
	for i := range m {
		out[i] = dot(m[i], v)
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
