package signal

import "math"

// moments are means, and sums of squares of what is apart from them: of each axis over
// the records that carry it, and of both over those that carry both.
type moments struct {
	one  [2]struct{ n, mean, square float64 }
	both struct{ n, x, y, xx, yy, xy float64 }
}

// columns is SQL of them. Values whose squares have no sum are left out.
func (moments) columns(want wanted) (columns []string) {
	add := func(condition string, aggregates ...string) {
		for _, of := range aggregates {
			columns = append(columns, "coalesce("+of+" FILTER (WHERE "+condition+"), 0)::float8")
		}
	}
	var value, has [2]string
	for k, c := range want.by {
		v := "(" + c.Number() + ")"
		value[k], has[k] = v, v+" BETWEEN -1e140 AND 1e140"
		add(has[k], "count"+v, "avg"+v, "regr_sxx("+v+", "+v+")")
	}
	if len(want.by) > 1 {
		yx := "(" + value[1] + ", " + value[0] + ")"
		add(has[0]+" AND "+has[1], "regr_count"+yx, "regr_avgx"+yx, "regr_avgy"+yx, "regr_sxx"+yx, "regr_syy"+yx, "regr_sxy"+yx)
	}
	return columns
}

// into is where the columns go.
func (m *moments) into(axes int) (list []any) {
	for k := range axes {
		s := &m.one[k]
		list = append(list, &s.n, &s.mean, &s.square)
	}
	if b := &m.both; axes > 1 {
		list = append(list, &b.n, &b.x, &b.y, &b.xx, &b.yy, &b.xy)
	}
	return list
}

// add adds those of other records.
func (m *moments) add(of *moments) {
	for k := range m.one {
		s, o := &m.one[k], &of.one[k]
		if n := s.n + o.n; n > 0 {
			apart, part := o.mean-s.mean, o.n/n
			s.n, s.mean, s.square = n, s.mean+apart*part, s.square+o.square+apart*apart*part*(n-o.n)
		}
	}
	b, o := &m.both, &of.both
	if n := b.n + o.n; n > 0 {
		x, y, part := o.x-b.x, o.y-b.y, o.n/n
		w := part * (n - o.n)
		b.n, b.x, b.y = n, b.x+x*part, b.y+y*part
		b.xx, b.yy, b.xy = b.xx+o.xx+x*x*w, b.yy+o.yy+y*y*w, b.xy+o.xy+x*y*w
	}
}

// tell enters what they are for into an answer and its axes.
func (m *moments) tell(axes []*CountedAxis, a *Counted) {
	for k, axis := range axes {
		s := m.one[k]
		if s.n > 0 {
			axis.Mean = &s.mean
		}
		if s.n > 1 {
			deviation := math.Sqrt(s.square / (s.n - 1))
			axis.Deviation = &deviation
		}
	}
	if b := &m.both; b.xx > 0 && b.yy > 0 {
		r := max(-1, min(1, b.xy/math.Sqrt(b.xx)/math.Sqrt(b.yy)))
		a.Correlation = &r
	}
}
