package channel

import "strings"

// Type is how a channel's values are stored and sent.
type Type int

// The types of channels.
const (
	Float Type = iota // float8; a JSON number
	Int               // int8; a JSON number without a fraction, 1.0 included
	Text              // text; a JSON string
	JSON              // jsonb; any JSON value
)

// String returns the name that documentation and errors use.
func (t Type) String() string {
	return [...]string{"number", "integer", "text", "JSON value"}[t]
}

// Channel is one thing that a car measures.
type Channel struct {
	Name    string
	Type    Type
	Unit    string // "" where there is none
	Meaning string
	Charted bool // can be asked of series, as lowest, highest, mean and count
	// Member is the member of records that holds its values where it has no column
	// of the telemetry hypertable, nor of the rollups. The column of one that has is
	// called by the channel's name, as is the member.
	Member string
	// Formula is what it is where it is made of others.
	Formula *Formula
}

// Formula is how a channel is made of others. It does not change.
type Formula struct {
	// Inputs are the others, as Number of them.
	Inputs []string
	// Text tells it from other formulas: two of one text have the same values.
	Text string
	// Eval is its value in a record, whose inputs those are; false stands for NULL.
	Eval func(input func(i int) (float64, bool)) (float64, bool)
	// SQL is its value as SQL of a channel is.
	SQL func() string
	// Walk is set instead of these two where the value depends on the records before:
	// it begins a walk over records of one run in the order of time, batch and ord.
	Walk func() Walk
}

// Walk computes a formula record by record.
type Walk interface {
	// Step is the value in the next record.
	Step(micros int64, input func(i int) (float64, bool)) (float64, bool)
	// Primed reports whether records older than those that went by do not matter.
	Primed() bool
}

// Neighbours reports whether its value depends on the records before.
func (c *Channel) Neighbours() bool { return c.Formula != nil && c.Formula.Walk != nil }

// HasColumn reports whether its values are a column, of the rollups as well.
func (c *Channel) HasColumn() bool { return c.Member == "" && c.Formula == nil }

// SQL is its value, as an expression over a row of telemetry: NULL where a row alone
// does not know it.
func (c *Channel) SQL() string {
	switch {
	case c.Neighbours():
		return "NULL::double precision"
	case c.Formula != nil:
		return c.Formula.SQL()
	case c.HasColumn():
		return c.Name
	case c.Type == Text:
		return "channel_text(extra, " + Literal(c.Member) + ")"
	}
	member := Literal(c.Member)
	return "coalesce(channel_number(numbers[(SELECT place FROM member_places WHERE member = " + member + ")]), channel_number(extra, " + member + "))"
}

// Number is SQL of one that is a number, as double precision.
func (c *Channel) Number() string {
	if c.Type == Int {
		return c.SQL() + "::double precision"
	}
	return c.SQL()
}

// Values tells its values from those of others: what is kept of a channel goes by it,
// since a name stays when its formula is edited, and no SQL tells rates apart.
func (c *Channel) Values() string {
	if c.Formula != nil {
		return c.Formula.Text
	}
	return c.Number()
}

