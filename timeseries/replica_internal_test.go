package timeseries

import (
	"testing"
	"time"
)

func TestLagMeter(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	var m lagMeter
	for i, step := range []struct {
		written, replayed int64
		lag               time.Duration
		bytes             int64
	}{
		{100, 100, 0, 0},             // level
		{100, 100, 0, 0},             // and idle
		{200, 100, 0, 100},           // written just now
		{200, 100, time.Second, 100}, // still not there, though nothing new is written
		{300, 100, 2 * time.Second, 200},
		{300, 200, time.Second, 100}, // part of it arrived
		{300, 300, 0, 0},
		{300, 400, 0, 0}, // the primary was asked before the replica
	} {
		m.note(at(i), step.written, step.replayed)
		if got := m.since(at(i)); got != step.lag || m.bytes != step.bytes {
			t.Errorf("after %d s: %v and %d bytes behind, want %v and %d", i, got, m.bytes, step.lag, step.bytes)
		}
	}
	for i := range 3 * maxMarks {
		m.note(at(10+i), int64(1000+i), 500)
	}
	if got, want := m.since(at(10+3*maxMarks)), 3*maxMarks*time.Second; got != want || len(m.waiting) > maxMarks {
		t.Errorf("after a long absence: %v behind with %d marks, want %v", got, len(m.waiting), want)
	}
}
