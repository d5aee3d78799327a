package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/analyst"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// mostMemory is what the daemon may hold whatever is done to it, in bytes.
const mostMemory = 400 << 20

// Options say what to try.
type Options struct {
	Program  string // the telemetryd binary
	Dir      string // an empty folder for the database
	PGBinDir string // of the server programs; found if empty
	Only     string // the attack to make, by its name; all if empty
	// How long each attack lasts, how long the bridge is measured alone before and
	// after it, and how long is waited before that.
	During, Alone, Recovery time.Duration
	Log                     io.Writer // what the daemon logs
}

// Report is what became of one attack.
type Report struct {
	Name                  string
	Before, During, After []time.Duration // of the bridge's records until acknowledged, in order of size
	Inserts               int             // of the bridge
	Failed                []string        // answers to them that were no success
	PeakMemory            int64           // bytes
	Answers               map[string]int  // to the attackers
}

// OK reports whether the bridge got through and the daemon stayed small.
func (r *Report) OK() bool { return len(r.Failed) == 0 && r.Inserts > 0 && r.PeakMemory < mostMemory }

// Write prints the report in two lines.
func (r *Report) Write(w io.Writer) {
	p99 := func(all []time.Duration) time.Duration { return at(all, 99) }
	fmt.Fprintf(w, "%-32s alone p99 %v; attacked p50 %v, p99 %v, worst %v; later p99 %v; %d of %d inserts failed; %d MB\n", r.Name,
		p99(r.Before), at(r.During, 50), p99(r.During), at(r.During, 100), p99(r.After), len(r.Failed), r.Inserts, r.PeakMemory>>20)
	var answers []string
	for _, what := range slices.Sorted(maps.Keys(r.Answers)) {
		answers = append(answers, fmt.Sprintf("%s: %d", what, r.Answers[what]))
	}
	fmt.Fprintf(w, "%-32s answers to the attackers: %s\n", "", strings.Join(answers, ", "))
	for _, failed := range r.Failed[:min(3, len(r.Failed))] {
		fmt.Fprintln(w, "    failed:", failed)
	}
}

// at is a percentile of durations in order, for people.
func at(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, len(all)*percent/100)].Round(time.Millisecond)
}

// siege is a daemon under attack.
type siege struct {
	daemon  *process.Process
	url     string // of the daemon
	key     string // of an attacker who may store
	analyst string // an analyst's URL of the database

	mu      sync.Mutex
	answers map[string]int
}

// Run makes the attacks, and tells of each when it is over.
func Run(ctx context.Context, opt Options, tell func(*Report)) error {
	server, err := pgserver.Start(ctx, pgserver.Options{DataDir: opt.Dir, BinDir: opt.PGBinDir})
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop(context.WithoutCancel(ctx)) }()
	if err := database.Prepare(ctx, server.URL(), nil); err != nil {
		return err
	}
	daemon, err := process.Start(opt.Log, opt.Program, server.URL())
	if err != nil {
		return err
	}
	defer daemon.Stop()
	key, err := exec.CommandContext(ctx, opt.Program, "key", "create", "--database-url", server.URL(), "--log-level", "error", "attacker").Output()
	if err != nil {
		return fmt.Errorf("make the attackers' key: %w", err)
	}
	asAnalyst, err := url.Parse(server.URL())
	if err != nil {
		return err
	}
	asAnalyst.User = url.User(analyst.Role) // its socket asks for no password
	s := &siege{daemon: daemon, url: daemon.URL, key: "Convex " + strings.TrimSpace(string(key)), analyst: asAnalyst.String()}
	if err := drive(ctx, server.URL()); err != nil {
		return fmt.Errorf("make the run: %w", err)
	}
	for _, a := range attacks {
		if opt.Only != "" && opt.Only != a.name {
			continue
		}
		s.answers = map[string]int{}
		report, err := s.suffer(ctx, a, opt)
		if err != nil {
			return err
		}
		tell(report)
	}
	return nil
}

