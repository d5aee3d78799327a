package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// TestLogSwitches looks at what the program logs under its switches.
func TestLogSwitches(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	for name, want := range map[string]struct {
		args           []string
		json, requests bool
		started        bool
	}{
		"as it is":       {nil, false, false, true},
		"debug and JSON": {[]string{"--log-level", "debug", "--log-format", "json"}, true, true, true},
		"warnings only":  {[]string{"--log-level", "warn"}, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := serve(t, append(want.args, "--database-url", url)...)
			p := &probe{t, daemon.url}
			p.store("logged", 0, 3)
			p.read("/api/v1/sessions/logged/records")
			daemon.stop()
			text := daemon.log.String()
			if strings.Contains(text, deployKey) {
				t.Error("the log holds the deploy key")
			}
			if got := strings.Contains(text, "serving"); got != want.started {
				t.Errorf("it says that it serves: %v, want %v", got, want.started)
			}
			if got := strings.Contains(text, "/api/v1/sessions/:id/records"); got != want.requests {
				t.Errorf("it logs requests: %v, want %v", got, want.requests)
			}
			for line := range strings.Lines(text) {
				if got := json.Valid([]byte(line)); got != want.json {
					t.Errorf("this line is JSON: %v, want %v: %s", got, want.json, line)
				}
			}
		})
	}
}

// TestProfiles switches the profiles on: they have an address of their own, and
// clients' address never has them.
func TestProfiles(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	ask := func(url string) answer {
		t.Helper()
		a, err := sendTo(t.Context(), http.DefaultClient, url, request{method: http.MethodGet})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		address string
		warns   bool
	}{{"127.0.0.1:0", false}, {"[::]:0", true}} {
		daemon := serve(t, "--database-url", url, "--debug-listen", c.address)
		at := daemon.beside("/debug/pprof/")
		warned := func() bool { return strings.Contains(daemon.log.String(), "open to the network") }
		if c.warns { // in the line behind the address
			await.Until(t, "the warning", warned)
		}
		if got := warned(); got != c.warns {
			t.Errorf("%s: it warns: %v, want %v", c.address, got, c.warns)
		}
		if a := ask(at + "/debug/pprof/heap"); a.status != http.StatusOK || !strings.HasPrefix(string(a.body), "\x1f\x8b") {
			t.Errorf("the profile of the heap: %v", a)
		}
		if a := ask(at + "/debug/pprof/cmdline"); a.status != http.StatusNotFound {
			t.Errorf("the command line: %v", a)
		}
		if a := ask(daemon.url + "/debug/pprof/heap"); a.status != http.StatusNotFound {
			t.Errorf("profiles at the clients' address: %v", a)
		}
		daemon.stop()
	}
}

// TestMetricsListen moves the metrics to an address of their own.
func TestMetricsListen(t *testing.T) {
	t.Parallel()
	daemon := serve(t, "--database-url", dbtest.URL(t), "--metrics-listen", "127.0.0.1:0")
	at := daemon.beside("/metrics")
	for url, want := range map[string]int{at + "/metrics": http.StatusOK, at + "/api/v1/sessions": http.StatusNotFound, daemon.url + "/metrics": http.StatusNotFound} {
		a, err := sendTo(t.Context(), http.DefaultClient, url, request{method: http.MethodGet})
		if err != nil || a.status != want || (want == http.StatusOK) != strings.Contains(string(a.body), "telemetryd_newest_record_age_seconds NaN") {
			t.Errorf("%s: %v, %v; want %d", url, a, err, want)
		}
	}
	daemon.stop()
}

// beside returns where the daemon serves something else than its clients, by its
// log, which comes through a pipe of its own.
func (p *process) beside(path string) string {
	p.t.Helper()
	line := regexp.MustCompile(`url=(http://\S*?:\d+)` + path)
	var m []string
	await.Until(p.t, "the log says where "+path+" is", func() bool {
		m = line.FindStringSubmatch(p.log.String())
		return m != nil
	}, p.log)
	return m[1]
}
