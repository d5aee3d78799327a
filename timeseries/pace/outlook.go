package pace

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/book"
)

// Outlook is what a run may still spend.
type Outlook struct {
	Session string            `json:"session_id"`
	State   string            `json:"state" enum:"driving,paused,ended" doc:"paused: it stands, or was not heard of for a minute; ended: the bridge said so, or nothing came for 5 minutes"`
	At      *time.Time        `json:"at" doc:"The newest record that is counted: now, for what follows"`
	From    *time.Time        `json:"from" doc:"Since when the plan counts: the begin of the first lap; without laps, when the car first moved; where nothing says that, its first record"`
	Plan    book.Plan         `json:"plan" doc:"What the run book says of it"`
	SoFar   *Amount           `json:"so_far" doc:"What the run came to since then: until now, or until it reached its goal"`
	Pace    *Pace             `json:"pace" doc:"How it drove lately"`
	Lap     *LapEnd           `json:"lap" doc:"The lap that it is in"`
	Left    *Left             `json:"left" doc:"What the plan leaves; below 0 where it is exceeded"`
	Over    *Over             `json:"allowance_over" doc:"When the energy of the plan is used up, at this pace"`
	Goal    *Goal             `json:"goal" doc:"What the run will have come to when it has driven what is planned, at this pace; of one that has, or has ended, what it came to"`
	Needed  *Needed           `json:"needed" doc:"What may be spent, and how quick it must be, for the rest"`
	Why     map[string]string `json:"why" doc:"Why members are null, by their names"`
}

// Amount is what was driven and used.
type Amount struct {
	Seconds  float64  `json:"seconds"`
	Distance *float64 `json:"distance_m"`
	Energy   *float64 `json:"energy_wh"`
	Laps     int32    `json:"laps" doc:"Laps that are over"`
	Share    *float64 `json:"lap_share" doc:"How far the next one has come, 0 to 1"`
	Silent   float64  `json:"silent_s"`
}

// Pace is how a run drove lately.
type Pace struct {
	Of         string   `json:"of" enum:"laps,minutes"`
	N          int32    `json:"n" doc:"How many laps, or minutes"`
	Laps       []int32  `json:"laps" doc:"Which laps"`
	Seconds    *Figure  `json:"lap_s" doc:"Time of a lap, s"`
	Energy     *Figure  `json:"lap_wh" doc:"Energy of a lap, Wh"`
	PerKM      *Figure  `json:"wh_per_km" doc:"Energy over distance, Wh/km"`
	Speed      *Figure  `json:"speed_kmh" doc:"Mean speed, km/h"`
	Efficiency *float64 `json:"efficiency_km_kwh"`
}

// Figure is a figure of the last laps or minutes.
type Figure struct {
	Mean   float64  `json:"mean"`
	Spread *float64 `json:"spread" doc:"Standard deviation; null of a single one"`
}

// LapEnd is the lap that the run is in.
type LapEnd struct {
	Lap     int32      `json:"lap"`
	From    time.Time  `json:"from" doc:"When it began"`
	EndsAt  *time.Time `json:"ends_at" doc:"When it will be over"`
	Seconds *float64   `json:"remaining_s" doc:"How long that is from now, s"`
	Error   *float64   `json:"error_s"`
}

// Left is what a plan leaves.
type Left struct {
	Energy   *float64 `json:"energy_wh"`
	Laps     *float64 `json:"laps"`
	Distance *float64 `json:"distance_m"`
	Seconds  *float64 `json:"seconds"`
}

// Over is when the allowance is used up.
type Over struct {
	Spent         bool       `json:"spent" doc:"It has been already"`
	At            *time.Time `json:"at"`
	Seconds       *float64   `json:"seconds" doc:"How long from now, at this pace, s; below 0 is past"`
	Error         *float64   `json:"error_s"`
	Laps          *float64   `json:"laps" doc:"After how many laps since the plan counts"`
	LapsError     *float64   `json:"laps_error"`
	Distance      *float64   `json:"distance_m" doc:"After which distance since then, m"`
	DistanceError *float64   `json:"distance_error_m"`
}

// Goal is a run where it has driven what is planned.
type Goal struct {
	Of             string     `json:"of" enum:"laps,distance,time" doc:"What counts: laps before a distance, before the time"`
	Reached        bool       `json:"reached"`
	At             *time.Time `json:"at"`
	Remaining      *float64   `json:"remaining_s" doc:"How long from now, s; null once it is reached"`
	Seconds        *float64   `json:"seconds" doc:"What it will have taken, s"`
	SecondsError   *float64   `json:"seconds_error"`
	Distance       *float64   `json:"distance_m"`
	DistanceError  *float64   `json:"distance_error_m"`
	Energy         *float64   `json:"energy_wh" doc:"What it will have used, Wh"`
	EnergyError    *float64   `json:"energy_error_wh"`
	EnergyMargin   *float64   `json:"energy_margin_wh" doc:"What is left of the allowance then, Wh; its error is energy_error_wh"`
	EnergySuffices *string    `json:"energy_suffices" enum:"yes,no,unsure" doc:"unsure: by less than two errors either way, or the error is not known"`
	TimeMargin     *float64   `json:"time_margin_s" doc:"What is left of the time then, s; its error is seconds_error"`
	TimeSuffices   *string    `json:"time_suffices" enum:"yes,no,unsure" doc:"As energy_suffices"`
}

// Needed is what the rest of the plan allows and asks for.
type Needed struct {
	EnergyPerLap *float64 `json:"wh_per_lap" doc:"What may be spent a lap, Wh"`
	EnergyPerKM  *float64 `json:"wh_per_km" doc:"What may be spent a kilometre, Wh/km"`
	Efficiency   *float64 `json:"efficiency_km_kwh" doc:"What that is, km/kWh"`
	Speed        *float64 `json:"speed_kmh" doc:"How quick it must be on average, km/h"`
	LapSeconds   *float64 `json:"lap_s" doc:"How long a lap may take, s"`
}

const (
	wattHour = 3600 // J
	// farthest is until when there is a time of day at which something will be over, s.
	farthest = 400 * 86_400
	kmh      = 3.6 // of a m/s
)

// known is a figure, nil where it is none.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// ratio is a over b, nil where that says nothing.
func ratio(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	return known(a / b)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
