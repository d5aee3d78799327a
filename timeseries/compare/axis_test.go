package compare

import (
	"fmt"
	"strings"
	"testing"
)

// A lap that cannot be laid without a panic ends its request, not the daemon.
func TestPanicOfALap(t *testing.T) {
	laps := make([]laid, MaxLaps)
	defer func() {
		if why := fmt.Sprint(recover()); !strings.HasPrefix(why, "no such place\n") || !strings.Contains(why, "TestPanicOfALap") {
			t.Errorf("panics with %s", why)
		}
		for i := range laps {
			if i != 3 && laps[i].aligned != "time" {
				t.Errorf("lap %d is laid by %q", i, laps[i].aligned)
			}
		}
	}()
	layAll(laps, func(l *laid) {
		if l == &laps[3] {
			panic("no such place")
		}
		l.aligned = "time"
	})
}
