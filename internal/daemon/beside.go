package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// listenBeside serves what operators alone are to see on addresses of its own,
// where they are set.
func (d *Daemon) listenBeside(ctx context.Context) error {
	if address := d.config.MetricsListen; address != "" {
		mux := http.NewServeMux()
		mux.Handle("/metrics", d.metrics.handler())
		if _, err := d.serveBeside(ctx, "metrics", address, "/metrics", mux); err != nil {
			return err
		}
	}
	if d.config.DebugListen == "" {
		return nil
	}
	// Profiles hold addresses and queries but ask for no credential, so they are
	// never on the address that clients use.
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound) // it may hold secrets
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	at, err := d.serveBeside(ctx, "profiles", d.config.DebugListen, "/debug/pprof/", mux)
	if err == nil && !at.IP.IsLoopback() {
		d.log.Warn("profiles are open to the network: whoever reaches this address can read and slow down the daemon", "address", at.String())
	}
	return err
}

func (d *Daemon) serveBeside(ctx context.Context, what, address, path string, handler http.Handler) (*net.TCPAddr, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", what, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	d.log.Info("serving "+what, "url", "http://"+listener.Addr().String()+path)
	d.services.start(ctx, service{run: func(ctx context.Context) {
		// They end at once, even one that is being taken.
		defer context.AfterFunc(ctx, func() { server.Close() })()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error(what+" are served no more", "error", err)
		}
	}})
	return listener.Addr().(*net.TCPAddr), nil
}

// publicMetrics are those on the clients' address: none where they have their own.
func (d *Daemon) publicMetrics() http.Handler {
	if d.config.MetricsListen != "" {
		return nil
	}
	return d.metrics.handler()
}
