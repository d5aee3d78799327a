// Package label says what the header of a column means: the name and the unit in it,
// and which member of a record that is, whatever a logger calls it. It holds no state
// and is safe for concurrent use.
package label

import (
	"strings"
	"unicode"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// Names of columns that are no channels.
const (
	Session = "session_id"
	Time    = "timestamp"
	Extra   = "extra" // the object that our own exports have in their last column
)

// aliases are other names of channels: what the team's importer and the live
// page's download use, and what public loggers call the same quantity. A name is
// here only where it can mean nothing else: "Battery Voltage" of a combustion
// car is its 12 V battery's.
var aliases = map[string]string{
	"session": Session, "time": Time, "datetime": Time,

	"speed": "speed_ms", "gps_speed": "speed_ms", "speed_gps": "speed_ms", "velocity": "speed_ms", "vehicle_speed": "speed_ms",
	"ground_speed": "speed_ms", "groundspeed": "speed_ms", "corr_speed": "speed_ms", "sog": "speed_ms", "geschwindigkeit": "speed_ms",
	"voltage": "voltage_v", "volts": "voltage_v", "pack_voltage": "voltage_v", "spannung": "voltage_v",
	"current": "current_a", "amps": "current_a", "pack_current": "current_a", "strom": "current_a",
	"power": "power_w", "leistung": "power_w", "energy": "energy_j", "energie": "energy_j",
	"distance": "distance_m", "distance_traveled": "distance_m", "distance_travelled": "distance_m", "strecke": "distance_m",
	"lat": "latitude", "gps_latitude": "latitude", "gps_lat": "latitude", "latitude_n_s": "latitude", "longitude_e_w": "longitude",
	"lon": "longitude", "lng": "longitude", "long": "longitude", "gps_longitude": "longitude", "gps_lon": "longitude", "gps_long": "longitude", "gps_lng": "longitude",
	"altitude": "altitude_m", "alt": "altitude_m", "elevation": "altitude_m", "height": "altitude_m", "gps_altitude": "altitude_m", "gps_alt": "altitude_m",
	"heading": "vehicle_heading", "bearing": "vehicle_heading", "course": "vehicle_heading", "gps_heading": "vehicle_heading", "gps_bearing": "vehicle_heading", "cog": "vehicle_heading",
	"s_gyro_x": "steering_gyro_x", "s_gyro_y": "steering_gyro_y", "s_gyro_z": "steering_gyro_z",
	"s_accel_x": "steering_accel_x", "s_accel_y": "steering_accel_y", "s_accel_z": "steering_accel_z",
	"acc_x": "accel_x", "acc_y": "accel_y", "acc_z": "accel_z", "accelx": "accel_x", "accely": "accel_y", "accelz": "accel_z",
	"acceleration_x": "accel_x", "acceleration_y": "accel_y", "acceleration_z": "accel_z",
	"gyrox": "gyro_x", "gyroy": "gyro_y", "gyroz": "gyro_z",
	"total_accel": "total_acceleration",
	"msg_id":      "message_id", "uptime": "uptime_seconds", "max_current": "max_current_a",
	"rpm": "motor_rpm", "motor_speed": "motor_rpm", "engine_rpm": "motor_rpm", "engine_speed": "motor_rpm", "drehzahl": "motor_rpm",
	"motor_temp": "motor_temp_c", "motor_temperature": "motor_temp_c", "motor_voltage": "motor_voltage_v", "motor_current": "motor_current_a",
	"throttle_position": "throttle_pct", "throttle_pos": "throttle_pct", "tps": "throttle_pct", "brake_position": "brake_pct", "brake_pos": "brake_pct",
}

// Normal turns a name such as "Gyro X" into gyro_x.
func Normal(name string) string {
	if isNormal(name) {
		return name
	}
	var out strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = out.Len() > 0
			continue
		}
		if gap {
			out.WriteByte('_')
			gap = false
		}
		out.WriteRune(r)
	}
	if strings.HasPrefix(strings.TrimSpace(name), "_") && out.Len() > 0 { // _id and _creationTime keep their mark
		return strings.TrimSpace(name)
	}
	return out.String()
}

func isNormal(name string) bool {
	last := byte('_')
	for i := range len(name) {
		c := name[i]
		if c == '_' && last == '_' || c != '_' && c-'a' > 'z'-'a' && c-'0' > 9 {
			return false
		}
		last = c
	}
	return last != '_'
}

// Label is a column's header, taken apart.
type Label struct {
	Text string // as written, without blanks around it
	Name string // normal, without the unit
	Unit string // "" where the header names none
}

