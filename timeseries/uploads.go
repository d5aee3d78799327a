package timeseries

import (
	"sync"
	"time"
)

// uploadMeter adds up how long uploads have been at work.
type uploadMeter struct {
	mu      sync.Mutex
	running int
	sum     time.Duration
	at      time.Time // up to when sum counts
}

// begin counts one more upload until the function it gives is called.
func (m *uploadMeter) begin() (end func()) {
	m.change(1)
	return func() { m.change(-1) }
}

func (m *uploadMeter) change(by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total(time.Now())
	m.running += by
}

func (m *uploadMeter) total(now time.Time) time.Duration {
	if m.running > 0 {
		m.sum += time.Duration(m.running) * now.Sub(m.at)
	}
	m.at = now
	return m.sum
}

// UploadTime is how long uploads have been at work, all together and those that
// still are included. By how much it grows in a second is how many of them the
// machine has had to do at once.
func (s *Store) UploadTime() time.Duration {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	return s.uploads.total(time.Now())
}
