package series

import (
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/rollup/tall"
	"github.com/ecovolt/telemetryd/timeseries/series/bucket"
)

// part is those channels of a read that one relation serves: a level, a level of
// members, or the records for channels that no level has.
type part struct {
	*view   // that relation and what it lacks
	level   int
	metrics []channel.Channel
	places  []int // among those of the read
	counts  bool  // it is the part that counts records
}

func (p *part) add(c channel.Channel, place int) {
	p.metrics, p.places = append(p.metrics, c), append(p.places, place)
}

// parts divides channels that are to be read at a level. The first part counts the
// records.
func (v *view) parts(metrics []channel.Channel, level int) []part {
	stored, members, others := part{view: v, level: level}, part{level: level}, part{view: v, level: raw}
	for i, c := range metrics {
		switch {
		case level == raw || c.HasColumn():
			stored.add(c, i)
		case v.hasLevel(c, level):
			members.add(c, i)
		default:
			others.add(c, i)
		}
	}
	var list []part
	// Levels of members know nothing of the records that lack them.
	if len(stored.metrics) > 0 || len(members.metrics) > 0 || len(metrics) == 0 {
		list = append(list, stored)
	}
	if len(members.metrics) > 0 {
		members.view = v.ofMembers(members.metrics)
		list = append(list, members)
	}
	if len(others.metrics) > 0 {
		list = append(list, others)
	}
	list[0].counts = true
	return list
}

// hasLevel reports whether a member of the records has that level.
func (v *view) hasLevel(c channel.Channel, level int) bool {
	if v.tall == nil || c.Member == "" || c.Type == channel.Text || !tall.Has(rollup.Levels[level].Width) {
		return false
	}
	_, ok := v.tall.Slots[c.Member]
	return ok
}

// ofMembers is the session as the levels of these members show it.
func (v *view) ofMembers(channels []channel.Channel) *view {
	own := *v
	own.dirty = v.tall.Behind
	for _, c := range channels {
		own.columns = append(own.columns, tall.Column{Name: c.Name, Slot: v.tall.Slots[c.Member]})
	}
	return &own
}

// pick returns what belongs to the part.
func pick[T any](p part, of []T) []T {
	picked := make([]T, len(p.places))
	for k, i := range p.places {
		picked[k] = of[i]
	}
	return picked
}

// sums is the sums of a part: what is added to them is added to b.
func (p part) sums(b *bucket.Sums) *bucket.Sums {
	own := &bucket.Sums{Records: b.Records, Metrics: pick(p, b.Metrics), Vague: b.Vague}
	if !p.counts {
		own.Records = make([]int64, len(b.Records))
	}
	return own
}

// ends is the columns of a part.
func (p part) ends(c *bucket.Columns) *bucket.Columns {
	return &bucket.Columns{Edges: c.Edges, Loose: c.Loose, Metrics: pick(p, c.Metrics)}
}
