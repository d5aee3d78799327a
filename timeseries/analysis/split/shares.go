// Package split divides a run by what the car did in its seconds: its stints and stops,
// in which driver mode it was, and how it moved. It reads functions of schema analytics,
// and owns no table.
package split

// Mode is how long the car was in a driver mode.
type Mode struct {
	Mode string `json:"driver_mode" db:"driver_mode"`
	Part
}

// Motion is what the car took moving in one way.
type Motion struct {
	Motion string `json:"motion" db:"motion" enum:"standing,braking,coasting,accelerating,cruising" doc:"By the second: standing below 0.5 m/s, braking at less than -25 W or slower by 0.5 m/s2 or more, coasting at 25 W or less either way, accelerating by 0.1 m/s2 or more, cruising otherwise"`
	Part
}

// Part is what such times come to, wherever in the run they are.
type Part struct {
	Seconds    float64  `json:"seconds" db:"seconds"`
	Share      *float64 `json:"share" db:"share"` // of 1
	Distance   *float64 `json:"distance_m" db:"distance_m"`
	Energy     *float64 `json:"energy_wh" db:"energy_wh"`
	Efficiency *float64 `json:"efficiency_km_kwh" db:"efficiency_km_kwh"`
	AvgSpeed   *float64 `json:"avg_speed_kmh" db:"avg_speed_kmh"`
}
