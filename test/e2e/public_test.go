package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/daemon"
)

func TestHealthAndProbes(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	var health struct {
		OK   bool
		Time string
	}
	a := h.get("/health")
	if err := json.Unmarshal(a.body, &health); err != nil || a.status != http.StatusOK || !health.OK {
		t.Errorf("%v", a)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", health.Time)
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %q: %v", health.Time, err)
	}
	if a := h.get("/metrics"); a.status != http.StatusOK || !strings.Contains(string(a.body), "telemetryd_channels_without_levels 0") {
		t.Errorf("metrics: %.300s", a)
	}
	for path, status := range map[string]int{"/api/v1/nothing": 404, "/api/v1/telemetry/": 404} {
		if a := h.get(path); a.status != status || a.problem(t).Detail == "" {
			t.Errorf("%s: %v", path, a)
		}
	}
	if a := h.get(telemetryPath); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET of an upload: %v", a)
	}
}

func TestAblyTokens(t *testing.T) {
	t.Parallel()
	h := newServer(t, func(c *daemon.Config) {
		c.AblyKey, c.AblyChannel = " dash.key:topsecret\n", "board"
		c.AblyVehicleKey, c.AblyVehicleChannel = "car.key:vehiclesecret", "EcoTele"
	})
	type token struct {
		KeyName, Capability, ClientID, Nonce, MAC string
		Timestamp, TTL                            int64
	}
	for _, test := range []struct{ path, key, secret, capability, client string }{
		{"/ably/token", "dash.key", "topsecret", `{"board":["history","subscribe"]}`, "dashboard-web"},
		{"/ably/token?clientId=me.1&other=x", "dash.key", "topsecret", `{"board":["history","subscribe"]}`, "me.1"},
		{"/ably/token?clientId=" + strings.Repeat("x", 65), "dash.key", "topsecret", `{"board":["history","subscribe"]}`, "dashboard-web"},
		{"/ably/token?clientId=%22evil%22", "dash.key", "topsecret", `{"board":["history","subscribe"]}`, "dashboard-web"},
		{"/api/ably/token", "dash.key", "topsecret", `{"board":["history","subscribe"]}`, "dashboard-web"},
		{"/ably/esp32-token", "car.key", "vehiclesecret", `{"EcoTele":["subscribe"]}`, "driver-web"},
	} {
		a := h.send(request{method: http.MethodGet, path: test.path, header: map[string]string{"Authorization": ""}})
		var got token
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
			t.Errorf("%s: %v", test.path, a)
			continue
		}
		if got.KeyName != test.key || got.Capability != test.capability || got.ClientID != test.client || got.TTL != 3_600_000 || len(got.Nonce) < 16 ||
			time.Since(time.UnixMilli(got.Timestamp)).Abs() > time.Minute {
			t.Errorf("%s: %v", test.path, a)
		}
		mac := hmac.New(sha256.New, []byte(test.secret))
		fmt.Fprintf(mac, "%s\n%d\n%s\n%s\n%d\n%s\n", got.KeyName, got.TTL, got.Capability, got.ClientID, got.Timestamp, got.Nonce)
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.MAC != want {
			t.Errorf("%s: mac %s, want %s", test.path, got.MAC, want)
		}
		if strings.Contains(string(a.body), test.secret) {
			t.Errorf("%s gives the secret away", test.path)
		}
	}
}

