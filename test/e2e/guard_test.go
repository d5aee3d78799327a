package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// guarded is a daemon with few connections, and a run on the road that anybody
// may read and the bridge posts to.
func guarded(t *testing.T, change func(*daemon.Config)) *server {
	t.Helper()
	dbtest.NeedsBackends(t, "the server has one backend, which everybody shares")
	h := newServer(t, func(c *daemon.Config) {
		c.DatabaseURL = dbtest.With(c.DatabaseURL, "pool_max_conns=10")
		if change != nil {
			change(c)
		}
	})
	return h
}

// drive stores a live run of n records with a text of that many bytes in each.
func (h *server) drive(id string, n, text int) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `
		WITH made AS (
			INSERT INTO sessions (id, records, batch, first_time, last_time)
			SELECT $1, $2::int, 1, now() - $2::int * INTERVAL '20 ms', now()
			RETURNING session, last_time
		)
		INSERT INTO telemetry (session, batch, ord, time, message_id, speed_ms, power_w, extra)
		SELECT session, 1, i, last_time - ($2::int - i) * INTERVAL '20 ms', i, sin(i), cos(i), jsonb_build_object('note', repeat('x', $3))
		FROM made, generate_series(1, $2::int) i`, id, n, text)
	if err != nil {
		h.t.Fatal(err)
	}
}

// live posts a batch as the bridge does, and fails the test where it does not
// get through while the bridge waits for it.
func (h *server) live(i int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	if a, err := sendTo(ctx, http.DefaultClient, h.url, insertion([]rec{recordAt("bridge", i)})); err != nil || a.status != http.StatusOK {
		h.t.Errorf("insert %d of the bridge: %v %v", i, a, err)
	}
}

// deaf sends a request and reads nothing of the answer.
func (h *server) deaf(path string) net.Conn {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: telemetryd\r\n\r\n", path); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// Guests who ask for whole runs and never read hold no connections to the
// database: the bridge stores, and others read, sign in and export meanwhile.
func TestDeafReadersHoldNothing(t *testing.T) {
	t.Parallel()
	h := guarded(t, nil)
	h.drive("road", 20_000, 1000) // more than sockets take
	before := make([]byte, 1)
	for range 32 {
		conn := h.deaf("/api/v1/sessions/road/records")
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(before); err != nil { // its answer has begun
			t.Fatal(err)
		}
	}
	for i := range 20 {
		h.live(i)
	}
	guest := map[string]string{"Authorization": ""}
	for _, path := range []string{
		"/readyz", "/api/v1/sessions/road/series?metrics=speed_ms", "/api/v1/sessions/road/records?limit=3", "/api/v1/sessions/road/records?format=csv&fields=speed_ms",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if a, err := sendTo(ctx, http.DefaultClient, h.url, request{method: "GET", path: path, header: guest}); err != nil || a.status != http.StatusOK {
			t.Errorf("%s beside them: %v %v", path, a, err)
		}
	}
}

// Guests who ask for charts that cost much are told what fits; those that fit
// take turns, and keep neither the bridge nor other screens waiting.
func TestHeavyCharts(t *testing.T) {
	t.Parallel()
	h := guarded(t, nil)
	h.drive("road", 450_000, 0)
	var channels []string
	for _, c := range channel.All {
		if c.Charted && len(channels) < 25 {
			channels = append(channels, c.Name)
		}
	}
	chart := func(points, metrics int) chan answer {
		answers := make(chan answer, 6)
		for range cap(answers) {
			go func() {
				a, err := h.trySend(http.DefaultClient, request{
					method: "GET", path: fmt.Sprintf("/api/v1/sessions/road/series?mode=m4&points=%d&metrics=%s", points, strings.Join(channels[:metrics], ",")),
					header: map[string]string{"Authorization": ""},
				})
				if err != nil {
					t.Error(err)
				}
				answers <- a
			}()
		}
		return answers
	}
	dear := chart(4000, 25)
	for range cap(dear) {
		if a := <-dear; a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "points fit") && !strings.Contains(string(a.body), "fits") {
			t.Errorf("a chart that costs too much: %v", a)
		}
	}
	fits := chart(2000, 15)
	for i := range 20 {
		h.live(i)
	}
	for range cap(fits) {
		if a := <-fits; a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
			t.Errorf("a chart that fits: %v", a)
		}
	}
}

