package lag

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	var m Meter
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
		m.Note(at(i), step.written, step.replayed)
		if got := m.Since(at(i)); got != step.lag || m.Bytes != step.bytes {
			t.Errorf("after %d s: %v and %d bytes behind, want %v and %d", i, got, m.Bytes, step.lag, step.bytes)
		}
	}
	for i := range 3 * mostMarks {
		m.Note(at(10+i), int64(1000+i), 500)
	}
	if got, want := m.Since(at(10+3*mostMarks)), 3*mostMarks*time.Second; got != want || len(m.waiting) > mostMarks {
		t.Errorf("after a long absence: %v behind with %d marks, want %v", got, len(m.waiting), want)
	}
}
