package book

import (
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Day returns the bounds of a day in a zone: today, yesterday, or one such as
// 2026-03-21. A day on which clocks are changed is shorter or longer than others.
func Day(text string, now time.Time, zone *time.Location) (from, to time.Time, err error) {
	day := now.In(zone)
	switch text {
	case "today":
	case "yesterday":
		day = day.AddDate(0, 0, -1)
	default:
		if day, err = time.Parse(time.DateOnly, text); err != nil {
			return from, to, fault.Field("day", "%q is not today, yesterday or a day such as 2026-03-21", fault.Clip(text))
		}
	}
	y, m, d := day.Date()
	return midnight(y, m, d, zone), midnight(y, m, d+1, zone), nil
}

// midnight is when a day begins, which is later where clocks are put forward then.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for want := time.Date(y, m, d, 12, 0, 0, 0, zone).Day(); t.Day() != want; {
		t = t.Add(15 * time.Minute)
	}
	return t
}
