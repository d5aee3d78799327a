package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func TestProtectiveHeaders(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	for _, path := range []string{"/health", "/api/v1/users", "/api/v1/nothing", "/livez"} {
		got := s.call(t, "GET", path, "", nil).header
		want := map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
		if strings.HasPrefix(path, "/api/") {
			want["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
		}
		for name, value := range want {
			if got.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got.Get(name), value)
			}
		}
		if got.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: asks for TLS without having it", path)
		}
	}
}

// Pages of origins that the settings do not name get no permission to read.
func TestOrigins(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{AllowedOrigins: []string{"https://team.example", "https://*.pages.example"}})
	for origin, allowed := range map[string]bool{
		"https://team.example": true, "https://pr-7.pages.example": true,
		"https://evil.example": false, "https://team.example.evil.example": false, "https://a.b.pages.example": false, "null": false,
	} {
		got := s.call(t, "GET", "/api/v1/auth/session", "", nil, "Origin", origin).header.Get("Access-Control-Allow-Origin")
		if (got == origin) != allowed || !allowed && got != "" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", origin, got)
		}
		preflight := s.call(t, "OPTIONS", "/api/v1/auth/session", "", nil, "Origin", origin, "Access-Control-Request-Method", "GET")
		if want := map[bool]int{true: http.StatusNoContent, false: http.StatusForbidden}[allowed]; preflight.status != want {
			t.Errorf("%s: the preflight gives %d, want %d", origin, preflight.status, want)
		}
	}
}

// A client that promises a body and never sends it does not keep its
// connection, whether the route reads the body or not.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	for _, request := range []string{"POST /api/v1/auth/signin", "GET /livez"} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", request)
			_ = conn.SetReadDeadline(time.Now().Add(httpx.SmallPatience + 30*time.Second))
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection is not closed: %v", err)
			}
		})
	}
}
