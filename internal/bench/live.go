package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/simulate"
)

// The live suite drives one 50 Hz car, a commit for each record, which is the
// hardest case there is. Load generator, daemons and database share the machine.
const (
	liveRate    = 50
	liveWindow  = 8 * time.Second
	idleSockets = 2000
)

// live measures the live stream: how long a record takes to every screen, what
// screens cost the database, the daemon's memory and the ingest.
func live(ctx context.Context, e *Env) error {
	other, err := process.Start(os.Stderr, e.Program, e.URL)
	if err != nil {
		return err
	}
	defer other.Stop()
	if err := liveMemory(ctx, e, other); err != nil {
		return err
	}
	t := newTable(e.Out, "subscribers", "on", "records/s", "messages/s", "upload p50 ms", "p99", "upload to socket p50 ms", "p99", "max", "hub queries/s", "daemon cores")
	defer t.flush()
	for _, on := range []struct {
		name string
		at   *process.Process
	}{{"same instance", e.Daemon}, {"another instance", other}} {
		for _, n := range []int{1, 100, 1000} {
			r, err := liveCase(ctx, e, on.at, n, 0)
			if err != nil {
				return err
			}
			t.row(n, on.name, r.records, r.messages, r.upload(0.5), r.upload(0.99), r.socket(0.5), r.socket(0.99), r.socket(1), r.queries, r.cores)
		}
	}
	r, err := liveCase(ctx, e, e.Daemon, 1000, 1)
	if err != nil {
		return err
	}
	t.row("999 and 1 stalled", "same instance", r.records, r.messages, r.upload(0.5), r.upload(0.99), r.socket(0.5), r.socket(0.99), r.socket(1), r.queries, r.cores)
	return nil
}

// liveResult is what one case measured. Times are in ms.
type liveResult struct {
	uploads, sockets  []float64
	records, messages float64 // a second, on all sockets
	queries           float64 // of the hub, a second
	cores             float64 // that the daemon was busy
}

func (r *liveResult) upload(q float64) float64 { return quantile(r.uploads, q) }
func (r *liveResult) socket(q float64) float64 { return quantile(r.sockets, q) }

// median sorts the values.
func median(values []float64) float64 {
	slices.Sort(values)
	return quantile(values, 0.5)
}

// quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// liveCase opens n sockets and drives the car for a while. stalled of the
// sockets never read.
func liveCase(ctx context.Context, e *Env, at *process.Process, n, stalled int) (*liveResult, error) {
	car := newLiveCar(e)
	if err := car.upload(ctx); err != nil { // so that the session exists
		return nil, err
	}
	screens, err := openScreens([]string{at.URL}, car, n, stalled)
	if err != nil {
		return nil, err
	}
	defer screens.Close()
	for int(screens.live.Load()) < n-stalled {
		if err := car.drive(ctx, time.Second, nil); err != nil {
			return nil, err
		}
	}
	r := &liveResult{}
	before := metric(ctx, at, "telemetryd_hub_polls_total")
	screens.measureFrom.Store(int64(len(car.sent)) + 1)
	begun, cpu, messagesBefore := time.Now(), at.CPU(), screens.messages.Load()
	if err := car.drive(ctx, liveWindow, &r.uploads); err != nil {
		return nil, err
	}
	seconds := time.Since(begun).Seconds()
	after := metric(ctx, at, "telemetryd_hub_polls_total")
	r.cores = (at.CPU() - cpu).Seconds() / seconds
	messages := screens.messages.Load() - messagesBefore
	// A machine that is too busy delivers late; that is to be measured, not lost.
	screens.measureTo.Store(int64(len(car.sent)))
	if err := car.upload(ctx); err != nil {
		return nil, err
	}
	for end := time.Now().Add(30 * time.Second); int(screens.finished.Load()) < n-stalled && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	screens.Close()
	r.sockets = screens.allLatencies()
	want := len(r.uploads) * (n - stalled)
	if got := len(r.sockets); got != want {
		return nil, fmt.Errorf("%d records arrived on %d sockets, want %d", got, n-stalled, want)
	}
	r.records, r.messages = float64(len(r.sockets))/seconds, float64(messages)/seconds
	r.queries = (after - before) / seconds
	slices.Sort(r.uploads)
	slices.Sort(r.sockets)
	return r, nil
}

// liveCar uploads records one by one and remembers when.
type liveCar struct {
	url    string
	car    *simulate.Car
	client *http.Client
	mu     sync.Mutex
	sent   []time.Time // by message_id, from 1
}

func newLiveCar(e *Env) *liveCar {
	start := time.Now()
	return &liveCar{
		url:    e.Daemon.URL,
		client: &http.Client{Timeout: 30 * time.Second},
		car:    simulate.New(simulate.Options{Seed: 1, Rate: liveRate, Start: start, SessionID: fmt.Sprintf("live-%d", start.UnixNano())}),
	}
}

