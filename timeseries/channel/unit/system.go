package unit

import "math"

// System is a choice of units to show values in. The zero value shows them as they
// are stored.
type System string

// The systems.
const (
	Metric System = "metric" // km/h, Wh, degC
	SI     System = "si"     // m/s, J, K
)

// Shown is a unit that values are shown in, and the way there from the one that they
// are stored in.
type Shown struct {
	Unit string
	Conversion
}

// targets are the units that values of a dimension are shown in.
var targets = map[System]map[string]string{
	Metric: {"speed": "km/h", "energy": "Wh", "temperature": "degC"},
	SI:     {"speed": "m/s", "energy": "J", "temperature": "K"},
}

// foreign are what other units become that belong to neither system. The rest stays
// as it is: of a spelling such as nm or mg nobody knows that it is no nanometre and
// no milligram.
var foreign = map[string]string{
	"mi": "km", "mile": "km", "miles": "km", "nmi": "km", "ft": "m", "feet": "m", "foot": "m",
	"psi": "kPa", "hp": "kW", "bhp": "kW", "PS": "kW", "mi/kWh": "km/kWh",
}

// Shown tells in which unit the system shows values of another one; false where
// they stay as they are. Only what is written as the table has it is known: Nm is not
// nm, nor k a temperature.
func (s System) Shown(stored string) (Shown, bool) {
	text := plain(stored)
	from, known := units[text]
	if !known || s == "" || len(text) == 1 && text >= "a" {
		return Shown{}, false
	}
	to, ok := targets[s][from.Dimension]
	if !ok {
		if to, ok = foreign[text]; !ok {
			return Shown{}, false
		}
	}
	c, same, ok := Convert(text, to)
	if !ok || same {
		return Shown{}, false
	}
	return Shown{to, c}, true
}

// Linear is the conversion as shown = stored * factor + offset. Differences of two
// values take no offset.
func (c Conversion) Linear() (factor, offset float64) {
	return c.num / c.den, c.before*c.num/c.den + c.after
}

// Of returns v in the other unit. What a few digits behind the point can say is not
// off by a rounding of the last bit, as 72.36000000000001 would be. It is infinite
// where the value is too large for that unit.
func (c Conversion) Of(v float64) float64 {
	v = c.raw(v)
	if math.Abs(v) < 1e9 {
		if short := math.Round(v*1e6) / 1e6; math.Abs(short-v) <= 1e-15*math.Abs(v) {
			return short
		}
	}
	return v
}

func (c Conversion) raw(v float64) float64 {
	shown := (v+c.before)*c.num/c.den + c.after
	if math.IsInf(shown, 0) && !math.IsInf(v, 0) { // on the way there
		shown = (v+c.before)/c.den*c.num + c.after
	}
	return shown
}

// Decimals is how many digits behind the point a value has in the other unit that
// has n of them: as many more as the unit is larger.
func (c Conversion) Decimals(n int) int {
	more := math.Floor(-math.Log10(c.num / c.den))
	return min(n+max(0, int(more)), 15)
}
