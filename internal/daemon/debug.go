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

// listenDebug serves Go's profiles on an address of their own, if one is set.
// Profiles hold addresses and queries but ask for no credential, so they are
// never on the address that clients use.
func (d *Daemon) listenDebug(ctx context.Context) error {
	if d.config.DebugListen == "" {
		return nil
	}
	listener, err := net.Listen("tcp", d.config.DebugListen)
	if err != nil {
		return fmt.Errorf("listen for profiles: %w", err)
	}
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		d.log.Warn("profiles are open to the network: whoever reaches this address can read and slow down the daemon", "address", listener.Addr().String())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound) // it may hold secrets
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	d.log.Info("serving profiles", "url", "http://"+listener.Addr().String()+"/debug/pprof/")
	d.services.start(ctx, service{run: func(ctx context.Context) {
		// They end at once, even one that is being taken.
		defer context.AfterFunc(ctx, func() { server.Close() })()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("profiles are served no more", "error", err)
		}
	}})
	return nil
}
