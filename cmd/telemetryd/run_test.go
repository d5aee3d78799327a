package main

import (
	"slices"
	"testing"
	"time"
)

// A word that is a day is looked for as one, unless another day is asked for.
func TestRunListDays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		day   string
		words []string
		left  []string
		began bool
	}{{"", []string{"Yesterday", "wet"}, []string{"wet"}, true}, {"2026-03-21", []string{"yesterday"}, []string{"yesterday"}, true}, {"", []string{"wet"}, []string{"wet"}, false}} {
		filter, _, err := (filterFlags{Day: c.day, Timezone: "UTC"}).filter(c.words)
		if err != nil || !slices.Equal(filter.Book.Words, c.left) || filter.StartedAfter.IsZero() == c.began {
			t.Errorf("%+v: %v, %v", c, filter, err)
		}
		if c.day == "" && c.began && time.Since(filter.StartedAfter) < 24*time.Hour {
			t.Errorf("yesterday began at %v", filter.StartedAfter)
		}
	}
}

// Back turns round whatever a list of runs is sorted by, the default too.
func TestRunListBack(t *testing.T) {
	t.Parallel()
	for sort, want := range map[string]string{"": "start", "start": "-start", "name": "-name", "-distance_km": "distance_km"} {
		if got := (runListCmd{Sort: sort, Back: true}).order(); got != want {
			t.Errorf("%q: %q, want %q", sort, got, want)
		}
		if got := (runListCmd{Sort: sort}).order(); got != sort {
			t.Errorf("%q, not turned round: %q", sort, got)
		}
	}
}