func (c *liveCar) session() string { return c.car.SessionID() }

// upload sends one record.
func (c *liveCar) upload(ctx context.Context) error {
	body := c.car.Next().AppendJSON(nil)
	c.mu.Lock()
	c.sent = append(c.sent, time.Now())
	c.mu.Unlock()
	return post(ctx, c.client, c.url, "ndjson", body)
}

func (c *liveCar) sentAt(id int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[id-1]
}

// drive uploads for a while at the car's rate.
func (c *liveCar) drive(ctx context.Context, length time.Duration, took *[]float64) error {
	ticker := time.NewTicker(time.Second / liveRate)
	defer ticker.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		begun := time.Now()
		if err := c.upload(ctx); err != nil {
			return err
		}
		if took != nil {
			*took = append(*took, time.Since(begun).Seconds()*1000)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// metric reads one of the daemon's metrics.
func metric(ctx context.Context, at *process.Process, name string) float64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.URL+"/metrics", nil)
	if err != nil {
		return 0
	}
	authorize(request)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(rest, 64)
			return v
		}
	}
	return 0
}

// liveMemory measures what an idle socket costs the daemon.
func liveMemory(ctx context.Context, e *Env, at *process.Process) error {
	car := newLiveCar(e)
	if err := car.upload(ctx); err != nil {
		return err
	}
	warm, err := openScreens([]string{at.URL}, car, 50, 50) // what the first ones need is not theirs
	if err != nil {
		return err
	}
	defer warm.Close()
	time.Sleep(time.Second)
	before := at.Memory()
	idle, err := openScreens([]string{at.URL}, car, idleSockets, idleSockets)
	if err != nil {
		return err
	}
	defer idle.Close()
	time.Sleep(5 * time.Second)
	fmt.Fprintf(e.Out, "%d idle sockets: %.1f KB each (resident memory of the daemon, garbage included)\n\n",
		idleSockets, float64(at.Memory()-before)/idleSockets/1000)
	return nil
}

// watched measures what a crowd of screens takes from bulk ingest. The cases
// take turns, and each turn gives ratios of its own, since the machine has moods.
func watched(ctx context.Context, e *Env) error {
	const turns = 7
	counts := []int{0, 1, 1000}
	rates, ratios, messages := make([][]float64, len(counts)), make([][]float64, len(counts)), make([][]float64, len(counts))
	for range turns {
		alone := 0.0
		for i, n := range counts {
			r, m, err := ingestBeside(ctx, e, n)
			if err != nil {
				return err
			}
			if i == 0 {
				alone = r
			}
			rates[i], ratios[i], messages[i] = append(rates[i], r), append(ratios[i], r/alone), append(messages[i], m)
		}
	}
	t := newTable(e.Out, "screens", "records/s", "of none", "from", "to", "messages/s on each screen")
	defer t.flush()
	for i, n := range counts {
		middle := median(ratios[i])
		t.row(n, median(rates[i]), middle, ratios[i][0], ratios[i][turns-1], median(messages[i]))
	}
	return nil
}

// besideWindow is how long one turn of a case is.
const besideWindow = 4 * time.Second

// ingestBeside uploads for a while beside a car that screens watch, and returns
// the records stored and the messages that each screen got, a second.
func ingestBeside(ctx context.Context, e *Env, n int) (rate, messages float64, err error) {
	car := newLiveCar(e)
	if err := car.upload(ctx); err != nil {
		return 0, 0, err
	}
	screens, err := openScreens([]string{e.Daemon.URL}, car, n, 0)
	if err != nil {
		return 0, 0, err
	}
	defer screens.Close()
	driving, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { _ = car.drive(driving, time.Hour, nil) }) // until cancelled
	for int(screens.live.Load()) < n {
		time.Sleep(10 * time.Millisecond)
	}
	load := simulate.New(simulate.Options{Seed: 2, Rate: liveRate, SessionID: fmt.Sprintf("load-%d", time.Now().UnixNano())})
	const records = 200
	client := &http.Client{Timeout: 30 * time.Second}
	before, sent, begun := screens.messages.Load(), 0, time.Now()
	for time.Since(begun) < besideWindow {
		var body bytes.Buffer
		if err := load.WriteNDJSON(&body, records); err != nil {
			return 0, 0, err
		}
		if err := post(ctx, client, e.Daemon.URL, "ndjson", body.Bytes()); err != nil {
			return 0, 0, err
		}
		sent += records
	}
	seconds := time.Since(begun).Seconds()
	if n > 0 {
		messages = float64(screens.messages.Load()-before) / float64(n) / seconds
	}
	return float64(sent) / seconds, messages, nil
}
