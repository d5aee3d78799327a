package brief

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// figure is a value as the page has it: Text rounded, Value exact.
type figure struct {
	Label, Name string
	Value, Text string
	Unit, More  string
	Bar         string // of shares, of a width of 90
}

// none stands for what is not known.
const none = "–"

// figure writes a value of a stored unit, with that many digits behind the point. A
// name ends in the unit that the value is in, as energy_wh does.
func (p *page) figure(name string, v *float64, stored string, digits int) figure {
	f := figure{Name: name, Text: none}
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return f
	}
	value := *v
	f.Unit = stored
	if u, ok := p.Units.Shown(stored); ok {
		value, f.Unit, digits = u.Of(value), u.Unit, more(u, digits)
		if of, ends := strings.CutSuffix(name, "_"+ending(stored)); ends {
			f.Name = of + "_" + ending(u.Unit)
		}
	}
	f.Value, f.Text = strconv.FormatFloat(value, 'g', -1, 64), number(value, digits)
	return f
}

// ending is a unit as it stands at the end of a name.
func ending(unit string) string { return strings.ToLower(strings.ReplaceAll(unit, "/", "")) }

// more is the digits in another unit: as many fewer as it is smaller.
func more(u unit.Shown, digits int) int {
	factor, _ := u.Linear()
	return max(0, digits+int(math.Floor(-math.Log10(factor))))
}

// unit is how values of a stored unit are headed.
func (p *page) unit(stored string) string {
	if u, ok := p.Units.Shown(stored); ok {
		return u.Unit
	}
	return stored
}

// lasting writes a time of so many seconds in words.
func lasting(name string, seconds *float64) figure { return timed(name, seconds, duration) }

// lapTime writes one as 1:02.83.
func lapTime(name string, seconds *float64) figure {
	return timed(name, seconds, func(s float64) string {
		hundredths := int64(math.Round(s * 100))
		text := fmt.Sprintf("%02d.%02d", hundredths/100%60, hundredths%100)
		if minutes := hundredths / 6000; minutes < 60 {
			return fmt.Sprintf("%d:%s", minutes, text)
		}
		return fmt.Sprintf("%d:%02d:%s", hundredths/360000, hundredths/6000%60, text)
	})
}

func timed(name string, seconds *float64, write func(float64) string) figure {
	if seconds == nil {
		return figure{Name: name, Text: none}
	}
	return figure{Name: name, Value: strconv.FormatFloat(*seconds, 'g', -1, 64), Text: write(*seconds)}
}

// share is a part of a whole, in percent.
func share(part *float64, of float64) figure {
	if part == nil || !(of > 0) {
		return figure{Text: none, Bar: "0"}
	}
	v := *part / of
	return figure{Value: strconv.FormatFloat(v, 'g', 6, 64), Text: number(100*v, 1), Bar: number(90*min(1, max(0, v)), 1)}
}

// number writes a number, thousands apart.
func number(v float64, digits int) string {
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	if len(text) > 40 { // what no car measures
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	point := strings.IndexByte(text, '.')
	if point < 0 {
		point = len(text)
	}
	for i := point - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if v < 0 && strings.Trim(text, "0.") != "" {
		return "−" + text
	}
	return text
}

// records writes how many there are.
func records(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return number(float64(n), 0) + " records"
}

// laps writes how many there are.
func laps(n int) string {
	if n == 1 {
		return "1 lap"
	}
	return number(float64(n), 0) + " laps"
}

// duration writes seconds as 1 h 23 min, 4 min 05 s or 12.3 s.
func duration(s float64) string {
	switch seconds := int64(math.Round(s)); {
	case s < 9.95:
		return number(s, 1) + " s"
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %02d s", seconds/60, seconds%60)
	}
	minutes := int64(math.Round(s / 60))
	return fmt.Sprintf("%s h %02d min", number(float64(minutes/60), 0), minutes%60)
}
