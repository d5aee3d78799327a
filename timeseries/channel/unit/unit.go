// Package unit knows the units of values: how loggers write them, in which ones
// people want to see what is stored, and how values of one become those of another.
// Its table is the only one: files are read by it, and answers shown. It holds no
// state and is safe for concurrent use.
package unit

import (
	"math"
	"strconv"
	"strings"
)

// Unit says how a unit relates to the first one of its dimension: a value times
// Num/Den, after adding the shift, is the value in that one. Whole numerators and
// denominators keep 47999 mV at 47.999 V.
type Unit struct {
	Dimension string // such as speed
	Num, Den  float64
	shift     float64
	minutes   bool // degrees and minutes in one number: 4807.038 is 48° 7.038'
}

// units are the spellings that loggers use. Where only the case tells two units
// apart (mW, MW) the spelling counts, else it does not. Sources: the SI
// brochure, NIST SP 811 (mile, foot, knot, psi, g_n) and the formats' manuals.
var units = map[string]Unit{}

// usual is each unit's usual spelling.
var usual []string

// Names lists the units that there are, by their usual spellings.
func Names() []string { return usual }

func init() {
	for _, u := range []struct {
		dimension       string
		num, den, shift float64
		names           string
	}{
		{"speed", 1, 1, 0, "m/s mps m/sec meters/second metres/second meters_per_second m*s-1 ms-1"},
		{"speed", 10, 36, 0, "km/h kmh kph kmph km/hr km/hour kilometers/hour"},
		{"speed", 44704, 1e5, 0, "mph mi/h mile/h miles/hour miles/h"},
		{"speed", 1852, 3600, 0, "kn kt kts knot knots kn/h"},
		{"speed", 3048, 1e4, 0, "ft/s fps"},
		{"voltage", 1, 1, 0, "V volt volts"},
		{"voltage", 1, 1e3, 0, "mV millivolt millivolts"},
		{"voltage", 1e3, 1, 0, "kV"},
		{"current", 1, 1, 0, "A amp amps ampere amperes"},
		{"current", 1, 1e3, 0, "mA milliamp milliamps"},
		{"power", 1, 1, 0, "W watt watts"},
		{"power", 1, 1e3, 0, "mW"},
		{"power", 1e3, 1, 0, "kW"},
		{"power", 1e6, 1, 0, "MW"},
		{"power", 7456998715822702, 1e13, 0, "hp bhp"},
		{"power", 73549875, 1e5, 0, "PS"},
		{"energy", 1, 1, 0, "J joule joules Ws W*s"},
		{"energy", 1e3, 1, 0, "kJ"},
		{"energy", 1, 1e3, 0, "mJ"},
		{"energy", 1e6, 1, 0, "MJ"},
		{"energy", 36e2, 1e3, 0, "mWh"},
		{"energy", 36e2, 1, 0, "Wh W*h watthours watt-hours"},
		{"energy", 36e5, 1, 0, "kWh kW*h"},
		{"energy", 36e8, 1, 0, "MWh"},
		{"length", 1, 1, 0, "m meter meters metre metres"},
		{"length", 1, 1e3, 0, "mm"},
		{"length", 1, 1e2, 0, "cm"},
		{"length", 1e3, 1, 0, "km kilometer kilometers kilometre kilometres"},
		{"length", 1609344, 1e3, 0, "mi mile miles"},
		{"length", 1852, 1, 0, "nm nmi"},
		{"length", 3048, 1e4, 0, "ft feet foot"},
		{"temperature", 1, 1, 0, "degC °C ºC C celsius .C deg_C deg.C Cel"},
		{"temperature", 5, 9, -32, "degF °F ºF F fahrenheit .F deg_F deg.F [degF]"},
		{"temperature", 1, 1, -273.15, "K kelvin"},
		{"acceleration", 1, 1, 0, "m/s2 m/s² m/s^2 m/s/s m/sec2 m/sec^2 m/s**2 ms-2"},
		{"acceleration", 980665, 1e5, 0, "g [g] g0 gn"},
		{"acceleration", 980665, 1e8, 0, "mg milli-g"},
		{"rotation", 1, 1, 0, "deg/s °/s dps deg/sec degrees/second deg/second"},
		{"rotation", 180, math.Pi, 0, "rad/s rad/sec"},
		{"angle", 1, 1, 0, "deg ° º degree degrees deg. dd"},
		{"angle", 1, 1e7, 0, "degE7 deg*1e7 deg*10^7 deg1e7 1e7deg 1e-7deg e7 °e7 deg_e7"},
		{"angle", 180, math.Pi, 0, "rad"},
		{"angle", 1, 60, 0, "arcmin"},
		{"angle", -1, 60, 0, "arcmin-west"},
		{"ratio", 1, 1, 0, "ratio 1 0..1 0-1"},
		{"ratio", 1, 1e2, 0, "% percent pct"},
		{"turns", 1, 1, 0, "rpm 1/min r/min rev/min u/min"},
		{"time", 1, 1, 0, "s sec secs second seconds"},
		{"time", 1, 1e3, 0, "ms msec millisecond milliseconds millis"},
		{"time", 1, 1e6, 0, "us µs μs usec microsecond microseconds"},
		{"time", 1, 1e9, 0, "ns nsec nanosecond nanoseconds"},
		{"time", 60, 1, 0, "min mins minute minutes"},
		{"time", 3600, 1, 0, "h hr hrs hour hours"},
		{"time", 86400, 1, 0, "day days"},
		{"pressure", 1, 1, 0, "Pa"},
		{"pressure", 1e2, 1, 0, "hPa mbar mb"},
		{"pressure", 1e3, 1, 0, "kPa"},
		{"pressure", 1e5, 1, 0, "bar"},
		{"pressure", 6894757293168361, 1e12, 0, "psi"},
		{"economy", 1, 1, 0, "km/kWh"},
		{"economy", 1609344, 1e6, 0, "mi/kWh"},
		{"count", 1, 1, 0, "count # counts"},
	} {
		names := strings.Fields(u.names)
		usual = append(usual, names[0])
		for _, name := range names {
			units[name] = Unit{Dimension: u.dimension, Num: u.num, Den: u.den, shift: u.shift}
			if low := strings.ToLower(name); units[low].Dimension == "" {
				units[low] = units[name]
			}
		}
	}
	for _, name := range strings.Fields("ddmm dddmm ddmm.mm dddmm.mm ddmm.mmm dddmm.mmm ddmm.mmmm dddmm.mmmm ddmm.mmmmm dddmm.mmmmm nmea") {
		units[name] = Unit{Dimension: "angle", Num: 1, Den: 1, minutes: true}
	}
}

