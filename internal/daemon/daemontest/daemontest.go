// Package daemontest starts daemons in tests.
package daemontest

import (
	"cmp"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// Start starts a daemon on a port of its own and, unless the config names another
// one, on the test's database. What it warns of is told with a test that fails. It
// stops with the test, which fails if that fails.
func Start(t testing.TB, config daemon.Config) *daemon.Daemon {
	t.Helper()
	config.Listen = "127.0.0.1:0"
	config.Tick = cmp.Or(config.Tick, 50*time.Millisecond)
	if config.DatabaseURL == "" {
		config.DatabaseURL = dbtest.URL(t)
	}
	if config.Log == nil {
		config.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	d, err := daemon.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return d
}
