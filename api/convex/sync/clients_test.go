package sync

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/convextest"
	"github.com/ecovolt/telemetryd/internal/fault"
)

const nodeFolder = "../../../test/node"

// TestClients runs the published npm clients, in Node, against a server of the
// notebook: the tests of test/node.
func TestClients(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(nodeFolder, "node_modules")); errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the clients are not installed; run: npm ci --prefix test/node")
	}
	for _, version := range []string{"1.17.0", "1.17.4", "newest"} {
		for _, file := range []string{"http.test.mjs", "sync.test.mjs"} {
			t.Run(version+"/"+file, func(t *testing.T) {
				// One after the other: they are heavy enough by themselves.
				b := newServer(t, func(o *Options) { o.PingEvery = time.Second })
				url := b.controlled(t)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				node := exec.CommandContext(ctx, "node", "--test-reporter=spec", file)
				node.Dir = nodeFolder
				node.Env = append(os.Environ(), "CONVEX_VERSION="+version, "CONVEX_URL="+url, "CONVEX_KEY="+convextest.Key)
				output, err := node.CombinedOutput()
				t.Logf("%s", output)
				if err != nil {
					t.Errorf("node %s: %v", file, err)
				}
			})
		}
	}
}

// controlled serves it behind an address where it can be restarted, and
// gives tests in another process its knobs.
func (b *server) controlled(t *testing.T) string {
	t.Helper()
	var (
		current  atomic.Pointer[Server]
		refusing atomic.Bool
		upgrades atomic.Int64
	)
	current.Store(b.server)
	reply := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/control/notes", func(w http.ResponseWriter, r *http.Request) {
		notes, err := b.List(r.Context())
		reply(w, notes, err)
	})
	mux.HandleFunc("/control/drop", func(http.ResponseWriter, *http.Request) { current.Load().cut() })
	mux.HandleFunc("/control/await", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-b.Waiting:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/control/resume", func(http.ResponseWriter, *http.Request) { b.Resume <- struct{}{} })
	mux.HandleFunc("/control/fail", func(_ http.ResponseWriter, r *http.Request) {
		var err error
		if text := r.FormValue("message"); text != "" {
			err = fault.New(fault.Conflict, "%s", text)
		}
		b.FailWith(err)
	})
	mux.HandleFunc("/control/refuse", func(_ http.ResponseWriter, r *http.Request) { refusing.Store(r.FormValue("on") != "") })
	mux.HandleFunc("/control/upgrades", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(strconv.AppendInt(nil, upgrades.Load(), 10))
	})
	mux.HandleFunc("/control/queries", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(strconv.AppendInt(nil, int64(current.Load().Stats().Queries), 10))
	})
	mux.HandleFunc("/control/restart", func(w http.ResponseWriter, r *http.Request) {
		next, err := New(b.server.options)
		if err != nil {
			reply(w, nil, err)
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		go next.Run(ctx)
		t.Cleanup(func() {
			limit, stop := context.WithTimeout(context.Background(), 3*time.Minute)
			defer stop()
			if err := next.Shutdown(limit); err != nil {
				t.Errorf("shutdown: %v", err)
			}
			cancel()
		})
		if err := current.Swap(next).Shutdown(r.Context()); err != nil {
			reply(w, nil, err)
		}
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/sync") {
			upgrades.Add(1)
			if refusing.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		handlerOf(t, current.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// cut breaks every connection without a close frame, as a lost network does.
func (s *Server) cut() {
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	for k := range s.open {
		k.conn.Close()
	}
}
