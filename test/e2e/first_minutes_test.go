package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// TestFirstMinutes starts what `make run` starts, on an empty folder: there are
// finished runs, and a car whose records come in, which should take ten seconds.
func TestFirstMinutes(t *testing.T) {
	t.Parallel()
	args := []string{"--demo", "--data-dir", filepath.Join(t.TempDir(), "data")}
	bin, err := filepath.Abs("../../.cache/pg/bin")
	if _, missing := os.Stat(bin); err == nil && missing == nil && os.Getenv(pgserver.BinDirVariable) == "" {
		args = append(args, "--pg-bindir", bin)
	} else if _, err := pgserver.Find(t.Context(), "", 0); errors.Is(err, pgserver.ErrNoPrograms) {
		t.Skipf("this needs server programs, a database alone will not do: TELEMETRYD_DB=packages make db gets some (%v)", err)
	}
	program(t) // building it is not part of the start
	begun := time.Now()
	daemon := serve(t, args...)
	p := &probe{t, daemon.url}
	finished, live := 0, map[int64]bool{} // runs; different counts of the live one
	await.Until(t, "two finished runs, and a car whose records come in", func() bool {
		a := p.send(request{method: http.MethodGet, path: "/api/v1/sessions"})
		var list struct {
			Sessions []struct {
				Live    bool  `json:"live"`
				Records int64 `json:"record_count"`
			}
		}
		if err := json.Unmarshal(a.body, &list); err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		finished = 0
		for _, run := range list.Sessions {
			switch {
			case run.Live:
				live[run.Records] = true
			case run.Records > 1000:
				finished++
			}
		}
		return finished >= 2 && len(live) >= 3
	}, daemon.log)
	// A machine that runs every test at once is no measure of the ten seconds.
	t.Logf("two finished runs and a moving car after %.1f s", time.Since(begun).Seconds())
	daemon.stop()
}
