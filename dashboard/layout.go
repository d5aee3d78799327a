package dashboard

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Limits of the contract.
const (
	maxWidgets = 24 // per view

	gridColumns = 12
	maxRow      = 200
	maxHeight   = 12
	maxTitle    = 80 // UTF-16 units
	maxSeries   = 4
)

// WidgetInput is what a client says of a widget.
type WidgetInput struct {
	InstanceID string       `json:"instanceId"`
	WidgetType string       `json:"widgetType"`
	Title      *string      `json:"title,omitempty"`
	Column     float64      `json:"column"` // grid columns from 0
	Row        float64      `json:"row"`    // grid rows from 0
	Width      float64      `json:"width"`  // grid columns
	Height     float64      `json:"height"` // grid rows
	Pinned     bool         `json:"pinned"`
	Config     WidgetConfig `json:"config"`
}

// WidgetConfig is what a widget shows. A nil member is unset.
type WidgetConfig struct {
	Metric           *string  `json:"metric,omitempty"`
	ComparisonMetric *string  `json:"comparisonMetric,omitempty"`
	TimeWindow       *string  `json:"timeWindow,omitempty"`
	ChartStyle       *string  `json:"chartStyle,omitempty"`
	Series           []string `json:"series,omitzero"` // an empty list is kept, nil is unset
}

// The values that a widget's members can take.
var (
	Metrics = []string{
		"speed", "power", "voltage", "current", "motorVoltage", "motorCurrent", "motorRpm", "motorTemp",
		"motorPhase1Current", "motorPhase2Current", "motorPhase3Current", "motorPhaseCurrent", "efficiency",
		"throttle", "brake", "brake2", "gforce", "altitude", "gyroZ", "heading",
	}
	TimeWindows = []string{"30s", "60s", "5m", "15m", "session"}
	ChartStyles = []string{"line", "area", "scatter", "bar", "histogram"}
	WidgetTypes = strings.Fields(`
		vehicle-pulse core-trend track-progress attention load-energy session-kpis live-gauges
		speed-summary speed-trend acceleration-trend speed-distribution speed-ranges
		efficiency-summary speed-power-relationship efficiency-trend efficiency-by-speed optimal-speed
		power-summary voltage-current-trend voltage-stability current-peaks energy-trend current-spike-log
		motor-summary vesc-diagnostics motor-rpm-speed motor-phase-current motor-voltage motor-envelope motor-statistics
		dynamics-summary imu-sensor-trend orientation vibration motion-classification imu-axis-readout
		gyroscope-detail acceleration-detail force-peaks angular-histogram
		gps-summary route-map altitude-profile route-speed-profile
		quality-overview bridge-health outlier-analysis integrity-kpis quality-trend field-availability raw-telemetry
		speed-analysis efficiency-analysis power-analysis motor-analysis health-summary dynamics-analysis
		track-analysis driver-inputs data-integrity custom-chart`)
)

var instanceIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{3,80}$`)

// checkWidgets holds a call's widgets against the limits. Codes: WIDGET_LIMIT,
// INVALID_WIDGET_ID, INVALID_LAYOUT, INVALID_WIDGET_CONFIG.
func checkWidgets(widgets []WidgetInput) error {
	if len(widgets) > maxWidgets {
		return widgetLimit()
	}
	seen := map[string]bool{}
	for i, w := range widgets {
		invalid := func(code, message string) error {
			e := fault.Coded(fault.Invalid, code, "%s", message)
			e.Problems = []fault.Problem{{Index: &i, Reason: message}}
			return e
		}
		if !instanceIDForm.MatchString(w.InstanceID) || seen[w.InstanceID] {
			return invalid("INVALID_WIDGET_ID", "A widget's id has 3 to 80 letters, digits, underscores or hyphens and stands once in a view.")
		}
		seen[w.InstanceID] = true
		if !within(w.Column, 0, gridColumns-1) || !within(w.Row, 0, maxRow) ||
			!within(w.Width, 1, gridColumns) || !within(w.Height, 1, maxHeight) || w.Column+w.Width > gridColumns {
			return invalid("INVALID_LAYOUT", "A widget must lie on whole cells inside the grid of 12 columns.")
		}
		if w.Title != nil && (units(*w.Title) > maxTitle || strings.ContainsRune(*w.Title, 0)) {
			return invalid("INVALID_WIDGET_CONFIG", "A widget's title has 80 characters at most.")
		}
		if len(w.Config.Series) > maxSeries {
			return invalid("INVALID_WIDGET_CONFIG", "A widget shows 4 series at most.")
		}
		if field := unknownChoice(w); field != "" {
			e := fault.Field(field, "not one of the known values")
			e.Problems[0].Index = &i
			return e
		}
	}
	return nil
}

func widgetLimit() error {
	return fault.Coded(fault.Conflict, "WIDGET_LIMIT", "A dashboard view can hold %d widgets at most.", maxWidgets)
}

// unknownChoice names the first member that is not one of its known values.
func unknownChoice(w WidgetInput) string {
	known := func(value *string, choices []string) bool { return value == nil || slices.Contains(choices, *value) }
	switch {
	case !known(&w.WidgetType, WidgetTypes):
		return "widgetType"
	case !known(w.Config.Metric, Metrics):
		return "config.metric"
	case !known(w.Config.ComparisonMetric, Metrics):
		return "config.comparisonMetric"
	case !known(w.Config.TimeWindow, TimeWindows):
		return "config.timeWindow"
	case !known(w.Config.ChartStyle, ChartStyles):
		return "config.chartStyle"
	}
	for _, metric := range w.Config.Series {
		if !slices.Contains(Metrics, metric) {
			return "config.series"
		}
	}
	return ""
}

// within reports whether v is a whole number from least to most. It is false
// for NaN.
func within(v, least, most float64) bool {
	return v == math.Trunc(v) && v >= least && v <= most
}
