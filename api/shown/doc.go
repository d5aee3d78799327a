// Package shown has what REST shows of channels, and turns answers into the units that
// a caller wants to see: without the parameter units each value is in the unit that it
// is stored in. The units and the way from one to another are package unit's.
//
// Charts keep what they showed lately, within a bound; nothing else here holds state.
// All of it is safe for concurrent use: answers that are shared are never changed, but
// copied.
package shown

import (
	"math"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// Params is the parameter of every route that has values of channels.
type Params struct {
	Units string `query:"units" enum:"display,metric,si" doc:"Units of the answer: display is what the account prefers, metric is km/h, Wh and degC, si is m/s, J and K. Without it values are in the units that they are stored in"`
}

// System is the system of units that a caller asks for; "" for none.
func (p Params) System(caller auth.Principal) unit.System {
	if p.Units == "display" {
		return unit.System(caller.PreferredUnits())
	}
	return unit.System(p.Units)
}

// Lasting reports whether the address alone tells in which units the answer is: what
// an account prefers may change.
func (p Params) Lasting() bool { return p.Units != "display" }

// ConversionView is how a stored unit is shown.
type ConversionView struct {
	Unit   string  `json:"unit" example:"m/s" doc:"Unit that values are stored in"`
	Shown  string  `json:"shown" example:"km/h" doc:"Unit that they are shown in"`
	Factor float64 `json:"factor" doc:"A stored value times this, plus offset, is the value shown; a difference of two values takes no offset"`
	Offset float64 `json:"offset"`
}

func viewConversion(stored string, u unit.Shown) ConversionView {
	factor, offset := u.Linear()
	return ConversionView{stored, u.Unit, factor, offset}
}

// PreferencesView is what an account's owner likes to see.
type PreferencesView struct {
	Units string `json:"units" enum:"metric,si" doc:"Units of values: metric is km/h, Wh and degC, si is m/s, J and K"`
}

// UnitsAnswer is a system of units.
type UnitsAnswer struct {
	PreferencesView
	Conversions []ConversionView `json:"conversions" doc:"The units that are shown as others; all others stay"`
}

// Units lists what a system shows in other units than the stored ones.
func Units(system unit.System) UnitsAnswer {
	out := UnitsAnswer{PreferencesView{string(system)}, []ConversionView{}}
	for _, name := range unit.Names() {
		if u, ok := system.Shown(name); ok {
			out.Conversions = append(out.Conversions, viewConversion(name, u))
		}
	}
	return out
}

// of returns v in another unit; nil stays nil, and is what a value becomes that is
// too large for it.
func of(u unit.Shown, v *float64) *float64 {
	if v == nil {
		return nil
	}
	shown := u.Of(*v)
	if math.IsInf(shown, 0) {
		return nil
	}
	return &shown
}
