package foreign

import (
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
)

// table is a file read to its end: its columns' names and its records.
type table struct {
	names   []string
	records []map[string]string
	Table
}

func readTable(t *testing.T, src io.Reader, opt Options) (table, error) {
	t.Helper()
	opt.Tally = true
	r, err := NewReader(src, opt)
	if err != nil {
		return table{}, err
	}
	var out table
	for _, c := range r.Columns() {
		out.names = append(out.names, c.Name)
	}
	for {
		cells, err := r.Read()
		if err == io.EOF {
			out.Table = r.Table()
			return out, nil
		}
		if err != nil {
			return out, err
		}
		record := map[string]string{}
		for i, cell := range cells {
			if len(cell) > 0 && out.names[i] != "" && !(r.Columns()[i].numeric && number.IsMissing(cell)) { // the decoder leaves those out
				record[out.names[i]] = string(cell)
			}
		}
		out.records = append(out.records, record)
	}
}

// same compares two cells: as numbers where both are, else as texts.
func same(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return a == b || err == nil && err2 == nil && math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(x))
}

// Files in the layouts of public loggers go in, with the options at most that
// nobody can do without.
func TestLoggers(t *testing.T) {
	t.Parallel()
	const first = "2026-06-03T10:00:00+00:00"
	for _, test := range []struct {
		file    string
		opt     Options
		asks    string // the field that is asked for without opt
		profile string
		count   int
		record  int // of which wants tells
		wants   map[string]string
		absent  []string // of that record
	}{
		{file: "racechrono-v3.csv", profile: "RaceChrono", count: 3, wants: map[string]string{"timestamp": first, "speed_ms": "8", "latitude": "48.1007186", "longitude": "11.5",
			"altitude_m": "520.1", "vehicle_heading": "88.5", "distance_m": "0", "speed (calc)": "8.02", "device_update_rate (calc)": "25", "lap_number": "", "satellites": "14", "x_acc": "0.01"}},
		{file: "racechrono-v3.csv", profile: "RaceChrono", count: 3, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.040000+00:00", "distance_m": "0.3"}, absent: []string{"speed_ms", "latitude", "device_update_rate"}},
		{file: "racechrono-v2.csv", profile: "RaceChrono", count: 2, wants: map[string]string{"timestamp": first, "speed_ms": "8", "Speed (kph)": "28.8", "distance_m": "0", "latitude": "48.1007186",
			"vehicle_heading": "88.5", "motor_rpm": "300", "throttle_pct": "12", "Trap name": "Start", "Lap #": "1"}},
		{file: "aim-racestudio.csv", profile: "AiM", asks: "start", opt: Options{Start: "2026-06-03T10:00:00Z"}, count: 3, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.050000+00:00",
			"speed_ms": "8.05", "voltage_v": "47.9", "current_a": "9.01", "motor_temp_c": "40", "latitude": "48.1007186", "Internal Battery": "4105", "GPS LatAcc": "0.01"}},
		{file: "motec-i2.csv", profile: "MoTeC", asks: "start", opt: Options{Start: "2026-06-03T10:00:00Z"}, count: 3, record: 2, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.040000+00:00",
			"speed_ms": "8.05555555555556", "distance_m": "0.3", "motor_rpm": "302", "throttle_pct": "13", "Brake Pres Front": "0.1", "Motor Power": "0.22"}},
		{file: "racelogic.vbo", profile: "VBOX", count: 3, record: 2, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.100000+00:00", "latitude": "48.1007185", "longitude": "11.5000108",
			"speed_ms": "8.1", "vehicle_heading": "88.70", "altitude_m": "520.2", "voltage_v": "47.9", "sats": "012"}},
		{file: "racelogic.vbo", profile: "VBOX", opt: Options{Start: "2026-06-04"}, count: 3, wants: map[string]string{"timestamp": "2026-06-04T10:00:00+00:00"}},
		{file: "racecapture.log", profile: "RaceCapture", count: 4, wants: map[string]string{"timestamp": first, "accel_x": "-0.196133", "latitude": "48.1007186", "longitude": "11.5", "speed_ms": "7.9997808",
			"altitude_m": "520.11072", "Battery": "12.6", "Yaw": "0.2", "GPSSats": "12", "Interval": "402"}},
		{file: "racecapture.log", profile: "RaceCapture", count: 4, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.040000+00:00", "accel_y": "-0.2941995"}, absent: []string{"speed_ms", "latitude", "Battery"}},
		{file: "torque.csv", profile: "Torque", count: 3, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.600000+00:00", "GPS Time": "Wed Jun 03 10:00:00 GMT+00:00 2026", "speed_ms": "8.1",
			"latitude": "48.1007184", "motor_rpm": "301", "throttle_pct": "12.5", "Speed (OBD)(km/h)": "29", "Engine Coolant Temperature(°C)": "80", "G(x)": "-0.02"}},
		{file: "torque.csv", profile: "Torque", opt: Options{Timezone: "Europe/Berlin"}, count: 3, record: 2, wants: map[string]string{"timestamp": "2026-06-03T08:05:00.100000+00:00"}, absent: []string{"speed_ms"}},
		{file: "gpslogger.txt", profile: "GPSLogger", count: 2, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:01.000Z", "latitude": "48.1007183", "longitude": "11.5001074", "altitude_m": "520.2",
			"vehicle_heading": "88.7", "speed_ms": "8.1", "distance_m": "8", "annotation": "pit, out", "provider": "gps", "battery_charging": "false"}},
		{file: "harrys-laptimer.csv", profile: "Harry's LapTimer", count: 2, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.200000+00:00", "speed_ms": "8.05", "SPEED_MPH": "18.007337",
			"altitude_m": "520.2", "vehicle_heading": "88.7", "distance_m": "1.6", "motor_rpm": "301", "LATERALG": "0.15"}},
		{file: "trackaddict.csv", profile: "TrackAddict", count: 3, record: 2, wants: map[string]string{"timestamp": "2026-06-03T10:00:00.200000+00:00", "speed_ms": "8.091424", "altitude_m": "520.2", "Altitude (ft)": "1707",
			"Time": "0.200", "motor_rpm": "302", "throttle_pct": "13", "accel_z": "-0.02"}},
		{file: "phyphox.csv", asks: "start", opt: Options{Start: "2026-06-03T10:00:00Z"}, count: 2, record: 0, wants: map[string]string{"timestamp": "2026-06-03T10:00:01.010000+00:00", "latitude": "48.1007186", "longitude": "11.5",
			"altitude_m": "520.1", "speed_ms": "8"}},
		{file: "phyphox.csv", asks: "start", opt: Options{Start: "2026-06-03T10:00:00Z"}, count: 2, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:02.010000+00:00"}, absent: []string{"speed_ms"}},
		{file: "traccar.csv", profile: "Traccar", count: 2, record: 1, wants: map[string]string{"timestamp": "2026-06-03T10:00:01.000+00:00", "speed_ms": "8.1025", "latitude": "48.1007183", "vehicle_heading": "88.7", "batteryLevel": "97"}},
		{file: "spreadsheet.csv", count: 2, wants: map[string]string{"timestamp": first, "speed_ms": "8", "voltage_v": "48", "current_a": "9.0005", "Öltemperatur [°C]": "61.5", "Bemerkung": "Größe geprüft"}},
		{file: "spreadsheet.csv", count: 2, record: 1, wants: map[string]string{"timestamp": "2026-06-13T10:00:00.200000+00:00", "speed_ms": "8.05"}, absent: []string{"current_a", "Bemerkung"}},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", test.file))
		if err != nil {
			t.Fatal(err)
		}
		if test.asks != "" {
			_, err := readTable(t, strings.NewReader(string(text)), Options{})
			if f := fault.As(err); f == nil || len(f.Problems) == 0 || f.Problems[0].Field != test.asks {
				t.Errorf("%s without options: %v; want to be asked for %s", test.file, err, test.asks)
			}
		}
		got, err := readTable(t, strings.NewReader(string(text)), test.opt)
		if err != nil || len(got.records) != test.count || got.Profile != test.profile {
			t.Errorf("%s: %d records as %q, %v", test.file, len(got.records), got.Profile, err)
			continue
		}
		record := got.records[test.record]
		for name, want := range test.wants {
			if !same(record[name], want) {
				t.Errorf("%s, record %d: %s is %q, want %q\n%s", test.file, test.record, name, record[name], want, got.Table)
			}
		}
		for _, name := range test.absent {
			if record[name] != "" {
				t.Errorf("%s, record %d: %s is %q, want nothing", test.file, test.record, name, record[name])
			}
		}
	}
}