// Literal writes a text as SQL has it, whatever standard_conforming_strings says.
func Literal(text string) string {
	text = strings.ReplaceAll(text, "'", "''")
	if strings.Contains(text, `\`) {
		return ` E'` + strings.ReplaceAll(text, `\`, `\\`) + `'`
	}
	return "'" + text + "'"
}

// contract is a field of the function contract.
type contract struct {
	name    string
	kind    Type
	unit    string
	meaning string
	charted bool
}

// All lists every member of the function contract's record but session_id and
// timestamp, in the order of export columns. Each has a column. Names, units and
// meanings follow that record; COPY, validation, rollups, OpenAPI and column comments
// all derive from this list.
var All = channels([]contract{
	{"session_name", Text, "", "Name the operator gave the run", false},
	{"speed_ms", Float, "m/s", "Ground speed", true},
	{"voltage_v", Float, "V", "Pack voltage", true},
	{"current_a", Float, "A", "Pack current; negative while regenerating", true},
	{"power_w", Float, "W", "Electrical power", true},
	{"avg_power_w", Float, "W", "Mean power over the firmware's window", true},
	{"energy_j", Float, "J", "Energy used since the start", true},
	{"distance_m", Float, "m", "Distance since the start", true},
	{"latitude", Float, "deg", "WGS84 latitude; 0 with longitude 0 means no fix", true},
	{"longitude", Float, "deg", "WGS84 longitude; 0 with latitude 0 means no fix", true},
	{"altitude_m", Float, "m", "Height above sea level", true},
	{"gyro_x", Float, "deg/s", "Roll rate", true},
	{"gyro_y", Float, "deg/s", "Pitch rate", true},
	{"gyro_z", Float, "deg/s", "Yaw rate", true},
	{"steering_gyro_x", Float, "deg/s", "Roll rate at the steering wheel", true},
	{"steering_gyro_y", Float, "deg/s", "Pitch rate at the steering wheel", true},
	{"steering_gyro_z", Float, "deg/s", "Yaw rate at the steering wheel", true},
	{"accel_x", Float, "m/s2", "Forward acceleration", true},
	{"accel_y", Float, "m/s2", "Lateral acceleration", true},
	{"accel_z", Float, "m/s2", "Vertical acceleration, gravity included", true},
	{"steering_accel_x", Float, "m/s2", "Forward acceleration at the steering wheel", true},
	{"steering_accel_y", Float, "m/s2", "Lateral acceleration at the steering wheel", true},
	{"steering_accel_z", Float, "m/s2", "Vertical acceleration at the steering wheel", true},
	{"total_acceleration", Float, "m/s2", "Magnitude of the acceleration vector", true},
	{"vehicle_heading", Float, "deg", "Heading", true},
	{"message_id", Int, "count", "The vehicle's message counter; restarts with the vehicle, 0 when unknown", false},
	{"uptime_seconds", Float, "s", "Time since the vehicle booted", true},
	{"throttle_pct", Float, "%", "Throttle position, 0 to 100", true},
	{"brake_pct", Float, "%", "Brake position, 0 to 100", true},
	{"brake2_pct", Float, "%", "Second brake's position, 0 to 100", true},
	{"throttle", Float, "ratio", "Throttle position, 0 to 1", true},
	{"brake", Float, "ratio", "Brake position, 0 to 1", true},
	{"brake2", Float, "ratio", "Second brake's position, 0 to 1", true},
	{"motor_voltage_v", Float, "V", "Motor voltage; mirrors vesc_voltage_v", true},
	{"motor_current_a", Float, "A", "Motor current; mirrors vesc_current_a", true},
	{"vesc_voltage_v", Float, "V", "Motor controller's input voltage", true},
	{"vesc_current_a", Float, "A", "Motor controller's input current", true},
	{"motor_rpm", Float, "rpm", "Motor speed", true},
	{"motor_temp_c", Float, "degC", "Motor temperature", true},
	{"motor_phase_1_current_a", Float, "A", "Current of motor phase 1", true},
	{"motor_phase_2_current_a", Float, "A", "Current of motor phase 2", true},
	{"motor_phase_3_current_a", Float, "A", "Current of motor phase 3", true},
	{"motor_phase_current_a", Float, "A", "Mean of the phase currents sent", true},
	{"data_source", Text, "", "Where the record came from, such as ESP32_LIVE or csv_import", false},
	{"outliers", JSON, "", "Which fields the bridge flagged, with confidence, reason and severity", false},
	{"outlier_severity", Text, "", "Severity of the outliers: info, warning or critical", false},
	{"inst_eff_km_kwh", Float, "km/kWh", "Efficiency at this instant; negative while regenerating", true},
	{"acc_eff_km_kwh", Float, "km/kWh", "Efficiency since the start", true},
	{"current_efficiency_km_kwh", Float, "km/kWh", "Older bridges' efficiency estimate", true},
	{"cumulative_energy_kwh", Float, "kWh", "Power integrated since the start", true},
	{"route_distance_km", Float, "km", "Length of the GPS path since the start", true},
	{"avg_speed_kmh", Float, "km/h", "Rolling mean of speed over 36 samples", true},
	{"max_speed_kmh", Float, "km/h", "Highest speed of the run so far", true},
	{"avg_power", Float, "W", "Rolling mean of power over 36 samples", true},
	{"avg_voltage", Float, "V", "Rolling mean of voltage over 36 samples", true},
	{"avg_current", Float, "A", "Rolling mean of current over 36 samples", true},
	{"max_power_w", Float, "W", "Highest power of the run so far", true},
	{"max_current_a", Float, "A", "Highest current of the run so far", true},
	{"optimal_speed_kmh", Float, "km/h", "Estimated best cruising speed", true},
	{"optimal_speed_ms", Float, "m/s", "Estimated best cruising speed", true},
	{"optimal_efficiency_km_kwh", Float, "km/kWh", "Efficiency at the best cruising speed", true},
	{"optimal_speed_confidence", Float, "ratio", "Confidence in the best cruising speed, 0 to 1", true},
	{"optimal_speed_data_points", Int, "count", "Samples behind the best cruising speed", false},
	{"optimal_speed_range", JSON, "km/h, km/kWh", "Range around the best cruising speed, and its efficiency", false},
	{"motion_state", Text, "", "stationary, cruising, accelerating, braking or turning", false},
	{"driver_mode", Text, "", "eco, normal, aggressive, coasting or braking; older: accelerating, mixed", false},
	{"throttle_intensity", Text, "", "idle, light, moderate or heavy; older: none", false},
	{"brake_intensity", Text, "", "idle, light, moderate or heavy; older: none", false},
	{"current_g_force", Float, "g", "Planar acceleration", true},
	{"max_g_force", Float, "g", "Highest planar acceleration of the run so far", true},
	{"accel_magnitude", Float, "m/s2", "Magnitude of horizontal acceleration", true},
	{"avg_acceleration", Float, "m/s2", "Rolling mean of horizontal acceleration", true},
	{"elevation_gain_m", Float, "m", "Climb since the start; steps of 50 m or more ignored", true},
	{"quality_score", Float, "score", "Data quality", true},
})

func channels(list []contract) []Channel {
	all := make([]Channel, len(list))
	for i, f := range list {
		all[i] = Channel{Name: f.name, Type: f.kind, Unit: f.unit, Meaning: f.meaning, Charted: f.charted}
	}
	return all
}

var index = func() map[string]int {
	index := make(map[string]int, len(All))
	for i, c := range All {
		index[c.Name] = i
	}
	return index
}()

// Index returns the place in All of the channel with that JSON name.
func Index(name string) (int, bool) {
	i, ok := index[name]
	return i, ok
}

// ByName returns the channel with that JSON name.
func ByName(name string) (Channel, bool) {
	i, ok := index[name]
	if !ok {
		return Channel{}, false
	}
	return All[i], true
}
