package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// batch is what was sent at once: records of a session, numbered by message_id.
type batch struct {
	session      string
	from, to     int // the first, and the one behind the last
	acknowledged bool
}

const (
	tick        = 50 * time.Millisecond // of a car, 20 Hz
	batchSize   = 5
	importSize  = 2_000
	largeSize   = 40_000 // of each eighth import, which daemons put into a temporary file
	importPause = 2 * time.Second
)

const insertBatch = "telemetry:insertTelemetryBatch"

// records are a car's.
func records(session string, start time.Time, from, to int) []map[string]any {
	rows := make([]map[string]any, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, map[string]any{
			"session_id": session, "session_name": session, "timestamp": start.Add(time.Duration(i) * tick).UTC().Format(time.RFC3339Nano),
			"message_id": i, "speed_ms": float64(i%97) / 4, "voltage_v": 48 + float64(i%13)/8,
		})
	}
	return rows
}

// bridge sends a car's records as the team's does: a batch at a time, again until
// it is acknowledged, by another instance if one does not answer. One of them does
// so over the sync protocol.
func (r *run) bridge(ctx, working context.Context, n int, session string) {
	socket := syncClient{session: session}
	defer socket.close()
	start := time.Now().Add(-time.Hour)
	for from := 0; working.Err() == nil; from += batchSize {
		clock := start.Add(time.Duration(r.clocks[n].Load()))
		args := map[string]any{"records": records(session, clock, from, from+batchSize)}
		body, _ := json.Marshal(map[string]any{"path": insertBatch, "format": "json", "args": args})
		send := r.post("/api/mutation", body)
		if n == syncingBridge {
			send = func(ctx context.Context, d *daemon) (int, string, error) {
				return socket.mutate(ctx, d, insertBatch, args)
			}
		}
		r.deliver(ctx, working, n, batch{session: session, from: from, to: from + batchSize}, send)
		if retry.Pause(working, batchSize*tick) != nil {
			return
		}
	}
}

// importer uploads one file after the other.
func (r *run) importer(ctx, working context.Context, n int) {
	start := time.Now().Add(-24 * time.Hour)
	for file := 0; retry.Pause(working, importPause) == nil; file++ {
		session := fmt.Sprintf("file %d of %d", file, n)
		var body bytes.Buffer
		encoder := json.NewEncoder(&body)
		size := importSize
		if file%8 == 7 {
			size = largeSize
		}
		for _, row := range records(session, start, 0, size) {
			_ = encoder.Encode(row)
		}
		r.deliver(ctx, working, n, batch{session: session, to: size}, r.post("/api/v1/telemetry", body.Bytes()))
	}
}

// deliver sends a batch until it is acknowledged, or until there is no more work:
// what was under way then may have been stored or not.
func (r *run) deliver(ctx, working context.Context, n int, b batch, send func(context.Context, *daemon) (int, string, error)) {
	begun := time.Now()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.batches = append(r.batches, b)
		if b.acknowledged && strings.HasPrefix(b.session, "bridge") {
			r.waits = append(r.waits, time.Since(begun))
		}
	}()
	for attempt := 0; working.Err() == nil; attempt++ {
		status, answer, err := send(ctx, r.daemons[(n+attempt)%len(r.daemons)])
		switch {
		case err != nil || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests || status >= 500 && strings.Contains(answer, "database"):
		case status == http.StatusOK && !strings.Contains(answer, `"status":"error"`):
			b.acknowledged = true
			r.acknowledged.Add(1)
			return
		default:
			r.refuse(fmt.Sprintf("records %d to %d of %q", b.from, b.to, b.session), fmt.Errorf("%d %.300s", status, answer))
			return
		}
		if retry.Pause(working, 100*time.Millisecond) != nil {
			return
		}
	}
}

// patience is how long anybody waits for an answer, and largePatience for that to
// a large import, whose records take time.
const (
	patience      = 5 * time.Second
	largePatience = time.Minute
)

// post sends a body to an instance.
func (r *run) post(path string, body []byte) func(context.Context, *daemon) (int, string, error) {
	return func(ctx context.Context, d *daemon) (int, string, error) { return r.send(ctx, d, "POST", path, body) }
}

func (r *run) send(ctx context.Context, d *daemon, method, path string, body []byte) (int, string, error) {
	wait := patience
	if len(body) > 1<<20 {
		wait = largePatience
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+d.clients.address()+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", process.Authorization)
	if path == "/api/mutation" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// reader draws charts and lists records, whatever comes of it.
func (r *run) reader(working context.Context) {
	paths := []string{"/api/v1/sessions/bridge%200/series?metrics=speed_ms&points=200", "/api/v1/sessions/bridge%201/records?limit=500", "/api/v1/sessions"}
	for i := 0; retry.Pause(working, 100*time.Millisecond) == nil; i++ {
		status, answer, err := r.send(working, r.daemons[i%len(r.daemons)], "GET", paths[i%len(paths)], nil)
		if err == nil && status != http.StatusOK && status != http.StatusNotFound && status != http.StatusServiceUnavailable {
			r.refuse(paths[i%len(paths)], fmt.Errorf("%d %.300s", status, answer))
		}
	}
}
