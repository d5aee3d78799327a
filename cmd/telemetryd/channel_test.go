package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// A table says of each channel what its columns have, and an error which line and
// column it is about.
func TestTableOfChannels(t *testing.T) {
	t.Parallel()
	digits, low, alarm := int16(1), -20.0, 55.5
	list, lines, err := readChannels(strings.NewReader("\ufeffName, unit,meaning,aliases,decimals,low,alarm_high,colour,expression\n" +
		"battery_temp_c,degC,\"Hottest\ncell\",batt; pack t,1,-20,55.5,#ff0000,\n" +
		"pack_w,W,,,,,,,voltage_v * current_a\n"))
	want := []registry.Named{
		{Name: "battery_temp_c", Definition: registry.Definition{Unit: "degC", Meaning: "Hottest\ncell", About: registry.About{
			Aliases: []string{"batt", "pack t"}, Decimals: &digits, Low: &low, AlarmHigh: &alarm, Colour: "#ff0000",
		}}},
		{Name: "pack_w", Definition: registry.Definition{Unit: "W", Expression: "voltage_v * current_a"}},
	}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if diff := cmp.Diff([]int{2, 4}, lines); diff != "" {
		t.Errorf("lines (-want +got)\n%s", diff)
	}
	for text, want := range map[string]string{
		"":                        "it is empty",
		"name,units\nx,V":         "line 2, column units: there is no such column",
		"name,unit, Unit\nx,V,A":  "line 1: the column unit stands there twice",
		"name,low\nx,1\ny,little": `line 3, column low: "little" is no number`,
		"name,decimals\nx,1.5":    `line 2, column decimals: "1.5" is no whole number`,
		"name,unit\nx":            "record on line 2: wrong number of fields",
	} {
		if _, _, err := readChannels(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
