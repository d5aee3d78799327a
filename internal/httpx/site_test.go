package httpx_test

import (
	"crypto/tls"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/httpx"
)

// A link is made of what a request says only where that cannot lead others to a
// server of a stranger's.
func TestSite(t *testing.T) {
	t.Parallel()
	proxies, err := httpx.ParseProxies([]string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		public, peer, host, proto string
		tls                       bool
		want                      string
	}{
		{"", "192.168.1.7:5000", "localhost:3210", "", false, "http://localhost:3210"},
		{"", "192.168.1.7:5000", "127.0.0.1:3210", "", false, "http://127.0.0.1:3210"},
		{"", "192.168.1.7:5000", "192.168.1.20:3210", "", false, "http://192.168.1.20:3210"},
		{"", "[fd00::7]:5000", "[fd00::1]:3210", "", false, "http://[fd00::1]:3210"},
		{"", "192.168.1.7:5000", "pit.local", "", true, "https://pit.local"},
		{"", "192.168.1.7:5000", "pit", "", false, "http://pit"},
		{"", "192.168.1.7:5000", "box.home.arpa:80", "", false, "http://box.home.arpa:80"},
		{"", "192.168.1.7:5000", "Telemetry.Team.Example", "", false, "http://Telemetry.Team.Example"},
		{"", "192.168.1.7:5000", "localhost", "https", false, "http://localhost"}, // a stranger's word
		{"", "192.168.1.7:5000", "evil.example", "", false, ""},
		{"", "192.168.1.7:5000", "evil.example:3210", "https", true, ""},
		{"", "192.168.1.7:5000", "127.0.0.1.evil.example", "", false, ""},
		{"", "192.168.1.7:5000", "localhost.evil.example", "", false, ""},
		{"", "192.168.1.7:5000", "evil/.local", "", false, ""},
		{"", "192.168.1.7:5000", "a@evil.local", "", false, ""},
		{"", "192.168.1.7:5000", "", "", false, ""},
		{"", "10.0.0.1:5000", "car.example", "https", false, "https://car.example"},
		{"", "10.0.0.1:5000", "car.example", "http", false, "http://car.example"},
		{"https://team.example/", "192.168.1.7:5000", "evil.example", "", false, "https://team.example"},
		{"https://team.example/", "10.0.0.1:5000", "car.example", "http", false, "https://team.example"},
	} {
		var log strings.Builder
		site := httpx.NewSite(test.public, []string{"telemetry.team.example"}, proxies, slog.New(slog.NewTextHandler(&log, nil)))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = test.peer, test.host
		if test.proto != "" {
			r.Header.Set("X-Forwarded-Proto", test.proto)
		}
		if test.tls {
			r.TLS = new(tls.ConnectionState)
		}
		if got := site.BaseURL(r); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
		if site.BaseURL(r); strings.Count(log.String(), "level=WARN") != map[bool]int{true: 1, false: 0}[test.want == ""] {
			t.Errorf("%+v: the log has %q", test, log.String())
		}
	}
}
