package hostile

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// attack is one way, by so many clients at once, each of which does it again and
// again.
type attack struct {
	name    string
	clients int
	act     func(ctx context.Context, s *siege, client, n int)
}

// attacks are what once stopped ingest, without a credential but for an analyst's and
// those "with a key".
var attacks = []attack{
	{"bodies a byte every 5 s", 100, func(ctx context.Context, s *siege, _, _ int) {
		s.slowBody(ctx, "Content-Length: 16000000", "")
	}},
	{"bodies that unfold and stall", 24, func(ctx context.Context, s *siege, client, _ int) {
		header := fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d", len(folded())+1000)
		if client%2 > 0 {
			header += "\r\nAuthorization: " + s.key
		}
		s.slowBody(ctx, header, folded())
	}},
	{"records that nobody reads", 32, func(ctx context.Context, s *siege, _, _ int) {
		s.deaf(ctx, "/records")
	}},
	{"charts that cost much", 6, func(ctx context.Context, s *siege, _, n int) {
		points, metrics := 20_000, 25 // more than is allowed
		if n%4 > 0 {
			points, metrics = 2_000, 15
		}
		s.get(ctx, http.MethodGet, fmt.Sprintf("/series?mode=m4&points=%d&metrics=%s", points, strings.Join(charted[:metrics], ",")))
	}},
	{"subscriptions by made-up tokens", 1, func(ctx context.Context, s *siege, client, n int) {
		s.subscribe(ctx, fmt.Sprintf("tokens %d %d", client, n), 40, "telemetry:getSessionRecords")
	}},
	{"20,000 subscriptions", 5, func(ctx context.Context, s *siege, client, n int) {
		s.subscribe(ctx, fmt.Sprintf("many %d %d", client, n), 4096, "telemetry:getLatestRecord")
	}},
	{"made-up methods", 8, func(ctx context.Context, s *siege, client, n int) {
		s.get(ctx, fmt.Sprintf("MADEUP%d%s%d", client, strings.Repeat("X", 60_000), n), "")
	}},
	{"answers that nobody reads", 100, func(ctx context.Context, s *siege, client, _ int) {
		ways := []string{"/series?mode=m4&points=4000&metrics=speed_ms", "/laps", "/track?points=5000", "/records?format=csv", "/records?format=ndjson"}
		s.deaf(ctx, ways[client%len(ways)])
	}},
	{"mutations that write nothing", 8, func(ctx context.Context, s *siege, client, n int) {
		s.mutate(ctx, fmt.Sprintf("nothing %d %d", client, n))
	}},
	{"records a day apart, with a key", 4, func(ctx context.Context, s *siege, client, n int) {
		days := 9_826
		if n%2 > 0 {
			days = 40 // as many as are allowed at once
		}
		from := time.Date(1990+client, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n*20)
		s.upload(ctx, &lines{size: days, line: func(i int) string {
			return fmt.Sprintf(`{"session_id":"days %d %d","timestamp":%q,"speed_ms":1}`+"\n", client, n, from.AddDate(0, 0, i).Format(time.RFC3339))
		}})
	}},
	{"an analyst's statements", 20, func(ctx context.Context, s *siege, client, n int) {
		s.analyse(ctx, held[(client+n)%len(held)]...)
	}},
	{"large uploads, with a key", 40, func(ctx context.Context, s *siege, client, n int) {
		begun := time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second)
		s.upload(ctx, &lines{size: 1 << 30, line: func(i int) string {
			return fmt.Sprintf(`{"session_id":"large %d %d","timestamp":%q,"speed_ms":1,"note":"`, client, n, begun.Add(time.Duration(i)*tick).Format(time.RFC3339Nano)) + strings.Repeat("x", 1000) + "\"}\n"
		}})
	}},
}

// held are statements by which an analyst holds what others need, or takes all that
// the server has.
var held = [][]string{
	{"SET statement_timeout = 0", "SELECT count(*) FROM telemetry a, telemetry b WHERE a.speed_ms < b.speed_ms"},
	{"SET work_mem = '64MB'", "SELECT a.speed_ms + b.speed_ms FROM telemetry a, telemetry b ORDER BY 1 OFFSET 1000000000"},
	{"SELECT pg_advisory_lock(1)"},
	{"SET idle_in_transaction_session_timeout = 0", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM telemetry", "SELECT pg_sleep(20)"},
	{"SET default_transaction_read_only = off", "CREATE TEMP TABLE mine AS SELECT * FROM telemetry"},
	{"SELECT lo_create(0)"},
	{"BEGIN", "LOCK TABLE telemetry IN ACCESS SHARE MODE", "SELECT pg_sleep(20)"},
	{"SELECT * FROM analytics.records"},
}

// analyse runs statements in a session of an analyst's.
func (s *siege) analyse(ctx context.Context, statements ...string) {
	conn, err := pgx.Connect(ctx, s.analyst)
	if err != nil {
		s.note("no connection")
		_ = retry.Pause(ctx, 100*time.Millisecond)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		_, err := conn.Exec(ctx, statement)
		var refused *pgconn.PgError
		switch {
		case err == nil:
			s.note("done")
		case errors.As(err, &refused):
			s.note(refused.Message)
		default:
			s.note("ended")
			return
		}
	}
}

// charted are the channels that charts have.
var charted = func() (names []string) {
	for _, c := range channel.All {
		if c.Charted {
			names = append(names, c.Name)
		}
	}
	return names
}()

func (s *siege) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.note("no connection")
		_ = retry.Pause(ctx, 100*time.Millisecond)
	}
	return conn, err
}

