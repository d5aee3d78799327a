package book

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Plan is what people allow a run, or ask of it; nil is not said.
type Plan struct {
	Energy   *float64 `json:"plan_energy_wh" doc:"How much it may use, Wh"`
	Laps     *int32   `json:"plan_laps" doc:"How many laps it is to drive"`
	Distance *float64 `json:"plan_distance_km" doc:"How far it is to go, km"`
	Time     *float64 `json:"plan_time_s" doc:"How long it may take, s"`
}

// PlanChange says what to change of a plan; nil stays as it is, and 0 is taken out.
type PlanChange struct {
	Energy   *float64 `json:"plan_energy_wh,omitempty" doc:"How much it may use, Wh; 0 takes it out"`
	Laps     *int32   `json:"plan_laps,omitempty" doc:"How many laps it is to drive; 0 takes it out"`
	Distance *float64 `json:"plan_distance_km,omitempty" doc:"How far it is to go, km; 0 takes it out"`
	Time     *float64 `json:"plan_time_s,omitempty" doc:"How long it may take, s; 0 takes it out"`
}

// bounds are what a member of a plan is at least and at most, and how one says that.
type bounds struct {
	least, most float64
	said        string
}

var (
	planEnergy   = bounds{0.1, 1e6, "from 0.1 to 1000000 Wh"}
	planLaps     = bounds{1, 100_000, "from 1 to 100000"}
	planDistance = bounds{0.01, 1e5, "from 0.01 to 100000 km"}
	planTime     = bounds{1, 366 * 86_400, "from 1 second to 366 days"}
)

func (c *PlanChange) names() (names []string) {
	add := func(name string, said bool) {
		if said {
			names = append(names, name)
		}
	}
	add("plan_energy_wh", c.Energy != nil)
	add("plan_laps", c.Laps != nil)
	add("plan_distance_km", c.Distance != nil)
	add("plan_time_s", c.Time != nil)
	return names
}

// plan puts what a change says of the plan into an entry.
func (p *problems) plan(e *Plan, c *PlanChange) {
	p.amount("plan_energy_wh", c.Energy, planEnergy, &e.Energy)
	p.amount("plan_distance_km", c.Distance, planDistance, &e.Distance)
	p.amount("plan_time_s", c.Time, planTime, &e.Time)
	if c.Laps != nil {
		var laps *float64
		n := float64(*c.Laps)
		if p.amount("plan_laps", &n, planLaps, &laps); laps == nil {
			e.Laps = nil
		} else {
			e.Laps = c.Laps
		}
	}
}

func (p *problems) amount(field string, given *float64, in bounds, to **float64) {
	switch {
	case given == nil:
	case *given == 0:
		*to = nil
	case !(*given >= in.least && *given <= in.most):
		p.add(field, "must be %s, or 0, which takes it out", in.said)
	default:
		*to = given
	}
}

// InWords is the plan as one says it, "" where there is none.
func (p *Plan) InWords() string {
	var parts []string
	number := func(v *float64, unit string) {
		if v != nil {
			parts = append(parts, strconv.FormatFloat(*v, 'f', -1, 64)+unit)
		}
	}
	number(p.Energy, " Wh")
	if p.Laps != nil {
		laps, unit := float64(*p.Laps), " laps"
		if laps == 1 {
			unit = " lap"
		}
		number(&laps, unit)
	}
	number(p.Distance, " km")
	if p.Time != nil {
		parts = append(parts, time.Duration(math.Round(*p.Time*1000)*1e6).String())
	}
	return strings.Join(parts, ", ")
}
