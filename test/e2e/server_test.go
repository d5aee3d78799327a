// Package e2e drives a whole daemon over HTTP, and the program itself, as the
// team's bridge and importer, careless clients and failing machines do.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

const deployKey = "prod:team|secret-of-the-test"

// server is a running daemon on a database of the test's own.
type server struct {
	t      testing.TB
	daemon *daemon.Daemon
	pool   *pgxpool.Pool
	url    string
}

func newServer(t testing.TB, change func(*daemon.Config)) *server {
	t.Helper()
	return newServerWith(&server{t: t, pool: dbtest.New(t)}, change)
}

// newServerWith starts another daemon on the database of a server.
func newServerWith(other *server, change func(*daemon.Config)) *server {
	t, pool := other.t, other.pool
	t.Helper()
	config := daemon.Config{
		DatabaseURL: dbtest.URL(t), DeployKey: deployKey, MaxUpload: 1 << 30,
	}
	if change != nil {
		change(&config)
	}
	d := daemontest.Start(t, config)
	return &server{t, d, pool, d.URL()}
}

// answer is what the daemon answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string {
	return fmt.Sprintf("%d %.600s", a.status, a.body)
}

// problem reads an RFC 9457 answer.
func (a answer) problem(t testing.TB) (p struct {
	Status   int
	Detail   string
	Problems []struct {
		Index  *int
		Field  string
		Reason string
	}
}) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q of %v", got, a)
	}
	if err := json.Unmarshal(a.body, &p); err != nil || p.Status != a.status {
		t.Errorf("%v is not a problem: %v", a, err)
	}
	return p
}

// request is a request to be sent with the deploy key, unless it says otherwise.
type request struct {
	method, path string
	body         []byte
	header       map[string]string
}

func (h *server) send(r request) answer {
	h.t.Helper()
	a, err := h.trySend(http.DefaultClient, r)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *server) trySend(client *http.Client, r request) (answer, error) {
	return sendTo(h.t.Context(), client, h.url, r)
}

func sendTo(ctx context.Context, client *http.Client, base string, r request) (answer, error) {
	if r.method == "" {
		r.method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, r.method, base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Convex "+deployKey)
	for name, value := range r.header {
		request.Header.Del(name)
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, err
}

// rec is a record as JSON has it.
type rec = map[string]any

var start = time.Date(2026, 3, 21, 21, 41, 10, 0, time.UTC)

func recordAt(session string, i int) rec {
	return rec{
		"session_id": session, "session_name": "M 233", "timestamp": start.Add(time.Duration(i) * 200 * time.Millisecond).Format("2006-01-02T15:04:05.000000+00:00"),
		"message_id": i, "speed_ms": float64(i%40) / 2, "data_source": "ESP32_LIVE",
	}
}

func marshal(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// call posts a function call, args being JSON text.
func (h *server) call(kind, name string, args []byte, header map[string]string) answer {
	h.t.Helper()
	return h.send(call(kind, name, args, header))
}

func call(kind, name string, args []byte, header map[string]string) request {
	body := fmt.Appendf(nil, `{"path":%q,"args":%s,"format":"json"}`, name, args)
	return request{path: "/api/" + kind, body: body, header: header}
}

func insertion(records []rec) request {
	return call("mutation", "telemetry:insertTelemetryBatch", marshal(rec{"records": records}), nil)
}

// value reads a function's successful answer.
func (a answer) value() (value any, err error) {
	var reply struct {
		Status string
		Value  *json.RawMessage
	}
	if err := json.Unmarshal(a.body, &reply); err != nil {
		return nil, fmt.Errorf("%v: %w", a, err)
	}
	if a.status != http.StatusOK || reply.Status != "success" || reply.Value == nil {
		return nil, fmt.Errorf("%v", a)
	}
	return value, json.Unmarshal(*reply.Value, &value)
}

// rows counts everything that ingest writes.
func (h *server) rows() (counts string) {
	h.t.Helper()
	err := h.pool.QueryRow(h.t.Context(), `
		SELECT (SELECT count(*) FROM telemetry) || ' records, ' || (SELECT count(*) FROM sessions) || ' sessions, ' ||
		       (SELECT count(*) FROM ingest_batches) || ' batches, ' || (SELECT coalesce(sum(records), 0) FROM sessions) || ' counted'`).Scan(&counts)
	if err != nil {
		h.t.Fatal(err)
	}
	return counts
}

// healthy wants the daemon to answer its probes and to take a batch.
func (h *server) healthy(after string) {
	h.t.Helper()
	for _, path := range []string{"/health", "/livez", "/readyz"} {
		if a := h.send(request{method: http.MethodGet, path: path}); a.status != http.StatusOK {
			h.t.Errorf("after %s: %s answers %v", after, path, a)
		}
	}
}

// checkConsistent holds the counters and the commit log against the records.
func checkConsistent(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	var wrong []string
	err := pool.QueryRow(t.Context(), `
		WITH stored AS (
			SELECT session, batch, count(*) AS records, count(DISTINCT ord) AS places, min(time) AS first_time, max(time) AS last_time
			FROM telemetry GROUP BY 1, 2
		), wrong AS (
			SELECT 'batch ' || coalesce(l.session, r.session) || '/' || coalesce(l.batch, r.batch) AS what
			FROM ingest_batches l
			FULL JOIN stored r ON r.session = l.session AND r.batch = l.batch
			WHERE (r.records = l.records AND r.places = l.records AND r.first_time = l.min_time AND r.last_time = l.max_time) IS NOT TRUE
			UNION ALL
			SELECT 'session ' || s.id
			FROM sessions s
			LEFT JOIN (SELECT session, sum(records) AS records, count(*) AS batches, min(min_time) AS first_time, max(max_time) AS last_time
			           FROM ingest_batches GROUP BY 1) l USING (session)
			WHERE (s.records = l.records AND s.batch = l.batches AND s.first_time = l.first_time AND s.last_time = l.last_time) IS NOT TRUE
		)
		SELECT coalesce(array_agg(what), '{}') FROM wrong`).Scan(&wrong)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 {
		t.Errorf("the counters do not fit the records of %s", strings.Join(wrong, ", "))
	}
}
