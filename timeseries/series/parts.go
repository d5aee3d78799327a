package series

import "github.com/ecovolt/telemetryd/timeseries/channel"

// part is those channels of a read that one relation serves: a level, or the
// records for channels that no level has.
type part struct {
	level   int
	metrics []channel.Channel
	places  []int // among those of the read
	all     bool
	counts  bool // it is the part that counts records
}

// parts divides channels that are to be read at a level.
func parts(metrics []channel.Channel, level int) []part {
	stored, others := part{level: level, counts: true}, part{level: raw}
	for i, c := range metrics {
		to := &stored
		if level != raw && !c.HasColumn() {
			to = &others
		}
		to.metrics, to.places = append(to.metrics, c), append(to.places, i)
	}
	switch {
	case len(others.metrics) == 0:
		stored.all = true
		return []part{stored}
	case len(stored.metrics) == 0:
		others.all, others.counts = true, true
		return []part{others}
	}
	return []part{stored, others}
}

// pick returns what belongs to the part.
func pick[T any](p part, of []T) []T {
	if p.all {
		return of
	}
	picked := make([]T, len(p.places))
	for k, i := range p.places {
		picked[k] = of[i]
	}
	return picked
}

// of is the sums of a part: what is added to them is added to b.
func (b *bucketSums) of(p part) *bucketSums {
	if p.all {
		return b
	}
	own := &bucketSums{records: b.records, metrics: pick(p, b.metrics), vague: b.vague}
	if !p.counts {
		own.records = make([]int64, len(b.records))
	}
	return own
}

// of is the columns of a part.
func (c *m4Columns) of(p part) *m4Columns {
	return &m4Columns{edges: c.edges, metrics: pick(p, c.metrics)}
}
