package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestOutagesAreSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		log := slog.New(newOutages(slog.NewTextHandler(&text, nil)))
		away := fmt.Errorf("purge: %w", &pgconn.ConnectError{Config: new(pgconn.Config)})
		for range 150 { // seconds
			log.Warn("cannot purge", "error", away)
			log.With("lease", "rollups").Error("cannot refresh", "error", away)
			time.Sleep(time.Second)
		}
		for range 3 {
			log.Warn("cannot purge", "error", errors.New("another reason"))
		}
		for line, want := range map[string]int{"cannot purge": 3 + 3, "cannot refresh": 3, "another reason": 3} {
			if got := strings.Count(text.String(), line); got != want {
				t.Errorf("%q is said %d times, want %d:\n%s", line, got, want, text.String())
			}
		}
	})
}
