package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// weather is a proxy in front of the daemon that treats requests as a bad
// mobile network does.
type weather struct {
	target   string
	one      int64 // of so many requests has bad luck
	requests atomic.Int64
	// How often what happened.
	lost, unanswered, late, doubled atomic.Int64
}

// What can happen to a request, each in its turn.
const (
	fair = iota
	lost
	unanswered
	late
	doubled
)

var badLuck = []int{unanswered, lost, doubled, unanswered, late, unanswered}

func newWeather(t testing.TB, target string, one int64) (*weather, string) {
	w := &weather{target: target, one: one}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, server.URL
}

func (w *weather) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	forward := func() (*http.Response, error) {
		// The client may leave; what is on its way arrives all the same.
		r, err := http.NewRequestWithContext(context.WithoutCancel(in.Context()), in.Method, w.target+in.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header = in.Header.Clone()
		return http.DefaultClient.Do(r)
	}
	fate := fair
	if n := w.requests.Add(1); n%w.one == 0 {
		fate = badLuck[int(n/w.one)%len(badLuck)]
	}
	if fate == lost {
		w.lost.Add(1)
		panic(http.ErrAbortHandler)
	}
	if fate == doubled {
		w.doubled.Add(1)
		second := make(chan struct{})
		go func() {
			defer close(second)
			if r, err := forward(); err == nil {
				r.Body.Close()
			}
		}()
		defer func() { <-second }()
	}
	answer, err := forward()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	if fate == unanswered {
		w.unanswered.Add(1)
		panic(http.ErrAbortHandler)
	}
	if fate == late {
		w.late.Add(1)
		<-in.Context().Done() // the client loses patience
		panic(http.ErrAbortHandler)
	}
	out.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	out.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(out, answer.Body)
}

// bridge posts as backend/maindata.py does.
type bridge struct {
	t      testing.TB
	base   string
	client *http.Client

	mu    sync.Mutex
	retry [][]rec
}

func (b *bridge) post(batch []rec) error {
	a, err := sendTo(b.t.Context(), b.client, b.base, insertion(batch))
	if err != nil {
		return err
	}
	if a.status < 200 || a.status > 299 {
		return fmt.Errorf("HTTP %d", a.status)
	}
	value, err := a.value()
	if err != nil {
		return err
	}
	if got := value.(rec)["inserted"]; got != float64(len(batch)) {
		b.t.Errorf("inserted %v of %d", got, len(batch))
	}
	return nil
}

// flush sends one batch; one that fails waits for its retry.
func (b *bridge) flush(batch []rec) {
	if b.post(batch) != nil {
		b.mu.Lock()
		b.retry = append(b.retry, batch)
		b.mu.Unlock()
	}
}

// retries sends what waits, newest first: old and new data overtake each other.
func (b *bridge) retries(done <-chan struct{}) {
	for {
		b.mu.Lock()
		var batch []rec
		if n := len(b.retry); n > 0 {
			batch, b.retry = b.retry[n-1], b.retry[:n-1]
		}
		b.mu.Unlock()
		if batch != nil {
			b.flush(batch)
			continue
		}
		select {
		case <-done:
			b.mu.Lock()
			left := len(b.retry)
			b.mu.Unlock()
			if left == 0 {
				return
			}
		case <-time.After(time.Millisecond):
		}
	}
}

