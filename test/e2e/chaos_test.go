package e2e

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/chaos"
	"github.com/ecovolt/telemetryd/internal/chaos/hostile"
)

// Whatever breaks, nothing acknowledged is lost and nothing is there twice.
func TestChaos(t *testing.T) {
	t.Parallel()
	bin := serverPrograms(t)
	var said strings.Builder
	report, err := chaos.Run(t.Context(), chaos.Options{Program: program(t), PGBinDir: bin, Dir: filepath.Join(t.TempDir(), "data"), Faults: 40, AtOnce: 4, Seed: 18, Out: &said})
	if err != nil {
		t.Fatal(err)
	}
	report.Write(&said)
	t.Log("\n" + said.String())
	if !report.OK() || report.Acknowledged == 0 {
		t.Error("not everything is as it should be")
	}
}

// Whatever anybody does, the bridge gets through, and the daemon stays small.
func TestHostile(t *testing.T) {
	t.Parallel()
	bin := serverPrograms(t)
	made := 0
	err := hostile.Run(t.Context(), hostile.Options{Program: program(t), PGBinDir: bin, Dir: filepath.Join(t.TempDir(), "data"), During: time.Second, Log: io.Discard}, func(r *hostile.Report) {
		var said strings.Builder
		r.Write(&said)
		t.Log("\n" + said.String())
		if made++; !r.OK() {
			t.Errorf("%s: the bridge did not get through, or the daemon grew", r.Name)
		}
	})
	if err != nil || made != 12 {
		t.Errorf("%d attacks, %v", made, err)
	}
}
