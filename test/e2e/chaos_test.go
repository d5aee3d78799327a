package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/chaos"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// Whatever breaks, nothing acknowledged is lost and nothing is there twice.
func TestChaos(t *testing.T) {
	t.Parallel()
	bin := os.Getenv(pgserver.BinDirVariable)
	if bin == "" {
		bin, _ = filepath.Abs("../../.cache/pg/bin")
	}
	if _, err := pgserver.Find(t.Context(), bin, 0); err != nil {
		t.Skipf("no server programs of the checkout's own (make db): %v", err)
	}
	var said strings.Builder
	report, err := chaos.Run(t.Context(), chaos.Options{Program: program(t), PGBinDir: bin, Dir: filepath.Join(t.TempDir(), "data"), Faults: 40, Seed: 18, Out: &said})
	if err != nil {
		t.Fatal(err)
	}
	report.Write(&said)
	t.Log("\n" + said.String())
	if !report.OK() || report.Acknowledged == 0 {
		t.Error("not everything is as it should be")
	}
}
