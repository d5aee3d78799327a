package chaos

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// files imports files by the command, one after the other, again until each is
// stored.
type files struct {
	program, dir, url string
	log               io.Writer
	database          *proxy
	running           atomic.Pointer[exec.Cmd]
}

const (
	fileSize  = 5_000
	filePause = 3 * time.Second
	// quietTries is how often the last file is tried once there are no more faults.
	quietTries = 20
)

func (f *files) ways() *proxy { return f.database }

// restart kills an import that is under way.
func (f *files) restart(context.Context, *rand.Rand) error {
	if cmd := f.running.Load(); cmd != nil {
		_ = cmd.Process.Kill() // it may have ended
	}
	return nil
}

// interrupt kills the next import in the middle.
func (f *files) interrupt(ctx context.Context, random *rand.Rand) error {
	for f.running.Load() == nil {
		if err := retry.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	if err := pause(ctx, random, 600); err != nil {
		return err
	}
	return f.restart(ctx, random)
}

func (r *run) importFiles(ctx, working context.Context) {
	for n := 0; retry.Pause(working, filePause) == nil; n++ {
		session := fmt.Sprintf("import %d", n)
		file := filepath.Join(r.files.dir, session+".csv")
		// No two drives are at the same time, since one would be taken for the other.
		if err := writeTable(file, session, time.Now().Add(-48*time.Hour-time.Duration(n)*time.Hour)); err != nil {
			r.refuse(file, err)
			return
		}
		b := batch{session: session, to: fileSize}
		for tries := 0; !b.acknowledged && tries < quietTries; {
			cmd := exec.CommandContext(ctx, r.files.program, "import", "--quiet", "--log-level", "error", "--database-url", r.files.url, "--session-id", session, file)
			cmd.Stderr = r.files.log
			err := cmd.Start()
			if err == nil {
				r.files.running.Store(cmd)
				err = cmd.Wait()
				r.files.running.Store(nil)
			}
			b.acknowledged = err == nil
			if working.Err() != nil {
				tries++
			}
			if retry.Pause(ctx, 100*time.Millisecond) != nil {
				break
			}
		}
		if !b.acknowledged {
			r.refuse(file, fmt.Errorf("not stored after %d tries without a fault", quietTries))
		}
		_ = os.Remove(file)
		r.mu.Lock()
		r.batches = append(r.batches, b)
		r.mu.Unlock()
	}
}

func writeTable(name, session string, start time.Time) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	table := csv.NewWriter(out)
	_ = table.Write([]string{"timestamp", "message_id", "speed_ms", "voltage_v"}) // its errors are Flush's
	for i, row := range records(session, start, 0, fileSize) {
		speed, voltage := row["speed_ms"].(float64), row["voltage_v"].(float64)
		_ = table.Write([]string{row["timestamp"].(string), strconv.Itoa(i), strconv.FormatFloat(speed, 'g', -1, 64), strconv.FormatFloat(voltage, 'g', -1, 64)})
	}
	table.Flush()
	return table.Error()
}