func TestAblyNotConfigured(t *testing.T) {
	t.Parallel()
	h := newServer(t, func(c *daemon.Config) { c.AblyVehicleKey = "no colon" })
	var got struct{ Error, Help string }
	a := h.get("/ably/token")
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusInternalServerError || got.Error != "Ably API key not configured" || got.Help == "" {
		t.Errorf("no key: %v", a)
	}
	if a := h.get("/ably/esp32-token"); a.status != http.StatusInternalServerError || string(a.body) != `{"error":"Failed to create ESP32 Ably token request"}` {
		t.Errorf("a key that is none: %v", a)
	}
	for _, key := range []string{"a:b:c", "a b:c", ":b", "a:"} {
		h := newServerWith(h, func(c *daemon.Config) { c.AblyKey = key })
		if a := h.get("/ably/token"); a.status != http.StatusInternalServerError || string(a.body) != `{"error":"Failed to create Ably token request"}` {
			t.Errorf("key %q: %v", key, a)
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	open := newServer(t, nil)
	closed := newServerWith(open, func(c *daemon.Config) {
		c.AllowOrigins = []string{"https://team.example", "https://*.team.example", "http://localhost:5173"}
		c.AblyKey = "a:b"
	})
	for _, test := range []struct {
		h            *server
		origin, want string // "" is refused
	}{
		{open, "", "*"}, {open, "https://any.example", "*"},
		{closed, "", "https://team.example"}, {closed, "https://team.example", "https://team.example"},
		{closed, "https://live.team.example", "https://live.team.example"}, {closed, "https://a-1.team.example", "https://a-1.team.example"},
		{closed, "http://localhost:5173", "http://localhost:5173"},
		{closed, "https://a.b.team.example", ""}, {closed, "https://.team.example", ""}, {closed, "https://team.example.evil", ""},
		{closed, "http://team.example", ""}, {closed, "https://evilteam.example", ""}, {closed, "https://live.teamXexample", ""}, {closed, "null", ""},
	} {
		for _, path := range []string{"/health", "/ably/token", "/ably/esp32-token"} {
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				a := test.h.send(request{method: method, path: path, header: map[string]string{"Origin": test.origin, "Authorization": ""}})
				what := fmt.Sprintf("%s %s from %q", method, path, test.origin)
				if test.want == "" {
					wantBody := ""
					if method == http.MethodGet && path != "/health" {
						wantBody = `{"error":"Origin not allowed"}`
					}
					if a.status != http.StatusForbidden || string(a.body) != wantBody || a.header.Get("Access-Control-Allow-Origin") != "" {
						t.Errorf("%s: %v %v", what, a, a.header)
					}
					continue
				}
				if method == http.MethodOptions && (a.status != http.StatusNoContent || len(a.body) > 0) {
					t.Errorf("%s: %v", what, a)
				}
				for name, want := range map[string]string{
					"Access-Control-Allow-Origin": test.want, "Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Allow-Headers": "Content-Type, Authorization",
					"Access-Control-Max-Age": "86400", "Cache-Control": "no-store", "Vary": "Origin",
				} {
					if got := a.header.Get(name); got != want {
						t.Errorf("%s: %s is %q, want %q", what, name, got, want)
					}
				}
			}
		}
	}
	// Preflights of uploads and of function calls.
	a := open.send(request{method: http.MethodOptions, path: telemetryPath, header: map[string]string{
		"Origin": "https://any.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,idempotency-key", "Authorization": ""}})
	if a.status != http.StatusNoContent || !strings.Contains(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), "idempotency-key") {
		t.Errorf("preflight of an upload: %v %v", a, a.header)
	}
	a = open.send(request{method: http.MethodOptions, path: "/api/mutation", header: map[string]string{"Origin": "https://any.example", "Access-Control-Request-Headers": "content-type,convex-client", "Authorization": ""}})
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), "convex-client") {
		t.Errorf("preflight of a call: %v %v", a, a.header)
	}
}

func TestPublicConfig(t *testing.T) {
	t.Parallel()
	plain := newServer(t, func(c *daemon.Config) { c.AblyChannel = "board" })
	named := newServerWith(plain, func(c *daemon.Config) { c.AblyChannel, c.PublicURL = "board", "https://telemetry.team.example/" })
	for h, base := range map[*server]string{plain: plain.url, named: "https://telemetry.team.example"} {
		var got map[string]string
		if err := json.Unmarshal(h.get("/api/config").body, &got); err != nil || got["ABLY_AUTH_URL"] != base+"/ably/token" || got["CONVEX_URL"] != base || got["ABLY_CHANNEL_NAME"] != "board" {
			t.Errorf("/api/config: %v, %v", got, err)
		}
	}
	for h, base := range map[*server]string{plain: "", named: "https://telemetry.team.example"} {
		value, err := h.call("query", "config:getPublicConfig", []byte("{}"), nil).value()
		if err != nil || fmt.Sprint(value) != fmt.Sprint(rec{"ABLY_CHANNEL_NAME": "board", "ABLY_AUTH_URL": "/api/ably/token", "CONVEX_URL": base}) {
			t.Errorf("config:getPublicConfig: %v, %v", value, err)
		}
	}
}
