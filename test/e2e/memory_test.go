package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// peak is the most memory that the process ever had resident, in bytes.
func (p *process) peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		p.t.Fatalf("no peak in\n%s", status)
	}
	kb, _ := strconv.Atoi(string(found[1]))
	return kb << 10
}

// Large, hostile and many uploads at once leave the daemon small.
func TestMemoryStaysBounded(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not tell the memory of a process")
	}
	dbtest.NeedsBackends(t, "the server has one backend, which another process cannot share")
	const bound = 200 << 20
	p := serve(t, "--database-url", dbtest.URL(t), "--max-upload", strconv.Itoa(240<<20))
	post := func(body io.Reader, header map[string]string, query string) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+telemetryPath+query, body)
		if err != nil {
			t.Error(err)
			return answer{}
		}
		r.Header.Set("Authorization", "Convex "+deployKey)
		r.Header.Set("Content-Type", asNDJSON)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return answer{body: []byte(err.Error())}
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return answer{response.StatusCode, response.Header, text}
	}
	small := func(what string) {
		t.Helper()
		peak := p.peak()
		t.Logf("after %s: peak of %d MB", what, peak>>20)
		if peak > bound {
			t.Errorf("after %s the daemon's peak is %d MB", what, peak>>20)
		}
	}
	small("its start")

	// A long session flows out. (Only its size matters, so SQL makes it.)
	const n = 400_000
	pool := dbtest.New(t)
	_, err := pool.Exec(t.Context(), `
		WITH made AS (
			INSERT INTO sessions (id, records, batch, first_time, last_time)
			SELECT 'long', $1::int, 1, timestamptz '2026-03-01', timestamptz '2026-03-01' + $1::int * interval '0.2 s' RETURNING session
		)
		INSERT INTO telemetry (session, batch, ord, time, session_name, message_id, speed_ms, voltage_v, latitude, longitude)
		SELECT session, 1, i, timestamptz '2026-03-01' + i * interval '0.2 s', 'M 233', i, i / 7.0, i / 9.0, 40.71276, -74.004968
		FROM made, generate_series(0, $1::int - 1) i`, n)
	if err != nil {
		t.Fatal(err)
	}
	// What the daemon works out of it beside takes memory of its own.
	await.Until(t, "the run is worked out", func() bool {
		return queryOne[bool](t, dbtest.URL(t), "SELECT EXISTS (SELECT FROM analysis_runs r JOIN rollup_progress p USING (session) WHERE r.batch = 1 AND p.batch = 1)")
	})
	for _, form := range []string{"ndjson", "csv", "json"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/sessions/long/records?format="+form, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Convex "+deployKey)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		size, err := io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || size < n*150 {
			t.Errorf("%s: %d bytes, %v", form, size, err)
		}
	}
	// The program's own pages are 30 MB, and the collector lets 9 MB in use become 45;
	// an answer that was held would be 60 to 80 more.
	if peak := p.peak(); peak > 100<<20 {
		t.Errorf("reading %d records took %d MB", n, peak>>20)
	}
	small("reading a long session")

	// Charts of it, which stay in memory: each asks for another window.
	get := func(path string) string {
		a, err := sendTo(t.Context(), http.DefaultClient, p.url, request{method: http.MethodGet, path: path, header: map[string]string{"Authorization": "Convex " + deployKey}})
		if err != nil || a.status != http.StatusOK {
			t.Fatal(a, err)
		}
		return string(a.body)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	held := regexp.MustCompile(`(?m)^telemetryd_chart_memory_bytes (\S+)`)
	await.Until(t, "the run is in memory", func() bool {
		at = at.Add(2 * time.Hour)
		get(fmt.Sprintf("/api/v1/sessions/long/series?metrics=speed_ms,voltage_v&from=%d&to=%d", at.UnixMilli(), at.Add(3*time.Minute).UnixMilli()))
		bytes, _ := strconv.ParseFloat(held.FindStringSubmatch(get("/metrics"))[1], 64)
		return bytes > 5e6
	})
	small("charts")

	// More than the bound in one upload. Most of it is bad, so that the database has little to do.
	bad := strings.Repeat(`{"session_id":"large","timestamp":null,"note":"`+strings.Repeat("x", 200)+`"}`+"\n", 39)
	line := func(i int) string { return string(marshal(recordAt("large", i))) + "\n" + bad }
	lines := &generator{line: line, total: 220 << 20}
	a := post(lines, nil, "?on_error=skip")
	var result struct{ Inserted, Rejected int }
	if err := json.Unmarshal(a.body, &result); err != nil || result.Inserted != lines.lines || result.Rejected != 39*lines.lines {
		t.Errorf("%d good lines: %v", lines.lines, a)
	}
	small("220 MB")

	// patient uploads, again where others had to go first for too long; of that the
	// answer may be lost, to a client that is still sending.
	patient := func(total int, line func(n int) string) {
		for {
			a := post(&generator{total: total, line: line}, nil, "")
			if a.status == 0 && t.Context().Err() == nil || a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" {
				continue
			}
			if a.status != http.StatusOK {
				t.Errorf("%v", a)
			}
			return
		}
	}

	// Good records, many at once.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			patient(2<<20, func(n int) string { return string(marshal(recordAt(fmt.Sprint("many", i), n))) + "\n" })
		})
	}
	wg.Wait()
	small("eight uploads at once")

	// Chunks as large as they may be, at once.
	for i := range 8 {
		wg.Go(func() {
			patient(6<<20, func(n int) string {
				r := recordAt(fmt.Sprint("full", i), n)
				r["odd"] = strings.Repeat("z", 1000)
				return string(marshal(r)) + "\n"
			})
		})
	}
	wg.Wait()
	small("eight uploads of full chunks at once")

	// Records as large as they may be, many of them, at once.
	for i := range 8 {
		wg.Go(func() {
			patient(6<<20, func(n int) string {
				r := recordAt(fmt.Sprint("wide", i), n)
				r["odd"] = strings.Repeat("y", 900<<10)
				return string(marshal(r)) + "\n"
			})
		})
	}
	wg.Wait()
	small("records of 900 KB")

	// A bomb: 300 MB of blank lines in a few hundred kilobytes.
	bomb := gzMany("", strings.Repeat("\n", 1<<20), 300, "")
	if a := post(bytes.NewReader(bomb), map[string]string{"Content-Encoding": "gzip"}, ""); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a bomb of %d KB: %v", len(bomb)>>10, a)
	}
	if a := post(bytes.NewReader(bomb), map[string]string{"Content-Encoding": "gzip", "Content-Type": asCSV}, ""); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a bomb of CSV of %d KB: %v", len(bomb)>>10, a)
	}
	small("bombs")
	p.stop()
}

// generator is a stream of lines of about total bytes.
type generator struct {
	line  func(i int) string
	total int
	lines int
	rest  string
}

func (g *generator) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if g.rest == "" {
			if g.total <= 0 {
				break
			}
			g.rest = g.line(g.lines)
			g.lines++
			g.total -= len(g.rest)
		}
		k := copy(p[n:], g.rest)
		g.rest = g.rest[k:]
		n += k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
