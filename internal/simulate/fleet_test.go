package simulate_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/simulate"
)

// server takes what a fleet sends.
type server struct {
	mu      sync.Mutex
	fail    int // this many uploads with 503
	key     string
	records map[string][]float64 // message_id by session
	calls   map[string]int
	states  []string
	largest int
	seen    map[string]bool // bodies: one that comes again was stored
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Convex "+s.key {
		http.Error(w, "no such key", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the fleet was stopped in the middle of it
	}
	var records []map[string]any
	if r.URL.Path == "/api/mutation" {
		var call struct {
			Path string
			Args struct {
				Records []map[string]any
				Status  string
			}
		}
		if err := json.Unmarshal(body, &call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.calls[call.Path]++
		if call.Args.Status != "" {
			s.states = append(s.states, call.Args.Status)
		}
		records = call.Args.Records
	} else {
		lines := bufio.NewScanner(bytes.NewReader(body))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var record map[string]any
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			records = append(records, record)
		}
	}
	if len(records) > 0 && s.fail > 0 {
		s.fail--
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	if s.seen[string(body)] {
		return
	}
	s.seen[string(body)] = true
	s.largest = max(s.largest, len(records))
	for _, record := range records {
		id := record["session_id"].(string)
		s.records[id] = append(s.records[id], record["message_id"].(float64))
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	for _, convex := range []bool{false, true} {
		s := &server{fail: 2, key: "k:1", records: map[string][]float64{}, calls: map[string]int{}, seen: map[string]bool{}}
		web := httptest.NewServer(s)
		defer web.Close()
		fleet := &simulate.Fleet{
			URL: web.URL, Key: "k:1", Convex: convex, Cars: 3, Every: 20 * time.Millisecond, Workers: 2,
			Car: simulate.Options{Seed: 1, Rate: 100},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := fleet.Run(ctx)
		cancel()
		if err != nil {
			t.Fatalf("convex %v: %v", convex, err)
		}
		s.mu.Lock()
		stats := fleet.Stats()
		total := 0
		for id, ids := range s.records {
			seen := map[float64]bool{}
			for _, n := range ids {
				if seen[n] {
					t.Errorf("convex %v: record %v of %s came twice", convex, n, id)
				}
				seen[n] = true
			}
			for n := 1; n <= len(ids); n++ {
				if !seen[float64(n)] {
					t.Errorf("convex %v: record %d of %s never came", convex, n, id)
				}
			}
			total += len(ids)
		}
		if len(s.records) != 3 || len(fleet.SessionIDs()) != 3 {
			t.Errorf("convex %v: %d sessions", convex, len(s.records))
		}
		if int64(total) != stats.Sent || stats.Lost != 0 || stats.Retried == 0 || total < 100 {
			t.Errorf("convex %v: %d records came, stats %+v", convex, total, stats)
		}
		if convex && s.largest > 200 {
			t.Errorf("a call with %d records", s.largest)
		}
		if states := strings.Join(s.states, " "); states != "active ended" {
			t.Errorf("convex %v: states %q", convex, states)
		}
		s.mu.Unlock()
	}
}

func TestFleetGivesUpWithoutAKey(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(&server{key: "right"})
	defer web.Close()
	fleet := &simulate.Fleet{URL: web.URL, Key: "wrong", Cars: 1, Every: 10 * time.Millisecond, Car: simulate.Options{Rate: 100}}
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	if err := fleet.Run(ctx); !errors.Is(err, simulate.ErrRefused) {
		t.Errorf("ended with %v", err)
	}
}
