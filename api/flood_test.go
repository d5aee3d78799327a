package api_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
)

// heap is what live and not yet collected objects take, in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// flood keeps so many wrong sign-ins under way over real connections, with the
// production cost of a hash, until stop is closed.
func flood(url string, at int, stop <-chan struct{}, answers *sync.Map) *sync.WaitGroup {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: at}}
	var wg sync.WaitGroup
	for i := range at {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf(`{"email":"user%d-%d@flood.example","password":"wrong"}`, i, n)
				got, err := client.Post(url+"/api/v1/auth/signin", "application/json", strings.NewReader(body))
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, got.Body)
				got.Body.Close()
				count, _ := answers.LoadOrStore(got.StatusCode, new(atomic.Int64))
				count.(*atomic.Int64).Add(1)
			}
		})
	}
	return &wg
}

// BenchmarkIngestDuringSignInFlood reports how long a batch of the bridge's
// usual size takes while a thousand wrong sign-ins are always under way, beside
// the same without them, and how much memory that takes. It asserts nothing.
func BenchmarkIngestDuringSignInFlood(b *testing.B) {
	d := daemontest.Start(b, daemon.Config{DeployKey: "key"})
	batch := 0
	ingest := func() time.Duration {
		var rows []string
		for i := range 10 {
			rows = append(rows, fmt.Sprintf(`{"session_id":"run","timestamp":%q,"message_id":%d,"speed_ms":1.5,"voltage_v":48}`,
				time.Now().UTC().Format(time.RFC3339Nano), batch*10+i))
		}
		batch++
		start := time.Now()
		r, err := http.NewRequestWithContext(b.Context(), "POST", d.URL()+"/api/mutation", strings.NewReader(
			`{"path":"telemetry:insertTelemetryBatch","format":"json","args":{"records":[`+strings.Join(rows, ",")+`]}}`))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Convex key")
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer got.Body.Close()
		if text, _ := io.ReadAll(got.Body); got.StatusCode != http.StatusOK {
			b.Fatalf("ingest: %d %s", got.StatusCode, text)
		}
		return time.Since(start)
	}
	for _, at := range []int{0, 100, 1000} {
		b.Run(fmt.Sprintf("sign-ins=%d", at), func(b *testing.B) {
			runtime.GC()
			var answers sync.Map
			stop := make(chan struct{})
			wg := flood(d.URL(), at, stop, &answers)
			var took []time.Duration
			var most uint64
			for b.Loop() {
				took = append(took, ingest())
				most = max(most, heap())
				time.Sleep(20 * time.Millisecond) // the bridge's pace, sped up a hundred times
			}
			close(stop)
			wg.Wait()
			slices.Sort(took)
			at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1e3 }
			b.ReportMetric(at(0.5), "p50-ms")
			b.ReportMetric(at(0.99), "p99-ms")
			b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
			b.ReportMetric(0, "ns/op")
			for _, status := range []int{401, 429, 503} {
				if n, ok := answers.Load(status); ok {
					b.ReportMetric(float64(n.(*atomic.Int64).Load()), fmt.Sprintf("answers-%d", status))
				}
			}
		})
	}
}

// A thousand wrong sign-ins at once, at the real cost of a hash: the memory
// they take is that of the few that are looked at, and then a user signs in.
//
// It runs in a process of its own, or the heap would be that of all tests that
// happen to run beside it.
func TestSignInFloodOverHTTP(t *testing.T) {
	t.Parallel()
	const alone = "TELEMETRYD_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSignInFloodOverHTTP$", "-test.v")
		cmd.Env = append(os.Environ(), alone+"=1")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	d := daemontest.Start(t, daemon.Config{AdminEmail: "admin@team.example", AdminPassword: password})
	signIn := func(email, password string) (int, string) {
		got, err := http.Post(d.URL()+"/api/v1/auth/signin", "application/json",
			strings.NewReader(fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer got.Body.Close()
		text, _ := io.ReadAll(got.Body)
		if got.StatusCode >= 429 && got.Header.Get("Retry-After") == "" {
			t.Errorf("%d does not say how long to wait", got.StatusCode)
		}
		return got.StatusCode, string(text)
	}
	var wg sync.WaitGroup
	var answers sync.Map
	for i := range 1000 {
		wg.Go(func() {
			status, _ := signIn(fmt.Sprintf("user%d@flood.example", i), "wrong")
			count, _ := answers.LoadOrStore(status, new(atomic.Int64))
			count.(*atomic.Int64).Add(1)
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	most := uint64(0)
	for ticker := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-ticker.C:
			most = max(most, heap())
			continue
		case <-done:
			ticker.Stop()
		}
		break
	}
	// A thousand hashes at once would take 19 GiB.
	if most > 512<<20 {
		t.Errorf("the heap grew to %d MiB", most>>20)
	}
	answers.Range(func(status, count any) bool {
		t.Logf("%v: %d answers", status, count.(*atomic.Int64).Load())
		switch status {
		case 401, 429, 503:
		default:
			t.Errorf("%v is not an answer to a wrong sign-in", status)
		}
		return true
	})
	await.Until(t, "a user signs in afterwards", func() bool {
		status, _ := signIn("admin@team.example", password)
		return status == http.StatusOK
	})
}