// The bridge's posts go through bad weather: lost, unanswered, late and doubled,
// retried out of order while newer data flows. Each record is stored once.
func TestBridge(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	w, url := newWeather(t, h.url, 3)
	b := &bridge{t: t, base: url, client: &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{}}}
	t.Cleanup(b.client.CloseIdleConnections)
	const session, n = "6f1d2c1e-7d9b-4a54-9a51-3f2f7c1f9a10", 2500

	live := func(state rec) {
		t.Helper()
		state["session_id"], state["session_name"], state["started_at"] = session, "M 233", start.Format("2006-01-02T15:04:05+00:00")
		for range 50 {
			a, err := sendTo(t.Context(), b.client, url, call("mutation", "sessions:reportLiveSessionState", marshal(state), nil))
			if err == nil && a.status == http.StatusOK {
				return
			}
		}
		t.Fatal("the live state never got through")
	}
	live(rec{"status": "active", "record_count": 0})
	random := rand.New(rand.NewPCG(22, 1))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { b.retries(done) })
	for i := 0; i < n; {
		size := min(n-i, []int{10, 9, 11, 200}[random.IntN(4)])
		var batch []rec
		for range size {
			r := recordAt(session, i)
			r["message_id"] = i % 256 // restarts with the vehicle
			r["uptime_seconds"] = float64(i) / 5
			batch = append(batch, r)
			i++
		}
		b.flush(batch)
	}
	close(done)
	wg.Wait()
	live(rec{"status": "ended", "record_count": n, "ended_at": start.Add(time.Hour).Format("2006-01-02T15:04:05+00:00"), "reason": "user_interrupt"})
	t.Logf("%d lost, %d unanswered, %d late, %d doubled", w.lost.Load(), w.unanswered.Load(), w.late.Load(), w.doubled.Load())
	if w.unanswered.Load() == 0 || w.lost.Load() == 0 || w.late.Load() == 0 || w.doubled.Load() == 0 {
		t.Error("the weather was too good to prove anything")
	}

	checkConsistent(t, h.pool)
	var uptimes []float64
	err := h.pool.QueryRow(t.Context(), `SELECT array_agg(uptime_seconds ORDER BY time) FROM telemetry`).Scan(&uptimes)
	if err != nil {
		t.Fatal(err)
	}
	if len(uptimes) != n {
		t.Fatalf("%d records, want %d", len(uptimes), n)
	}
	for i, v := range uptimes {
		if v != float64(i)/5 {
			t.Fatalf("record %d is that of %g s", i, v)
		}
	}
	value, err := h.call("query", "sessions:listSessions", []byte("{}"), nil).value()
	if err != nil {
		t.Fatal(err)
	}
	item := value.(rec)["sessions"].([]any)[0].(rec)
	first, last := recordAt(session, 0)["timestamp"], recordAt(session, n-1)["timestamp"]
	if item["record_count"] != float64(n) || item["start_time"] != first || item["end_time"] != last || item["session_name"] != "M 233" {
		t.Errorf("%v; want %d records from %v to %v", item, n, first, last)
	}
}

// importer uploads as backend/import_csv_to_convex.py does.
type importer struct {
	t      testing.TB
	base   string
	client *http.Client
}

func (i *importer) recordCount(session string) (int, error) {
	var failed error
	for range 8 {
		a, err := sendTo(i.t.Context(), i.client, i.base, call("query", "telemetry:getLatestSessionTimestamp", marshal(rec{"sessionId": session}), nil))
		if err == nil {
			value, err := a.value()
			if err != nil {
				return 0, err
			}
			return int(value.(rec)["recordCount"].(float64)), nil
		}
		failed = err
	}
	return 0, failed
}

func (i *importer) run(session string, records []rec, size int) error {
	if n, err := i.recordCount(session); err != nil || n != 0 {
		return fmt.Errorf("the session has %d records before, %w", n, err)
	}
	before := 0
	for batch := range slices.Chunk(records, size) {
		err := errors.New("never sent")
		for attempt := 0; err != nil; attempt++ {
			if attempt == 4 {
				return fmt.Errorf("given up: %w", err)
			}
			var a answer
			a, err = sendTo(i.t.Context(), i.client, i.base, insertion(batch))
			if err == nil {
				value, err := a.value()
				if err != nil || value.(rec)["inserted"] != float64(len(batch)) {
					return fmt.Errorf("%v", a)
				}
				break
			}
			n, countErr := i.recordCount(session)
			switch {
			case countErr != nil:
				return countErr
			case n == before+len(batch):
				err = nil
			case n != before:
				return fmt.Errorf("%d records are stored, neither %d nor %d", n, before, before+len(batch))
			}
		}
		before += len(batch)
	}
	if n, err := i.recordCount(session); err != nil || n != len(records) {
		return fmt.Errorf("%d of %d records in the end, %w", n, len(records), err)
	}
	return nil
}

// The importer counts on batches being atomic, counted at once, and equal rows
// of a file all being stored.
func TestImporter(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	_, url := newWeather(t, h.url, 4)
	i := &importer{t: t, base: url, client: &http.Client{Timeout: time.Second, Transport: &http.Transport{}}}
	t.Cleanup(i.client.CloseIdleConnections)
	for n, size := range []int{500, 37} {
		session := fmt.Sprintf("csv-m-233-%012d", n)
		var records []rec
		for k := range 1000 {
			r := recordAt(session, k/2*2) // each row twice
			r["message_id"] = float64(k / 2)
			r["timestamp"] = start.Add(time.Duration(k/2) * time.Second).Format("2006-01-02T15:04:05.000Z")
			r["data_source"] = "csv_import"
			records = append(records, r)
		}
		if err := i.run(session, records, size); err != nil {
			t.Errorf("batches of %d: %v", size, err)
		}
		a := h.send(request{method: http.MethodGet, path: "/api/v1/sessions/" + session})
		if !bytes.Contains(a.body, []byte(`"start_time":"2026-03-21T21:41:10.000Z"`)) || !bytes.Contains(a.body, []byte(`"end_time":"2026-03-21T21:49:29.000Z"`)) {
			t.Errorf("bounds: %v", a)
		}
		if err := i.run(session, records, size); err == nil {
			t.Error("the importer did not see that the session has records")
		}
	}
	checkConsistent(t, h.pool)
}
