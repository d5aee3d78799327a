package shown

import (
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
)

// SummaryView is a run's summary with the distance and energy that are summed up
// from its records, in the place of the function contract's.
type SummaryView struct {
	*timeseries.Summary
	Distance     *float64  `json:"distance_km"`
	DistanceFrom *string   `json:"distance_from"` // speed or counter
	Energy       *float64  `json:"energy_wh"`
	EnergyFrom   *string   `json:"energy_from"` // power or counter
	Efficiency   *float64  `json:"efficiency_km_kwh"`
	Sent         *sentView `json:"sent"` // null where it differs by less than 1 %
	NoFix        int64     `json:"no_fix"`
}

// sentView is what the car's own counters say.
type sentView struct {
	Distance *float64 `json:"distance_km"`
	Energy   *float64 `json:"energy_wh"`
	Why      string   `json:"why"` // they differ
}

// Summary views a summary.
func Summary(summary *timeseries.Summary, figures *analysis.Figures) *SummaryView {
	over := func(v *float64, by float64) *float64 {
		if v == nil {
			return nil
		}
		scaled := *v / by
		return &scaled
	}
	view := &SummaryView{
		Summary: summary, Distance: over(figures.Distance, 1000), DistanceFrom: figures.DistanceFrom,
		Energy: over(figures.Energy, 3600), EnergyFrom: figures.EnergyFrom, Efficiency: figures.Efficiency(), NoFix: figures.NoFix,
	}
	if figures.SentWhy != nil {
		view.Sent = &sentView{over(figures.SentDistance, 1000), over(figures.SentEnergy, 3600), *figures.SentWhy}
	}
	return view
}