// Racelogic pads all its numbers with zeros, which makes no texts of them.
func TestPaddedNumbersOfRacelogic(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/racelogic.vbo")
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{"sats": "12 12 12", "vert-vel": "0.01 0.01 0.01"} {
		if got, refused := values(t, string(text), column, Options{}); got != want {
			t.Errorf("%s: %s %s; want %s", column, got, refused, want)
		}
	}
}

// What is said of a column that the file does not have, or twice of one, is
// refused by name, whether or not a profile knows the file.
func TestMapOfColumns(t *testing.T) {
	t.Parallel()
	const plain = "timestamp,Battery Voltage,Speed (km/h)\n2026-06-03T10:00:00Z,48,36\n"
	const traccar = "deviceId,serverTime,deviceTime,fixTime,Speed\n7,2026-06-03 10:00:00,2026-06-03 10:00:00,2026-06-03 10:00:00,36\n"
	saved := []Profile{{Name: "ours", Header: []string{"timestamp", "Battery Voltage", "Speed"}, Map: map[string]string{"Battery Voltage": "voltage_v"}}}
	twice := func(more map[string]string) []Profile {
		maps.Copy(more, map[string]string{"BATTERY VOLTAGE": "voltage_v", "battery_voltage": "vesc_voltage_v"})
		return []Profile{{Name: "twice", Header: saved[0].Header, Map: more}}
	}
	tests := []struct {
		name, text string
		opt        Options
		names      []string // in the refusal
		wants      map[string]string
	}{
		{name: "mistyped", text: plain, opt: Options{Map: map[string]string{"Batery Voltage": "voltage_v"}}, names: []string{`"Batery Voltage"`, `"Battery Voltage"`}},
		{name: "mistyped, saved profile", text: plain, opt: Options{Profiles: saved, Map: map[string]string{"Batery Voltage": "voltage_v"}}, names: []string{`"Batery Voltage"`}},
		{name: "mistyped, built-in profile", text: traccar, opt: Options{Map: map[string]string{"Sped": "speed_ms [km/h]"}}, names: []string{`"Sped"`, `"Speed"`}},
		{name: "twice", text: plain, opt: Options{Map: map[string]string{"Speed": "speed_ms", "speed (km/h)": "wheel"}}, names: []string{`"Speed"`, `"speed (km/h)"`}},
		{name: "twice, saved profile", text: plain, opt: Options{Profiles: saved, Map: map[string]string{"Battery Voltage": "voltage_v", "BATTERY VOLTAGE": "x"}}, names: []string{`"Battery Voltage"`, `"BATTERY VOLTAGE"`}},
		{name: "mapped to nothing", text: plain, opt: Options{Map: map[string]string{"Speed": " [km/h]"}}, names: []string{`"Speed"`}},
		{name: "a profile of two minds", text: plain, opt: Options{Profiles: twice(map[string]string{})}, names: []string{`"twice"`, `"Battery Voltage"`, `"BATTERY VOLTAGE"`, `"battery_voltage"`}},
		{name: "a profile of two minds, by name", text: plain, opt: Options{Profile: "twice", Profiles: twice(map[string]string{})}, names: []string{`"twice"`}},
		{name: "a profile of two minds, and the header", text: plain, opt: Options{Profiles: twice(map[string]string{"Battery Voltage": "u"})}, wants: map[string]string{"u": "48"}},
		{name: "a profile of two minds, and one's own", text: plain, opt: Options{Profiles: twice(map[string]string{}), Map: map[string]string{"battery voltage": "u"}}, wants: map[string]string{"u": "48"}},
		{name: "other words than the profile's", text: traccar, opt: Options{Map: map[string]string{"SPEED": "speed_ms [km/h]"}}, wants: map[string]string{"speed_ms": "10"}},
		{name: "other words than the saved profile's", text: plain, opt: Options{Profiles: saved, Map: map[string]string{"battery voltage": "u"}}, wants: map[string]string{"u": "48", "speed_ms": "10"}},
	}
	for _, test := range tests {
		for range 10 { // a map has another order each time
			got, err := readTable(t, strings.NewReader(test.text), test.opt)
			if test.wants == nil {
				if f := fault.As(err); f == nil || f.Kind != fault.Invalid || !strings.Contains(err.Error(), "map") {
					t.Fatalf("%s: %v", test.name, err)
				}
			} else if err != nil || len(got.records) != 1 {
				t.Fatalf("%s: %d records, %v", test.name, len(got.records), err)
			}
			for _, name := range test.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %v does not name %s", test.name, err, name)
				}
			}
			for name, want := range test.wants {
				if !same(got.records[0][name], want) {
					t.Errorf("%s: %s is %q, want %q", test.name, name, got.records[0][name], want)
				}
			}
		}
	}
}