// Suffixes are the units that stand at the end of a name, as in voltage_mv.
var Suffixes = map[string]string{
	"ms": "m/s", "mps": "m/s", "kmh": "km/h", "kph": "km/h", "mph": "mph", "knots": "kn", "kn": "kn",
	"v": "V", "volt": "V", "volts": "V", "mv": "mV", "a": "A", "amps": "A", "ma": "mA", "w": "W", "kw": "kW", "j": "J", "kj": "kJ",
	"wh": "Wh", "kwh": "kWh", "m": "m", "km": "km", "mi": "mi", "mile": "mi", "miles": "mi", "ft": "ft", "mm": "mm",
	"c": "degC", "degc": "degC", "celsius": "degC", "f": "degF", "degf": "degF", "fahrenheit": "degF", "k": "K",
	"deg": "deg", "dd": "deg", "rad": "rad", "e7": "degE7", "1e7": "degE7", "g": "g", "mg": "mg", "ms2": "m/s2", "mps2": "m/s2", "dps": "deg/s",
	"rpm": "rpm", "pct": "%", "percent": "%", "s": "s", "sec": "s",
}

var spelling = strings.NewReplacer("·", "*", "⋅", "*", " ", "")

// Lookup finds a unit by the way it is written in a header.
func Lookup(text string) (Unit, bool) {
	text = plain(text)
	if u, ok := units[text]; ok {
		return u, true
	}
	u, ok := units[strings.ToLower(text)]
	return u, ok
}

// plain is a unit without the brackets and blanks of a header.
func plain(text string) string {
	text = strings.TrimSpace(text)
	if n := len(text); n > 2 && (text[0] == '[' && text[n-1] == ']' || text[0] == '(' && text[n-1] == ')') {
		text = text[1 : n-1]
	}
	if strings.ContainsAny(text, "·⋅ ") {
		text = spelling.Replace(text)
	}
	return text
}

// Conversion turns values of one unit into another one.
type Conversion struct {
	num, den, before, after float64 // (v + before) * num / den + after
	minutes                 bool    // v has degrees and minutes in it
}

// Convert finds the way from one unit to another; ok is false where there is none.
func Convert(from, to string) (c Conversion, same, ok bool) {
	a, known := Lookup(from)
	b, known2 := Lookup(to)
	if known2 && b.Dimension == "angle" && strings.EqualFold(strings.TrimSpace(from), "minutes") {
		a = units["arcmin"]
	}
	if known && known2 && a.Dimension == "ratio" && b.Dimension == "ratio" || known && known2 && a.Dimension == b.Dimension {
		c = Conversion{num: a.Num * b.Den, den: a.Den * b.Num, before: a.shift, after: -b.shift, minutes: a.minutes}
		return c, a == b, true
	}
	return c, false, false
}

// AppendTo writes v in the other unit. Fifteen digits are what a decimal
// fraction keeps in a float64, so that 1.13 km is 1130 m and not 1129.9999999999998.
func (c Conversion) AppendTo(dst []byte, v float64) []byte {
	if c.minutes {
		degrees := math.Trunc(v / 100)
		v = degrees + (v-100*degrees)/60
	}
	return strconv.AppendFloat(dst, c.raw(v), 'g', 15, 64)
}
