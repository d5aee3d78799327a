package sync

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/convextest"
	convexhttp "github.com/ecovolt/telemetryd/api/convex/http"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// server is a server of the notebook, over HTTP on a port of its own.
type server struct {
	*convextest.Notebook
	server *Server
	hub    *hub.Hub
	url    string
}

func newServer(t testing.TB, change ...func(*Options)) *server {
	t.Helper()
	n := convextest.New(t)
	b := &server{Notebook: n, hub: hub.New(delta.New(n.Pool), hub.Options{})}
	options := Options{Registry: n.Registry, Pool: n.Pool, Hub: b.hub}
	for _, f := range change {
		f(&options)
	}
	var err error
	if b.server, err = New(options); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { b.hub.Run(ctx) })
	tasks.Go(func() { b.server.Run(ctx) })
	select { // or a busy machine refuses the first sockets
	case <-b.server.clock.ready:
	case <-time.After(await.Patience):
		t.Fatal("the database's clock was not read")
	}
	web := httptest.NewServer(handlerOf(t, b.server))
	b.url = web.URL
	t.Cleanup(func() {
		limit, stop := context.WithTimeout(context.Background(), 3*time.Minute)
		defer stop()
		if err := b.server.Shutdown(limit); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
		cancel()
		tasks.Wait()
	})
	return b
}

// handlerOf serves the endpoints in front of a server, as the daemon does.
func handlerOf(t testing.TB, s *Server) http.Handler {
	t.Helper()
	handler, err := convexhttp.New(convexhttp.Options{Registry: s.registry, Sync: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}
