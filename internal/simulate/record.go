package simulate

import (
	"io"
	"strconv"
	"time"
)

// Record is one reading of a car's sensors, with what the bridge adds. Names
// and units are those of the telemetry record.
type Record struct {
	SessionID, SessionName string
	Time                   time.Time
	MessageID              int64
	Uptime                 float64

	Speed, Voltage, Current, Power, Energy, Distance  float64
	Latitude, Longitude, Altitude, Heading            float64
	GyroX, GyroY, GyroZ, AccelX, AccelY, AccelZ       float64
	Acceleration, Throttle, Brake                     float64
	MotorRPM, MotorTemp, MotorCurrent                 float64
	AvgSpeedKmh, MaxSpeedKmh                          float64
	AvgPower, AvgVoltage, AvgCurrent                  float64
	MaxPower, MaxCurrent, GForce, MaxG, ElevationGain float64
	RouteKm, EnergyKwh, Efficiency                    float64
	Source, Motion, Mode                              string
	ThrottleIntensity, BrakeIntensity                 string

	startDistance float64
}

// number is a member with a number: its name, decimals and value.
type number struct {
	name     string
	decimals int
	value    func(*Record) float64
}

// numbers lists the members with numbers, in the order of the real export and
// then of what newer bridges add. Decimals are the export's.
var numbers = []number{
	{"speed_ms", 2, func(r *Record) float64 { return r.Speed }},
	{"voltage_v", 2, func(r *Record) float64 { return r.Voltage }},
	{"current_a", 2, func(r *Record) float64 { return r.Current }},
	{"power_w", 2, func(r *Record) float64 { return r.Power }},
	{"energy_j", 2, func(r *Record) float64 { return r.Energy }},
	{"distance_m", 2, func(r *Record) float64 { return r.Distance }},
	{"latitude", 6, func(r *Record) float64 { return r.Latitude }},
	{"longitude", 6, func(r *Record) float64 { return r.Longitude }},
	{"altitude_m", 2, func(r *Record) float64 { return r.Altitude }},
	{"gyro_x", 3, func(r *Record) float64 { return r.GyroX }},
	{"gyro_y", 3, func(r *Record) float64 { return r.GyroY }},
	{"gyro_z", 3, func(r *Record) float64 { return r.GyroZ }},
	{"accel_x", 3, func(r *Record) float64 { return r.AccelX }},
	{"accel_y", 3, func(r *Record) float64 { return r.AccelY }},
	{"accel_z", 3, func(r *Record) float64 { return r.AccelZ }},
	{"total_acceleration", 3, func(r *Record) float64 { return r.Acceleration }},
	{"message_id", 0, func(r *Record) float64 { return float64(r.MessageID) }},
	{"uptime_seconds", 3, func(r *Record) float64 { return r.Uptime }},
	{"throttle_pct", 1, func(r *Record) float64 { return r.Throttle }},
	{"brake_pct", 1, func(r *Record) float64 { return r.Brake }},
	{"throttle", 3, func(r *Record) float64 { return r.Throttle / 100 }},
	{"brake", 3, func(r *Record) float64 { return r.Brake / 100 }},
	{"vehicle_heading", 1, func(r *Record) float64 { return r.Heading }},
	{"motor_rpm", 0, func(r *Record) float64 { return r.MotorRPM }},
	{"motor_temp_c", 1, func(r *Record) float64 { return r.MotorTemp }},
	{"motor_voltage_v", 2, func(r *Record) float64 { return r.Voltage }},
	{"motor_current_a", 2, func(r *Record) float64 { return r.MotorCurrent }},
	{"acc_eff_km_kwh", 2, func(r *Record) float64 { return r.Efficiency }},
	{"cumulative_energy_kwh", 6, func(r *Record) float64 { return r.EnergyKwh }},
	{"route_distance_km", 4, func(r *Record) float64 { return r.RouteKm }},
	{"avg_speed_kmh", 2, func(r *Record) float64 { return r.AvgSpeedKmh }},
	{"max_speed_kmh", 2, func(r *Record) float64 { return r.MaxSpeedKmh }},
	{"avg_power", 2, func(r *Record) float64 { return r.AvgPower }},
	{"avg_voltage", 2, func(r *Record) float64 { return r.AvgVoltage }},
	{"avg_current", 2, func(r *Record) float64 { return r.AvgCurrent }},
	{"max_power_w", 2, func(r *Record) float64 { return r.MaxPower }},
	{"max_current_a", 2, func(r *Record) float64 { return r.MaxCurrent }},
	{"current_g_force", 3, func(r *Record) float64 { return r.GForce }},
	{"max_g_force", 3, func(r *Record) float64 { return r.MaxG }},
	{"elevation_gain_m", 2, func(r *Record) float64 { return r.ElevationGain }},
}

