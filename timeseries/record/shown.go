package record

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// shown is what a selection shows in other units than the stored ones; the zero value
// is nothing.
type shown struct {
	channels []*unit.Shown // of the selection's channels; nil for those that stay
	computed []*unit.Shown
	extra    map[string]unit.Shown
}

// ShownIn also has members shown in other units, by their names in records, and what
// is computed by its own. Rows then write such a member with its unit behind its
// name, as in "speed_ms (km/h)", which is how files that are read name units: nobody
// takes the value for one in the stored unit.
func (s *Selection) ShownIn(members, computed map[string]unit.Shown) *Selection {
	with := *s
	with.shown = shown{channels: make([]*unit.Shown, len(s.channels)), computed: make([]*unit.Shown, len(s.computed)), extra: map[string]unit.Shown{}}
	of := func(units map[string]unit.Shown, name string) *unit.Shown {
		if u, ok := units[name]; ok {
			return &u
		}
		return nil
	}
	for at, i := range s.channels {
		with.shown.channels[at] = of(members, channel.All[i].Name)
	}
	for at, c := range s.computed {
		with.shown.computed[at] = of(computed, c.Name)
	}
	for name, u := range members {
		if _, column := channel.Index(name); !column {
			with.shown.extra[name] = u
		}
	}
	return &with
}

// place returns what stands at a place of a list, which may be empty.
func place(list []*unit.Shown, i int) *unit.Shown {
	if list == nil {
		return nil
	}
	return list[i]
}

// number is the value of channel i.
func number(raw []byte, i int) float64 {
	if channel.All[i].Type == channel.Int {
		return float64(integer(raw))
	}
	return float(raw)
}

// inUnit is a member's name with the unit behind it.
func inUnit(name string, u *unit.Shown) string {
	if u == nil {
		return name
	}
	return name + " (" + u.Unit + ")"
}

// appendShown writes a member in another unit, a comma before it; nothing where the
// value is too large for that unit.
func appendShown(dst []byte, name string, v float64, u *unit.Shown) []byte {
	if v = u.Of(v); math.IsInf(v, 0) {
		return dst
	}
	return AppendJSONFloat(append(AppendJSONString(append(dst, ','), []byte(inUnit(name, u))), ':'), v)
}

// appendOther writes a member without a column, a comma before it. One that is shown
// in another unit stays as it is where it is no number, or none that a float64 holds.
func (s *Selection) appendOther(dst []byte, name string, value []byte) []byte {
	if u, ok := s.shown.extra[name]; ok {
		if v, err := strconv.ParseFloat(string(value), 64); err == nil {
			return appendShown(dst, name, v, &u)
		}
	}
	dst = append(AppendJSONString(append(dst, ','), []byte(name)), ':')
	return append(dst, value...)
}

// appendOthers writes all members of an object, which is given without its braces.
func (s *Selection) appendOthers(dst, object []byte) []byte {
	before := len(dst)
	read := json.NewDecoder(bytes.NewReader(append(append([]byte{'{'}, object...), '}')))
	_, err := read.Token()
	for err == nil && read.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = read.Token(); err == nil {
			if err = read.Decode(&value); err == nil {
				dst = s.appendOther(dst, name.(string), value)
			}
		}
	}
	if err != nil {
		return append(append(dst[:before], ','), object...) // jsonb never holds such
	}
	return dst
}

// appendShownCSV writes a cell in another unit, with all of its digits: whoever reads it
// back rounds to what a decimal fraction keeps.
func appendShownCSV(dst []byte, v float64, u *unit.Shown) []byte {
	if v = u.Of(v); math.IsInf(v, 0) {
		return dst
	}
	return appendPythonFloat(dst, v)
}