// folded begins a body of 16 MB, in a few kilobytes.
var folded = sync.OnceValue(func() string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	fmt.Fprintf(w, `{"path":"sessions:listSessions","args":{"a":"%s`, strings.Repeat("0", 16<<20-1000))
	_ = w.Flush() // into memory
	return b.String()
})

// slowBody declares a body, sends its beginning, and a byte of it now and then.
func (s *siege) slowBody(ctx context.Context, header, begin string) {
	conn, err := s.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		s.status(http.ReadResponse(bufio.NewReader(conn), nil))
	}()
	if _, err := fmt.Fprintf(conn, "POST /api/query HTTP/1.1\r\nHost: telemetryd\r\nContent-Type: application/json\r\n%s\r\n\r\n%s", header, begin); err != nil {
		return
	}
	every := time.NewTicker(5 * time.Second)
	defer every.Stop()
	for {
		if _, err := conn.Write([]byte{'{'}); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-answered:
			return
		case <-every.C:
		}
	}
}

// ofRun is where what is told of the run begins.
const ofRun = "/api/v1/sessions/" + run

// deaf asks for something of the run and reads none of it.
func (s *siege) deaf(ctx context.Context, path string) {
	conn, err := s.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: telemetryd\r\n\r\n", ofRun+path); err != nil {
		return
	}
	s.note("asked")
	_ = retry.Pause(ctx, 25*time.Second) // longer than it is waited for
}

// get asks for something of the run and reads it.
func (s *siege) get(ctx context.Context, method, path string) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+ofRun+path, nil)
	if err != nil {
		s.note(err.Error())
		return
	}
	s.status(http.DefaultClient.Do(request))
}

// upload sends records, until they or the attack end.
func (s *siege) upload(ctx context.Context, body io.Reader) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/telemetry", body)
	if err != nil {
		s.note(err.Error())
		return
	}
	request.Header.Set("Authorization", s.key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	s.status(http.DefaultClient.Do(request))
}

// status notes an answer, and reads it.
func (s *siege) status(answer *http.Response, err error) {
	if err != nil {
		s.note("none")
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	s.note(answer.Status)
}

// lines are so many of them, made as they are read.
type lines struct {
	size int
	line func(i int) string
	at   int
	rest string
}

func (l *lines) Read(p []byte) (int, error) {
	if l.rest == "" {
		if l.at == l.size {
			return 0, io.EOF
		}
		l.rest = l.line(l.at)
		l.at++
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// socket opens one of the sync protocol.
func (s *siege) socket(ctx context.Context, session string) (*websocket.Conn, func(), error) {
	conn, _, err := (&websocket.Dialer{HandshakeTimeout: 5 * time.Second}).DialContext(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/api/1.48.0/sync", nil)
	if err != nil {
		s.note("no socket")
		_ = retry.Pause(ctx, 100*time.Millisecond)
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, conn.WriteJSON(map[string]any{"type": "Connect", "sessionId": session, "connectionCount": 0, "lastCloseReason": nil})
}

// subscribe watches a query with so many different arguments, and reads all of it.
func (s *siege) subscribe(ctx context.Context, session string, queries int, function string) {
	conn, done, err := s.socket(ctx, session)
	if err != nil {
		return
	}
	defer done()
	var add []map[string]any
	for i := range queries {
		add = append(add, map[string]any{"type": "Add", "queryId": i, "udfPath": function, "args": []any{map[string]any{
			"sessionId": run, "token": fmt.Sprintf("%s %d", session, i),
		}}})
	}
	if err := conn.WriteJSON(map[string]any{"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": add}); err != nil {
		return
	}
	for {
		_, r, err := conn.NextReader()
		if err != nil {
			s.note("closed")
			_ = retry.Pause(ctx, 100*time.Millisecond)
			return
		}
		_, _ = io.Copy(io.Discard, r)
		s.note("message")
	}
}

// inFlight is how many mutations of a socket are not answered.
const inFlight = 50

// mutate calls a mutation that writes nothing, as fast as it is answered.
func (s *siege) mutate(ctx context.Context, session string) {
	conn, done, err := s.socket(ctx, session)
	if err != nil {
		return
	}
	defer done()
	call := func(n int) error {
		return conn.WriteJSON(map[string]any{"type": "Mutation", "requestId": n, "udfPath": "sessionAnalysis:ensure", "args": []any{map[string]any{"sessionId": run}}})
	}
	for n := range inFlight {
		if call(n) != nil {
			return
		}
	}
	for n := inFlight; ; {
		var m struct{ Type string }
		if err := conn.ReadJSON(&m); err != nil {
			s.note("closed")
			_ = retry.Pause(ctx, 100*time.Millisecond)
			return
		}
		if m.Type != "MutationResponse" {
			continue
		}
		s.note(m.Type)
		if call(n) != nil {
			return
		}
		n++
	}
}
