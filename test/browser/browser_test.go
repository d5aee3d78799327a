// Package browser_test drives the built-in page in headless Chromium against
// the whole daemon, with the team's real run where that file is at hand.
package browser_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// realRun returns where the team's export is, which is not part of the repository.
func realRun() string {
	if path := os.Getenv("TELEMETRYD_TEST_RUN"); path != "" {
		return path
	}
	return "../../../shared/data/session-m233.csv"
}

const deployKey = "browser-test-key"

func TestPage(t *testing.T) {
	t.Parallel()
	chromium := findChromium(t)
	d := daemontest.Start(t, daemon.Config{
		Tick: 100 * time.Millisecond, MaxUpload: 1 << 30, MaxIngests: 4,
		DeployKey: deployKey, AdminEmail: "admin@example.org", AdminPassword: "the first administrator",
		HashMemory: 64, HashIterations: 1,
	})
	run := importRun(t, d.Store)
	importSimulated(t, d.Store)
	importOdd(t, d.Store)
	drive(t, d.URL())

	ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
	defer cancel()
	environ := append(os.Environ(), "BASE_URL="+d.URL(), "NO_WEBSOCKETS_URL="+withoutWebsockets(t, d.URL()), "CHROMIUM="+chromium,
		"DEPLOY_KEY="+deployKey, "ADMIN_EMAIL=admin@example.org", "ADMIN_PASSWORD=the first administrator",
		"RUN_ID="+run.id, "RUN_NAME="+run.name, fmt.Sprint("RUN_RECORDS=", run.records), fmt.Sprint("RUN_SPIKE=", run.spike),
		fmt.Sprint("RUN_PEAK=", run.peak), fmt.Sprint("RUN_PEAK_AT=", run.peakAt.Seconds()), fmt.Sprint("RUN_SECONDS=", run.length.Seconds()),
		fmt.Sprint("RUN_GAP_FROM=", run.gapFrom.Seconds()), fmt.Sprint("RUN_GAP_TO=", run.gapTo.Seconds()))
	// One after another: what one changes, such as units, another would see.
	for _, file := range []string{"page.test.mjs", "workbench.test.mjs"} {
		t.Run(file, func(t *testing.T) {
			node := exec.CommandContext(ctx, "node", "--test-reporter=spec", file)
			node.Env = environ
			output, err := node.CombinedOutput()
			t.Logf("%s", output)
			if err != nil {
				t.Errorf("node %s (are its packages installed? npm ci --prefix test/browser): %v", file, err)
			}
		})
	}
}

// withoutWebsockets returns the daemon behind a proxy that lets no websocket
// through, as some of events and companies do.
func withoutWebsockets(t *testing.T, daemon string) string {
	t.Helper()
	target, err := url.Parse(daemon)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

func findChromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("TELEMETRYD_TEST_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium: apt-get install chromium, or name one in TELEMETRYD_TEST_CHROMIUM")
	return ""
}

// figures are what the page has to show of the imported run.
type figures struct {
	id, name       string
	records        int
	spike          float64       // highest forward acceleration of the whole run
	peak           float64       // and of what comes after its first minute
	peakAt         time.Duration // since the start
	length         time.Duration
	gapFrom, gapTo time.Duration // the longest gap
}

// importRun stores the real run, or one that is made up with a spike and a gap.
func importRun(t *testing.T, store *timeseries.Store) figures {
	t.Helper()
	body, err := os.ReadFile(realRun())
	if errors.Is(err, os.ErrNotExist) {
		t.Log("the real run is not at hand: made one up")
		body = madeUp(t)
	} else if err != nil {
		t.Fatal(err)
	}
	run := measure(t, body)
	result, err := store.Writer.IngestStream(t.Context(), decode.New(bytes.NewReader(body), decode.Options{Format: decode.FormatCSV}), ingest.Options{Source: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if result.Inserted != run.records {
		t.Fatalf("stored %d of %d records", result.Inserted, run.records)
	}
	return run
}

// importOdd stores a run of a logger whose clock has whole seconds, five records
// in each, and a temperature in every tenth record; its last record is not at a
// whole second.
func importOdd(t *testing.T, store *timeseries.Store) {
	t.Helper()
	var body strings.Builder
	body.WriteString("session_id,timestamp,speed_ms,motor_temp_c\n")
	for i := range 600 {
		at, temperature := time.Date(2026, 6, 3, 10, 0, i/5, 0, time.UTC), ""
		if i == 599 {
			at = at.Add(800 * time.Millisecond)
		}
		if i%10 == 0 {
			temperature = strconv.FormatFloat(40+float64(i)/100, 'f', -1, 64)
		}
		fmt.Fprintf(&body, "odd,%s,%g,%s\n", at.Format(time.RFC3339Nano), 8+float64(i%50)/25, temperature)
	}
	if _, err := store.Writer.IngestStream(t.Context(), decode.New(strings.NewReader(body.String()), decode.Options{Format: decode.FormatCSV}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
}

func madeUp(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	car := simulate.New(simulate.Options{Seed: 233, SessionID: "made-up", SessionName: "Made up", Laps: 2, Gap: 10 * time.Minute})
	if err := car.WriteCSV(&out, 12_000); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	header := strings.Split(lines[0], ",")
	record := strings.Split(lines[9000], ",")
	for i, name := range header {
		if name == "accel_x" {
			record[i] = "99.5"
		}
	}
	lines[9000] = strings.Join(record, ",")
	return []byte(strings.Join(lines, "\n"))
}

// measure reads the figures from the file, by itself.
func measure(t *testing.T, body []byte) figures {
	t.Helper()
	reader := csv.NewReader(bytes.NewReader(body))
	header, err := reader.Read()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range header {
		column[name] = i
	}
	var run figures
	var start, last time.Time
	for {
		record, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, record[column["timestamp"]])
		if err != nil {
			t.Fatal(err)
		}
		value, err := strconv.ParseFloat(record[column["accel_x"]], 64)
		if err != nil {
			t.Fatal(err)
		}
		if run.records == 0 {
			start, last = at, at
			run.id, run.name = record[column["session_id"]], record[column["session_name"]]
		}
		if at.Sub(last) > run.gapTo-run.gapFrom {
			run.gapFrom, run.gapTo = last.Sub(start), at.Sub(start)
		}
		run.records++
		run.spike = max(run.spike, value)
		if since := at.Sub(start); since > time.Minute && value > run.peak {
			run.peak, run.peakAt = value, since
		}
		last = at
	}
	run.length = last.Sub(start)
	return run
}

// importSimulated stores a second run to compare with.
func importSimulated(t *testing.T, store *timeseries.Store) {
	t.Helper()
	var out bytes.Buffer
	car := simulate.New(simulate.Options{Seed: 3, SessionID: "second/run", SessionName: "Second run", Start: time.Now().Add(-2 * time.Hour)})
	if err := car.WriteNDJSON(&out, 3000); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Writer.IngestStream(t.Context(), decode.New(&out, decode.Options{}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
}

// drive keeps a car on track until the test ends.
func drive(t *testing.T, url string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	fleet := &simulate.Fleet{
		URL: url, Key: deployKey, Cars: 1, Every: 100 * time.Millisecond,
		Car: simulate.Options{Seed: 5, Rate: 20, SessionName: "Car on track", Noise: 0.3},
	}
	go func() { done <- fleet.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the car: %v", err)
		}
	})
}
