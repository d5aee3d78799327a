package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Selection says which members of a record a reader wants besides its
// timestamp, which it always gets. It is immutable.
type Selection struct {
	all      bool
	channels []int    // into channel.All, ascending
	extra    []string // members without a column of their own, sorted
	id       string   // the member with the record's opaque id; "" without
	computed []Computed
	inputs   []string // of what is computed, each once
	places   [][]int  // among them, of the inputs of each
	shown    shown
	known    *Places // where numbers of members are, as far as that is known
}

// Computed is a member that is made of others.
type Computed struct {
	Name string
	*channel.Formula
}

func (c Computed) same(o Computed) bool { return c.Name == o.Name && c.Text == o.Text }

// WithComputed also selects what is made of others, behind everything else, each
// once.
func (s *Selection) WithComputed(computed []Computed) *Selection {
	with := *s
	with.computed, with.inputs, with.places = nil, nil, nil
	for _, c := range computed {
		if with.computes(c) >= 0 {
			continue
		}
		places := make([]int, len(c.Inputs))
		for k, input := range c.Inputs {
			at := slices.Index(with.inputs, input)
			if at < 0 {
				at, with.inputs = len(with.inputs), append(with.inputs, input)
			}
			places[k] = at
		}
		with.computed, with.places = append(with.computed, c), append(with.places, places)
	}
	return &with
}

// computes returns which of what is computed that is; -1 for none.
func (s *Selection) computes(c Computed) int { return slices.IndexFunc(s.computed, c.same) }

// All selects every member.
var All = func() *Selection {
	s := &Selection{all: true}
	for i := range channel.All {
		s.channels = append(s.channels, i)
	}
	return s
}()

// Select makes the selection of the named members; none at all means every
// one. Names that are not in channel.All mean members without a column.
func Select(names ...string) *Selection {
	if len(names) == 0 {
		return All
	}
	s := &Selection{}
	for _, name := range names {
		if i, ok := channel.Index(name); ok {
			s.channels = append(s.channels, i)
		} else if name != "timestamp" {
			s.extra = append(s.extra, name)
		}
	}
	return s.sorted()
}

// WithID also selects the record's opaque id, as a member of that name.
func (s *Selection) WithID(member string) *Selection {
	with := *s
	with.id = member
	return &with
}

// WithPlaces also knows where numbers of members are. Those that it does not know of are
// put together by the database, which takes longer.
func (s *Selection) WithPlaces(places *Places) *Selection {
	with := *s
	with.known = places
	return &with
}

func (s *Selection) sorted() *Selection {
	slices.Sort(s.channels)
	s.channels = slices.Compact(s.channels)
	slices.Sort(s.extra)
	s.extra = slices.Compact(s.extra)
	return s
}

// Union is the selection that covers both; nil covers all.
func (s *Selection) Union(o *Selection) *Selection {
	if s == nil || o == nil {
		return All
	}
	u := All
	if !s.all && !o.all {
		u = (&Selection{channels: slices.Concat(s.channels, o.channels), extra: slices.Concat(s.extra, o.extra), id: cmp.Or(s.id, o.id)}).sorted()
	}
	if len(s.computed)+len(o.computed) == 0 {
		return u
	}
	return u.WithComputed(slices.Concat(s.computed, o.computed))
}

// Covers reports whether what was read for s has all that o selects.
func (s *Selection) Covers(o *Selection) bool {
	if slices.ContainsFunc(o.computed, func(c Computed) bool { return s.computes(c) < 0 }) {
		return false
	}
	if s.all || o.all {
		return s.all
	}
	for _, i := range o.channels {
		if _, ok := slices.BinarySearch(s.channels, i); !ok {
			return false
		}
	}
	return len(o.extra) == 0 || len(s.extra) > 0 // any such member brings all of them
}

// Names lists the selected members, channels in their usual order and then the
// others; nil when it is every one.
func (s *Selection) Names() []string {
	if s.all {
		return nil
	}
	names := make([]string, 0, 1+len(s.channels)+len(s.extra)+len(s.computed))
	if s.id != "" {
		names = append(names, s.id)
	}
	for _, i := range s.channels {
		names = append(names, channel.All[i].Name)
	}
	names = append(names, s.extra...)
	for _, c := range s.computed {
		names = append(names, c.Name)
	}
	return names
}

// Key tells the selection from others: two of one key select the same.
func (s *Selection) Key() string {
	key := "*"
	if !s.all {
		key = fmt.Sprintf("%q", s.Names())
	}
	for _, c := range s.computed {
		key += fmt.Sprintf(" %q %s", c.Name, c.Text)
	}
	return key
}

// Channels lists the selected channels as places in channel.All.
func (s *Selection) Channels() []int { return s.channels }

func (s *Selection) readsExtra() bool { return s.all || len(s.extra) > 0 }

// Columns lists what a query must select of the table t, telemetry, for a Row.
func (s *Selection) Columns() string {
	var list strings.Builder
	list.WriteString("t.time, t.batch, t.ord, t.time_text")
	for _, i := range s.channels {
		list.WriteString(", t.")
		list.WriteString(channel.All[i].Name)
	}
	if s.readsExtra() {
		// An array without elements says that the database put the members together.
		fmt.Fprintf(&list, `, CASE WHEN array_upper(t.numbers, 1) > %[1]s THEN record_members(t.numbers, t.extra) ELSE t.extra END AS extra,
			CASE WHEN array_upper(t.numbers, 1) > %[1]s THEN '{}' ELSE t.numbers END AS numbers`, s.known.limit())
	}
	list.WriteString(s.Inputs())
	return list.String()
}
