package main

import "testing"

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
