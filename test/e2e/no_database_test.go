package e2e

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// TestNoDatabaseBySurprise runs the commands that only read or change in a
// folder where nothing is.
func TestNoDatabaseBySurprise(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"export some-run", "backup out.dump", "user list", "user create-admin someone@example.org", "key list", "key create bridge", "psql", "doctor",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.Command(program(t), strings.Fields(args)...)
			cmd.Env, cmd.Dir, cmd.Stdin = environment(), dir, strings.NewReader("correct horse battery staple\n")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("it succeeded: %s", out)
			}
			for _, part := range []string{"no database in the folder data", "TELEMETRYD_DATA_DIR", "TELEMETRYD_DATABASE_URL"} {
				if !strings.Contains(string(out), part) {
					t.Errorf("it does not say %q: %s", part, out)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// TestTakenPort starts a daemon where another program listens.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	cmd := exec.Command(program(t), "serve", "--listen", other.Addr().String(), "--database-url", dbtest.URL(t))
	cmd.Env, cmd.Dir = environment(), t.TempDir()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--listen") || !strings.Contains(string(out), "TELEMETRYD_LISTEN") {
		t.Errorf("%v: %s", err, out)
	}
}
