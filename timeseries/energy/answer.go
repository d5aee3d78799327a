package energy

import "time"

// Balance is where the energy of a run went.
type Balance struct {
	Session string        `json:"session_id"`
	Model   *Model        `json:"model" doc:"What driving takes, fitted to this run; null where its data do not identify it"`
	Why     string        `json:"why" doc:"Why there is no model, or no score; empty where there are both"`
	Run     *Spent        `json:"run" doc:"What all of the run took; null without a model"`
	Score   *Score        `json:"score" doc:"Of all laps without pause and gap together; null without such, and where the model does not tell drag from rolling"`
	Laps    []SpentLap    `json:"laps" doc:"Laps as they are counted without parameters; none without a model"`
	Sectors []SpentSector `json:"sectors" doc:"Sectors of all laps without pause and gap; none without a model"`
	Advice  []Advice      `json:"advice" doc:"What would save energy, the most first: each is over its standard error at least twice, four times for as_in_lap, and 0.1 percent of the run's energy"`
	Verdict []string      `json:"verdict" doc:"The above in sentences"`
}

// Model is what driving takes.
type Model struct {
	Terms     []Coefficient `json:"terms"`
	LeftOut   []LeftOut     `json:"left_out" doc:"Terms that the data do not tell, and why"`
	R2        float64       `json:"r2" doc:"Share of the variance of the intervals' energy that the terms explain, 0 to 1"`
	Intervals int           `json:"intervals" doc:"How many intervals of 10 to 22 s it is fitted to"`
	Outliers  int           `json:"outliers" doc:"Intervals that were left out, over 4 standard deviations off: brakes that the power does not show, for one"`
	Seconds   float64       `json:"seconds" doc:"Driving in the intervals, s"`
	Deviation float64       `json:"deviation_wh" doc:"Standard deviation of what an interval took from what the terms say, Wh"`
	Slowest   float64       `json:"slowest_ms" doc:"Mean speed of the slowest interval, m/s: below it the model is a guess"`
	Quickest  float64       `json:"quickest_ms" doc:"That of the quickest, m/s"`
	Lifting   *float64      `json:"lifting" doc:"What lifting the car takes over what speeding it up takes: 1 by physics; null without both terms"`
}

// Coefficient is what a term takes.
type Coefficient struct {
	Term  string  `json:"term" enum:"rolling,drag,rolling_and_drag,climbing,speeding_up" doc:"rolling_and_drag where the data do not tell the two apart: at the mean speed of the fit"`
	Value float64 `json:"value" doc:"Electrical energy: rolling and rolling_and_drag J/m, drag J/m per (m/s)^2, climbing J/m of height, speeding_up J per (m/s)^2 of v^2/2"`
	Error float64 `json:"error" doc:"Its standard error"`
}

// LeftOut is a term that a model does not have.
type LeftOut struct {
	Term string `json:"term"`
	Why  string `json:"why"`
}

// Took is what one of the terms took.
type Took struct {
	Term   string  `json:"term" enum:"rolling,drag,rolling_and_drag,climbing,speeding_up" doc:"As in the model"`
	Energy float64 `json:"energy_wh"`
	Error  float64 `json:"error_wh" doc:"Standard error, Wh"`
}

// Spent is what a part of a run took. Terms, standing and rest add up to its energy.
type Spent struct {
	Energy   float64 `json:"energy_wh" doc:"Measured, over no gap, Wh"`
	Terms    []Took  `json:"terms"`
	Standing float64 `json:"standing_wh" doc:"Measured while the car stood (below 0.5 m/s), Wh"`
	Rest     float64 `json:"rest_wh" doc:"What no term explains: brakes, less what was given back, wind, and what else the model does not know, Wh"`
	Error    float64 `json:"error_wh" doc:"Standard error of the rest, Wh"`
}

// Score says how little of the energy an even speed would have spared.
type Score struct {
	Percent float64 `json:"percent" doc:"What the model says that the same distance takes at an even speed, in the same time, with the same height and the same speeds at its ends, of what it took: 100 is as good as can be"`
	Error   float64 `json:"error" doc:"Standard error, in percent"`
	Even    float64 `json:"even_wh" doc:"That energy at an even speed, Wh"`
	Varying float64 `json:"varying_wh" doc:"What the speed's variation cost, by the drag, Wh: with the rest it is what misses to 100 percent"`
	Laps    int     `json:"laps" doc:"Of how many laps"`
}

// SpentLap is a lap of a run.
type SpentLap struct {
	Lap  int64     `json:"lap"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Spent
	Score *Score `json:"score" doc:"null with a pause or a gap, and where the model does not tell drag from rolling"`
}

// SpentSector is a sector of all laps.
type SpentSector struct {
	Sector int32  `json:"sector"`
	Name   string `json:"name" doc:"What it is called"`
	Laps   int    `json:"laps" doc:"How many laps count"`
	Spent
	Score *Score `json:"score" doc:"As of laps, with an even speed from its begin to its end, of one in which laps begin from there to the line and from the line on; null where the model does not tell drag from rolling, and where its error is over 5 percent"`
}

// Advice is what would save energy.
type Advice struct {
	Kind    string    `json:"kind" enum:"as_in_lap,even_speed" doc:"as_in_lap: driven as in that lap of the run, at a comparable time, by the records; even_speed: at an even speed from the stretch's begin to its end, in the same time, by the model"`
	Sector  int32     `json:"sector"`
	Name    string    `json:"name" doc:"The stretch: what the sector is called, and of one in which laps begin whether it is from the line on or up to the line"`
	Lap     int64     `json:"lap" doc:"as_in_lap: the lap to drive like; even_speed: the one whose speed varied most there"`
	From    time.Time `json:"from" doc:"When that lap drove there"`
	To      time.Time `json:"to"`
	Laps    int       `json:"laps" doc:"In how many laps it would have saved that: one that started or stopped there is none"`
	Saving  float64   `json:"saving_wh" doc:"What it would have saved in these laps together, Wh"`
	Error   float64   `json:"error_wh" doc:"Its standard error, Wh"`
	Records *float64  `json:"records_wh" doc:"as_in_lap: the difference of the measured energies, from which saving_wh takes what they left the stretch quicker or slower by, Wh; null of even_speed"`
	Text    string    `json:"text" doc:"That in a sentence"`
}
