package foreign

import (
	"strings"
	"testing"
)

// What is asked for has the names that whoever asked can use: a command's
// options, or a request's parameters.
func TestAsking(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, option, parameter string
		opt                     Options
	}{
		{text: "Date,Time,Speed\n03.06.2026,10:00:00,1\n", option: "--day-first or --no-day-first", parameter: "day_first=true or day_first=false"},
		{text: "t,Speed\n0.1,1\n0.2,2\n", option: "--start 2026-06-03T10:00:00Z", parameter: "start=2026-06-03T10:00:00Z"},
		{text: "Time,Speed\n10:00:00,1\n", option: "--start 2026-06-03", parameter: "start=2026-06-03"},
		{text: "a,b\nx,1\n", option: "--time-column", parameter: "time_column"},
		{text: "timestamp;Speed\n2026-06-03T10:00:00Z;1,234\n2026-06-03T10:00:01Z;999\n", option: "--decimal comma", parameter: "decimal=comma"},
		{text: "timestamp,Speed [furlong]\n2026-06-03T10:00:00Z,1\n", option: "--map 'Speed [furlong]=speed_ms [m/s]'", parameter: "map=Speed [furlong]=speed_ms [m/s]"},
		{text: "timestamp,x\n2026-06-03T10:00:00Z,1\n", opt: Options{Map: map[string]string{"x": ""}}, option: "--map 'x=voltage_v'", parameter: "map=x=voltage_v"},
		{text: "timestamp,x\n2026-06-03T10:00:00Z,1\n", opt: Options{Map: map[string]string{"x": "a b"}}, option: "--map 'Speed=speed_ms[km/h]'", parameter: "map=Speed=speed_ms[km/h]"},
		{text: "Time,Speed\n45000.50001,1\n45000.50002,2\n45000.50003,2\n", option: "--map 'Time=timestamp [Excel]'", parameter: "map=Time=timestamp [Excel]"},
	} {
		for _, parameters := range []bool{false, true} {
			opt := tc.opt
			opt.Parameters = parameters
			_, err := readTable(t, strings.NewReader(tc.text), opt)
			want := tc.option
			if parameters {
				want = tc.parameter
			}
			if err == nil || !strings.Contains(err.Error(), want) || parameters && strings.Contains(err.Error(), "--") {
				t.Errorf("%q: %v; want it to name %s", tc.text, err, want)
			}
		}
	}
}

// The number that is asked about is found in the file by its line.
func TestExcelDaysNameTheLine(t *testing.T) {
	_, err := readTable(t, strings.NewReader("# a sheet\nTime,Speed\n,1\n45000.50001,1\n45000.50002,2\n45000.50003,2\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "45000.50001 in line 4 is 2023-03-15 12:00:00") {
		t.Error(err)
	}
}

// Days as Excel counts them are taken once somebody says that they are some.
func TestExcelDays(t *testing.T) {
	t.Parallel()
	const text = "Time,Speed\n45000.5,1\n45000.5000115741,2\n"
	got, err := readTable(t, strings.NewReader(text), Options{Map: map[string]string{"Time": "timestamp [Excel]"}})
	if err != nil || got.records[0]["timestamp"] != "2023-03-15T12:00:00+00:00" || got.records[1]["timestamp"] != "2023-03-15T12:00:01+00:00" {
		t.Errorf("%v, %v", got.records, err)
	}
	got, err = readTable(t, strings.NewReader(text), Options{Map: map[string]string{"Time": "timestamp [Excel]"}, Timezone: "Europe/Berlin"})
	if err != nil || got.records[0]["timestamp"] != "2023-03-15T11:00:00+00:00" {
		t.Errorf("%v, %v", got.records, err)
	}
	// Seconds of a logger that has run for half a day are none.
	_, err = readTable(t, strings.NewReader("t,Speed\n45000.5,1\n45000.6,2\n45000.7,2\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "--start") {
		t.Error(err)
	}
	got, err = readTable(t, strings.NewReader(text), Options{Start: "2026-06-03T00:00:00Z"})
	if err != nil || !strings.HasPrefix(got.records[0]["timestamp"], "2026-06-03T12:30:00.5") {
		t.Errorf("%v, %v", got.records, err)
	}
}

// A unit needs no brackets where nothing else can be meant.
func TestUnitsWithoutBrackets(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][2]string{
		"Speed km/h": {"speed_ms", "10"}, "GPS Speed, km/h": {"speed_ms", "10"}, "Speed_km/h": {"speed_ms", "10"}, "Speed in km/h": {"speed_ms", "10"}, "km/h": {"speed_ms", "10"},
		"Volt": {"voltage_v", "36"}, "Watt": {"power_w", "36"}, "Voltage mV": {"voltage_v", "0.036"},
		"A": {"A", "36"}, "V": {"V", "36"}, "Oil mV": {"Oil mV", "36"}, "Speed bar": {"Speed bar", "36"}, "kWh": {"kWh", "36"}, "Speed km": {"Speed km", "36"},
	} {
		got, err := readTable(t, strings.NewReader("timestamp\t"+header+"\n2026-06-03T10:00:00Z\t36\n"), Options{})
		if err != nil || got.records[0][want[0]] != want[1] {
			t.Errorf("%s: %v, %v; want %v", header, got.records, err, want)
		}
	}
}
