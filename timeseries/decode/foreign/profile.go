package foreign

import (
	"maps"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
)

// Profile is what was said of one kind of file, to be found again by its header.
type Profile struct {
	Name string `json:"name"`
	// Header lists the names of the columns, in any order, without units.
	Header     []string          `json:"header"`
	Map        map[string]string `json:"map,omitempty"`
	TimeColumn string            `json:"time_column,omitempty"`
	DayFirst   *bool             `json:"day_first,omitempty"`
	Timezone   string            `json:"timezone,omitempty"`
	Decimal    string            `json:"decimal,omitempty"`

	// marks are for the profiles that come along: texts that stand above the
	// records of such a file, or the names that its header has at least.
	marks []string
	names []string
}

// builtin are profiles of public loggers. Most of what those write is known by
// its name and unit; a profile says the rest.
var builtin = []Profile{
	{Name: "RaceChrono", marks: []string{"created using RaceChrono"}},
	{Name: "AiM", marks: []string{"AiM CSV File"}, Map: map[string]string{"GPS Speed": "speed_ms"}},
	{Name: "MoTeC", marks: []string{"MoTeC CSV File"}, Map: map[string]string{"Ground Speed": "speed_ms", "Throttle Pos": "throttle_pct"}},
	{Name: "VBOX", marks: []string{"[column names]"}},
	{Name: "RaceCapture", marks: []string{`"Interval"|"ms"|`, "Interval|"}},
	// The device's clock has milliseconds, the receiver's whole seconds.
	{Name: "Torque", names: []string{"gps_time", "device_time", "longitude", "latitude"}, TimeColumn: "Device Time"},
	{Name: "GPSLogger", names: []string{"time", "lat", "lon", "elevation", "accuracy", "bearing", "speed", "satellites", "provider"}, TimeColumn: "time"},
	{Name: "TrackAddict", marks: []string{"RaceRender Data: TrackAddict"}},
	{Name: "Harry's LapTimer", names: []string{"lapindex", "date", "time", "time_lap"}, TimeColumn: "DATE+TIME"},
	// Traccar keeps speed in knots.
	{Name: "Traccar", names: []string{"deviceid", "servertime", "devicetime", "fixtime", "speed"}, TimeColumn: "fixTime", Map: map[string]string{"speed": "speed_ms [kn]"}},
}

// Builtin lists the names of the profiles that come along.
func Builtin() []string {
	names := make([]string, len(builtin))
	for i, k := range builtin {
		names[i] = k.Name
	}
	return names
}

// useProfile finds the profile of the file and takes from it what was not said.
func (p *plan) useProfile() error {
	known := slices.Concat(p.opt.Profiles, builtin)
	var found *Profile
	for i := range known {
		k := &known[i]
		if p.opt.Profile != "" && strings.EqualFold(k.Name, p.opt.Profile) || p.opt.Profile == "" && p.suits(k) {
			found = k
			break
		}
	}
	if found == nil {
		if p.opt.Profile != "" {
			var names []string
			for _, k := range p.opt.Profiles {
				names = append(names, k.Name)
			}
			return fault.Field("profile", "there is no profile %q; there are %s", fault.Clip(p.opt.Profile), strings.Join(append(names, Builtin()...), ", "))
		}
		return nil
	}
	p.profile = found.Name
	if err := p.merge(found); err != nil {
		return err
	}
	if p.opt.TimeColumn == "" && (len(found.marks) == 0 && len(found.names) == 0 || p.hasColumns(found.TimeColumn)) {
		p.opt.TimeColumn = found.TimeColumn
	}
	if p.opt.DayFirst == nil {
		p.opt.DayFirst = found.DayFirst
	}
	if p.opt.Timezone == "" {
		p.opt.Timezone = found.Timezone
	}
	if p.opt.Decimal == "" {
		p.opt.Decimal = found.Decimal
	}
	return nil
}

// merge adds what a profile says of columns to what the caller says. Of two words
// for one column that which is its header goes first; two others that mean
// different things are refused by name.
func (p *plan) merge(found *Profile) error {
	merged, by := map[string]string{}, map[string]string{} // by header
	for _, from := range slices.Sorted(maps.Keys(found.Map)) {
		i := p.column(from)
		if i < 0 {
			continue
		}
		header, to := p.labels[i].Text, found.Map[from]
		_, exact := found.Map[header]
		switch other, twice := by[header]; {
		case exact && from != header, p.opt.Map[header] != "":
		case twice && merged[header] != to:
			return fault.Field("profile", "the profile %q says two things of the column %q, as %q and as %q; say what it becomes: --map '%s=%s'",
				fault.Clip(found.Name), fault.Clip(header), fault.Clip(other), fault.Clip(from), fault.Clip(header), fault.Clip(to))
		default:
			merged[header], by[header] = to, from
		}
	}
	maps.Copy(merged, p.opt.Map)
	p.opt.Map = merged
	return nil
}

func (p *plan) hasColumns(name string) bool {
	if name == "" {
		return false
	}
	for _, part := range strings.Split(name, "+") {
		if p.column(part) < 0 {
			return false
		}
	}
	return true
}

// suits reports whether a profile is that of this file.
func (p *plan) suits(k *Profile) bool {
	if len(k.Header) > 0 {
		return slices.Equal(headerNames(k.Header), p.header())
	}
	for _, name := range k.names {
		if !slices.ContainsFunc(p.labels, func(l label.Label) bool { return l.Name == name }) {
			return false
		}
	}
	if len(k.names) > 0 {
		return true
	}
	for _, r := range p.layout.rows[:p.layout.header+1] {
		for _, mark := range k.marks {
			if strings.Contains(string(r.raw), mark) {
				return true
			}
		}
	}
	return false
}

// header lists the names of the columns, sorted.
func (p *plan) header() []string {
	var names []string
	for _, l := range p.labels {
		names = append(names, l.Text)
	}
	return headerNames(names)
}

func headerNames(names []string) []string {
	var out []string
	for _, name := range names {
		if name = label.Read(name).Name; name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Profile returns what was said of this file under a name, to be saved.
func (r *Reader) Profile(name string) Profile {
	opt := r.plan.opt
	return Profile{Name: name, Header: r.plan.header(), Map: opt.Map, TimeColumn: opt.TimeColumn, DayFirst: opt.DayFirst, Timezone: opt.Timezone, Decimal: opt.Decimal}
}
