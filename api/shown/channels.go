package shown

import (
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// KnownChannelView is a channel as REST shows it.
type KnownChannelView struct {
	Name    string  `json:"name" doc:"Name by which it is asked for"`
	Kind    string  `json:"kind" enum:"contract,seen,declared,math" doc:"A field of the function contract, one that came in a record, one that somebody declared, or one that is made of others"`
	Type    string  `json:"type" doc:"What its values are; a boolean is a number, 0 or 1"`
	Unit    *string `json:"unit" doc:"Unit of its values; null where there is none, or it is not known"`
	Meaning *string `json:"meaning" doc:"What is measured"`
	Member  *string `json:"member,omitempty" doc:"What records call it, where that is not its name"`
	Charted bool    `json:"charted" doc:"It can be asked of the series routes"`
	Hidden  bool    `json:"hidden" doc:"Left out of lists and pickers"`
	// Expression is of math channels alone.
	Expression string `json:"expression,omitempty" doc:"What it is made of"`
	registry.About
	Conversion *ConversionView `json:"conversion,omitempty" doc:"How its stored values became those of the answer, where units was asked for and they are not the same"`
}

// Channel views a channel in a system of units.
func Channel(c registry.Channel, system unit.System) KnownChannelView {
	v, _ := view(c, system)
	return v
}

// view also returns the unit that it shows the channel in, if that is another one.
func view(c registry.Channel, system unit.System) (v KnownChannelView, as *unit.Shown) {
	member := c.Member
	if member == c.Name || !c.Came {
		member = ""
	}
	v = KnownChannelView{
		Name: c.Name, Kind: c.Kind, Type: c.Type.String(), Unit: rest.NullIfZero(c.Unit), Meaning: rest.NullIfZero(c.Meaning), Member: rest.NullIfZero(member),
		Charted: c.Charted || rollup.IsState(c.Channel), Hidden: c.Hidden, Expression: c.Expression, About: c.About,
	}
	u, ok := system.Shown(c.Unit)
	if !ok || c.Type != channel.Float && c.Type != channel.Int {
		return v, nil
	}
	v.Unit = &u.Unit
	conversion := viewConversion(c.Unit, u)
	v.Conversion = &conversion
	for _, value := range []**float64{&v.Low, &v.High, &v.WarnLow, &v.WarnHigh, &v.AlarmLow, &v.AlarmHigh} {
		*value = of(u, *value)
	}
	if v.About.Decimals != nil {
		digits := int16(u.Decimals(int(*v.About.Decimals)))
		v.About.Decimals = &digits
	}
	return v, &u
}

// RunChannelView is what a run has of a channel. Values are in its unit.
type RunChannelView struct {
	KnownChannelView
	Records *int64     `json:"records" doc:"Records that carry it; null where they are not counted: states of a long run"`
	First   *time.Time `json:"first" doc:"Time of the oldest of them"`
	Last    *time.Time `json:"last" doc:"Time of the newest of them"`
	Min     *float64   `json:"min" doc:"Lowest value, in its unit"`
	Max     *float64   `json:"max" doc:"Highest value, in its unit"`
	Levels  bool       `json:"levels" doc:"Charts of long windows have levels to read; else they are made from the records, which takes longer"`
}

// RunChannel views what a run has of a channel in a system of units.
func RunChannel(h timeseries.HeldChannel, system unit.System) RunChannelView {
	known, u := view(h.Channel, system)
	v := RunChannelView{known, h.Records, h.First, h.Last, h.Min, h.Max, h.Levels}
	if u != nil {
		v.Min, v.Max = of(*u, v.Min), of(*u, v.Max)
	}
	return v
}