// word is a member with text.
type word struct {
	name  string
	value func(*Record) string
}

var words = []word{
	{"session_name", func(r *Record) string { return r.SessionName }},
	{"data_source", func(r *Record) string { return r.Source }},
	{"motion_state", func(r *Record) string { return r.Motion }},
	{"driver_mode", func(r *Record) string { return r.Mode }},
	{"throttle_intensity", func(r *Record) string { return r.ThrottleIntensity }},
	{"brake_intensity", func(r *Record) string { return r.BrakeIntensity }},
}

// AppendJSON writes the record as a bridge sends it.
func (r *Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"session_id":`...)
	dst = strconv.AppendQuote(dst, r.SessionID)
	dst = append(dst, `,"timestamp":"`...)
	dst = r.appendTime(dst)
	dst = append(dst, '"')
	for i := range words {
		dst = append(dst, ',', '"')
		dst = append(dst, words[i].name...)
		dst = append(dst, '"', ':')
		dst = strconv.AppendQuote(dst, words[i].value(r))
	}
	for i := range numbers {
		n := &numbers[i]
		dst = append(dst, ',', '"')
		dst = append(dst, n.name...)
		dst = append(dst, '"', ':')
		dst = appendFixed(dst, n.value(r), n.decimals)
	}
	return append(dst, '}')
}

// appendTime writes the time as Python's isoformat does.
func (r *Record) appendTime(dst []byte) []byte {
	if r.Time.Nanosecond() == 0 {
		return r.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05+00:00")
	}
	return r.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000+00:00")
}

// scales are the powers of ten that numbers are rounded by.
var scales = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// appendFixed writes v rounded, without zeros at the end. Values are small
// enough for integers, which are written much faster than floats.
func appendFixed(dst []byte, v float64, decimals int) []byte {
	scaled := v * scales[decimals]
	if scaled < 0 {
		scaled -= 0.5
	} else {
		scaled += 0.5
	}
	whole := int64(scaled)
	if whole < 0 {
		dst = append(dst, '-')
		whole = -whole
	}
	unit := int64(scales[decimals])
	dst = strconv.AppendInt(dst, whole/unit, 10)
	rest := whole % unit
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for rest > 0 {
		unit /= 10
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return dst
}

// WriteNDJSON writes the car's next records, one to a line.
func (c *Car) WriteNDJSON(w io.Writer, records int) error {
	return c.write(w, nil, records, func(line []byte, r *Record) []byte { return r.AppendJSON(line) })
}

// WriteCSV writes a header line and the car's next records.
func (c *Car) WriteCSV(w io.Writer, records int) error {
	head := []byte("session_id,timestamp")
	for i := range words {
		head = append(append(head, ','), words[i].name...)
	}
	for i := range numbers {
		head = append(append(head, ','), numbers[i].name...)
	}
	return c.write(w, append(head, '\n'), records, func(line []byte, r *Record) []byte {
		line = append(append(line, r.SessionID...), ',')
		line = r.appendTime(line)
		for i := range words {
			line = append(append(line, ','), words[i].value(r)...)
		}
		for i := range numbers {
			line = appendFixed(append(line, ','), numbers[i].value(r), numbers[i].decimals)
		}
		return line
	})
}

// write writes what is in buf, and a line for each of the next records.
func (c *Car) write(w io.Writer, buf []byte, records int, appendLine func([]byte, *Record) []byte) error {
	for range records {
		buf = append(appendLine(buf, c.Next()), '\n')
		if len(buf) > 64<<10 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}