// Read takes a header such as "Speed (OBD)(km/h)", "Engine Speed (RPM) *OBD"
// or RaceCapture's "Speed"|"mph"|0|150|10 apart.
func Read(cell string) Label {
	text := strings.TrimSpace(cell)
	l := Label{Text: text}
	if strings.Count(text, "|") == 4 {
		parts := strings.Split(text, "|")
		l.Text = strings.Trim(parts[0], `" `)
		l.Name, l.Unit = Normal(l.Text), strings.Trim(parts[1], `" `)
		return l
	}
	base := text
	if i := strings.LastIndex(base, " *"); i > 0 { // TrackAddict's mark of where the value came from
		base = strings.TrimSpace(base[:i])
	}
	if n := len(base); n > 0 && (base[n-1] == ')' || base[n-1] == ']') {
		open := map[byte]string{')': "(", ']': "["}[base[n-1]]
		if i := strings.LastIndex(base, open); i > 0 {
			inner := strings.TrimSpace(base[i+1 : n-1])
			if !IsSource(inner) && !isAxis(inner) {
				base, l.Unit = base[:i], inner
			}
		}
	}
	// What is left in brackets tells the sensor, not the quantity.
	for _, pair := range []string{"()", "[]"} {
		if i := strings.IndexByte(base, pair[0]); i > 0 {
			if j := strings.IndexByte(base[i:], pair[1]); j > 0 && !isAxis(base[i+1:i+j]) {
				base = base[:i] + " " + base[i+j+1:]
			}
		}
	}
	l.Name = Normal(base)
	return l
}

func isAxis(text string) bool {
	return len(text) == 1 && strings.Contains("xyzXYZ", text)
}

// sources are words that say where a value came from, not in which unit it is.
var sources = map[string]bool{
	"gps": true, "gnss": true, "can": true, "canbus": true, "obd": true, "obd2": true, "obdii": true, "calc": true, "calculated": true, "imu": true,
	"acc": true, "accel": true, "gyro": true, "magn": true, "mag": true, "ecu": true, "bms": true, "vesc": true, "sensor": true, "sensors": true, "device": true,
	"internal": true, "external": true, "analog": true, "digital": true, "phone": true, "logger": true, "math": true, "raw": true, "baro": true, "adc": true,
}

// IsSource reports whether text is such as "gps", "100: gps" or "CAN 1".
func IsSource(text string) bool {
	text = strings.ToLower(text)
	if i := strings.IndexByte(text, ':'); i > 0 && strings.Trim(text[:i], "0123456789") == "" {
		text = text[i+1:]
	}
	return sources[strings.Trim(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '_' {
			return -1
		}
		return r
	}, text), "0123456789")] || sources[strings.TrimSpace(text)]
}

// Target finds the channel that a normal name stands for, and the unit that the
// name itself tells, or "".
func Target(name string) (to, in string, ok bool) {
	if base, found := strings.CutSuffix(name, "e7"); found && aliases[base] != "" { // latE7
		name = base + "_e7"
	}
	if IsMember(name) {
		return name, "", true
	}
	if to, ok := aliases[name]; ok {
		return to, "", true
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '_' {
			continue
		}
		tail, known := unit.Suffixes[name[i+1:]]
		if !known {
			continue
		}
		base := name[:i]
		if to, ok = aliases[base]; !ok {
			to, ok = base, IsMember(base)
		}
		if c, isChannel := channel.ByName(to); ok && isChannel {
			if _, _, fits := unit.Convert(tail, c.Unit); fits {
				return to, tail, true
			}
		}
	}
	return "", "", false
}

// IsMember reports whether records have a member of that name.
func IsMember(name string) bool {
	_, ok := channel.Index(name)
	return ok || name == Session || name == Time || name == Extra
}

// alone are the channels that a header means which is nothing but a unit.
var alone = map[string]string{"speed": "speed_ms", "voltage": "voltage_v", "current": "current_a", "power": "power_w"}

// Worded finds the channel and the unit of a header that ends in a unit without
// brackets, as in "Speed km/h", or is nothing but one, as "Volt". Letters that may
// mean anything, such as a lone "A", are no unit.
func Worded(text string) (to, in string, ok bool) {
	at := strings.LastIndexAny(text, " _,")
	in = text[at+1:]
	u, ok := unit.Lookup(in)
	if !ok {
		return "", "", false
	}
	if at < 0 {
		to = alone[u.Dimension]
		return to, in, to != "" && len(in) > 2
	}
	to, other, ok := Target(Normal(strings.TrimSuffix(text[:at], " in")))
	c, isChannel := channel.ByName(to)
	_, _, fits := unit.Convert(in, c.Unit)
	return to, in, ok && other == "" && isChannel && fits
}