// suffer measures one attack.
func (s *siege) suffer(ctx context.Context, a attack, opt Options) (*Report, error) {
	driving, stop := context.WithCancel(ctx)
	defer stop()
	var b bridge
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.drive(ctx, driving, s)
	}()
	if err := retry.Pause(ctx, opt.Alone); err != nil {
		return nil, err
	}
	if err := s.daemon.ForgetPeakMemory(); err != nil {
		return nil, fmt.Errorf("watch the daemon's memory: %w", err)
	}
	begun := time.Now()
	attacking, enough := context.WithTimeout(ctx, opt.During)
	defer enough()
	var attackers sync.WaitGroup
	for i := range a.clients {
		attackers.Go(func() {
			for n := 0; attacking.Err() == nil; n++ {
				a.act(attacking, s, i, n)
			}
		})
	}
	<-attacking.Done()
	ended := time.Now()
	attackers.Wait()
	if err := retry.Pause(ctx, opt.Recovery-time.Since(ended)); err != nil {
		return nil, err
	}
	recovered := time.Now()
	peak := s.daemon.PeakMemory()
	if err := retry.Pause(ctx, opt.Alone); err != nil {
		return nil, err
	}
	stop()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Report{Name: a.name, Failed: b.failed, Inserts: b.inserts, PeakMemory: peak, Answers: maps.Clone(s.answers)}
	for _, w := range b.waits {
		switch {
		case w.due.Before(begun):
			r.Before = append(r.Before, w.took)
		case w.due.Before(ended):
			r.During = append(r.During, w.took)
		case w.due.After(recovered):
			r.After = append(r.After, w.took)
		}
	}
	for _, all := range [][]time.Duration{r.Before, r.During, r.After} {
		slices.Sort(all)
	}
	return r, nil
}

// note counts an answer to an attacker.
func (s *siege) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) < 20 || s.answers[what] > 0 {
		s.answers[what]++
	}
}

// run is the one that attackers read, which is on the road and has that many records
// when they begin.
const (
	run        = "run"
	runRecords = 60_000
)

// drive makes the run.
func drive(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		WITH made AS (
			INSERT INTO sessions (id, records, batch, first_time, last_time)
			SELECT $1, $2::int, 1, now() - $2::int * INTERVAL '50 ms', now()
			RETURNING session, last_time
		)
		INSERT INTO telemetry (session, batch, ord, time, message_id, speed_ms, power_w, latitude, longitude, extra)
		SELECT session, 1, i, last_time - ($2::int - i) * INTERVAL '50 ms', i, sin(i), cos(i), 51 + sin(i / 1000.0) / 100, 7 + cos(i / 1000.0) / 100,
		       jsonb_build_object('note', repeat('x', 200))
		FROM made, generate_series(1, $2::int) i`, run, runRecords)
	return err
}

// bridge is the car's: it sends what is due, again until it is acknowledged.
type bridge struct {
	inserts int
	failed  []string
	waits   []wait
}

// wait is how long a record that was due took until it was acknowledged.
type wait struct {
	due  time.Time
	took time.Duration
}

const (
	tick = 50 * time.Millisecond
	// patience is how long the bridge waits for an answer.
	patience = 30 * time.Second
)

// drive sends until driving ends, and what is on its way then to its end.
func (b *bridge) drive(ctx, driving context.Context, s *siege) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	for begun, sent := time.Now(), 0; ; {
		due := begun.Add(time.Duration(sent) * tick)
		if retry.Pause(driving, time.Until(due)) != nil {
			return
		}
		n := int(time.Since(begun)/tick) + 1 - sent // all that are due by now
		var records []map[string]any
		for i := range n {
			records = append(records, map[string]any{
				"session_id": run, "timestamp": begun.Add(time.Duration(sent+i) * tick).UTC().Format(time.RFC3339Nano), "message_id": runRecords + sent + i, "speed_ms": 9.5,
			})
		}
		body, _ := json.Marshal(map[string]any{"path": "telemetry:insertTelemetryBatch", "format": "json", "args": map[string]any{"records": records}})
		for {
			err := post(ctx, client, s.url, body)
			b.inserts++
			if err == nil {
				break
			}
			if b.failed = append(b.failed, err.Error()); driving.Err() != nil {
				return
			}
		}
		for i := range n {
			due := begun.Add(time.Duration(sent+i) * tick)
			b.waits = append(b.waits, wait{due, time.Since(due)})
		}
		sent += n
	}
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/mutation", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", process.Authorization)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"status":"success"`))) {
		err = fmt.Errorf("%s %.200s", answer.Status, text)
	}
	return err
}