// Whoever reaches the daemon under a name that it does not know is not told that
// it is the daemon's, and gets no links that lead there.
func TestStrangersNames(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	h.send(insertion([]rec{recordAt("run", 0)}))
	ask := func(host, path string, body []byte) string {
		t.Helper()
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Convex "+deployKey)
		r.Header.Set("X-Forwarded-Proto", "https")
		if host != "" {
			r.Host = host
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", path, a.Status, text, err)
		}
		return string(text)
	}
	overview := call("query", "archives:getSessionOverview", []byte(`{"sessionId":"run"}`), nil)
	for host, base := range map[string]string{"": h.url, "pit.local": "http://pit.local", "evil.example": ""} {
		config := ask(host, "/api/config", nil)
		if got := strings.Contains(config, `"CONVEX_URL":"`+base+`"`); got != (base != "") || strings.Contains(config, "evil") {
			t.Errorf("as %q: %s", host, config)
		}
		if links := ask(host, overview.path, overview.body); !strings.Contains(links, `"`+base+`/api/v1/archives/`) || strings.Contains(links, "evil") {
			t.Errorf("as %q: %s", host, links)
		}
	}
}

// Bodies of a few kilobytes that unfold to 16 MB, and whose last bytes do not come,
// keep neither the bridge waiting nor whoever signs in or asks from the same address:
// those of guests, nor those of somebody else's key.
func TestBodiesThatUnfold(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	admin := auth.Principal{UserID: "1", Role: auth.Admin}
	secret, _, err := h.daemon.Auth.CreateKey(t.Context(), admin, auth.NewKey{Name: "another"})
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	w := gzip.NewWriter(&body)
	fmt.Fprintf(w, `{"path":"sessions:listSessions","args":{"a":"%s`, strings.Repeat("0", 16<<20-1000))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, authorization := range []string{"", "Authorization: Convex " + secret + "\r\n"} {
		for range 12 {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			fmt.Fprintf(conn, "POST /api/mutation HTTP/1.1\r\nHost: telemetryd\r\n%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", authorization, body.Len()+8, body.Bytes())
		}
	}
	guest := map[string]string{"Authorization": ""}
	for i := range 20 {
		time.Sleep(50 * time.Millisecond) // they arrive meanwhile
		h.live(i)
		if a := h.call("query", "sessions:getLiveSessionState", []byte("{}"), guest); a.status != http.StatusOK {
			t.Errorf("a guest's question: %v", a)
		}
	}
	if a := h.call("action", "auth:signIn", marshal(rec{"email": "nobody@example.org", "password": "correct horse battery"}), guest); a.status == http.StatusServiceUnavailable {
		t.Errorf("a sign-in: %v", a)
	}
	large := make([]rec, 200) // as after an outage
	for i := range large {
		large[i] = recordAt("bridge", 100+i)
	}
	if a := h.send(insertion(large)); a.status != http.StatusOK {
		t.Errorf("200 records: %v", a)
	}
}

// Methods that clients make up, however long, leave one label in the metrics.
func TestMadeUpMethods(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	for i := range 30 {
		for _, path := range []string{"/api/v1/sessions", "/api/mutation", "/nowhere"} {
			r, err := http.NewRequestWithContext(t.Context(), fmt.Sprintf("MADEUP%d%s", i, strings.Repeat("X", 60_000)), h.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
	}
	a := h.send(request{method: http.MethodGet, path: "/metrics"})
	if text := string(a.body); strings.Contains(text, "MADEUP") || !strings.Contains(text, `method="other"`) || len(text) > 500_000 {
		t.Errorf("%d bytes of metrics, made-up methods among them: %v", len(text), strings.Contains(text, "MADEUP"))
	}
}
