package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/brief"
	convexhttp "github.com/ecovolt/telemetryd/api/convex/http"
	"github.com/ecovolt/telemetryd/api/convex/registry"
	convexsync "github.com/ecovolt/telemetryd/api/convex/sync"
	"github.com/ecovolt/telemetryd/api/functions"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/analyst"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/realtime/ably"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/web"
)

// Daemon is a running telemetryd.
type Daemon struct {
	Store *timeseries.Store
	Auth  *auth.Service
	Hub   *hub.Hub
	Live  *live.Stream

	config    Config
	functions *convexhttp.Handler
	sync      *convexsync.Server
	relay     *ably.Relay // nil without a key
	metrics   *metrics
	log       *slog.Logger
	pools     *database.Pools
	spare     *pgxpool.Pool       // of the replica; nil without one
	replica   *timeseries.Replica // nil without one
	listener  net.Listener
	server    *http.Server
	handler   atomic.Pointer[http.Handler] // nil until there is a database
	served    chan struct{}                // closed when no more requests are taken
	services  services
	failed    chan error
}

// Start brings a daemon up. It listens at once, and says that it is not ready
// until there is a migrated database; then it returns. The caller must Stop it.
func Start(ctx context.Context, config Config) (*Daemon, error) {
	d := &Daemon{config: config, log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
	if config.Log != nil {
		d.log = slog.New(newOutages(config.Log.Handler()))
	}
	if err := d.listen(); err != nil {
		return nil, err
	}
	if err := d.bringUp(ctx); err != nil {
		_ = d.services.stop(ctx)
		d.server.Close()
		<-d.served
		return nil, err
	}
	return d, nil
}

func (d *Daemon) bringUp(ctx context.Context) (err error) {
	if d.config.Database != nil {
		if d.config.DatabaseURL, err = d.config.Database(ctx); err != nil {
			return err
		}
	}
	if err := d.open(ctx); err != nil {
		return err
	}
	handler, err := d.assemble(ctx)
	if err == nil {
		err = d.listenBeside(ctx)
	}
	if err != nil {
		d.closePools()
		return err
	}
	d.server.RegisterOnShutdown(d.Live.Drain)
	d.begin(ctx)
	d.handler.Store(&handler)
	return nil
}

// ServeHTTP answers once there is a database. Until then it says that there is
// none yet; clients come again.
func (d *Daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := d.handler.Load(); handler != nil {
		(*handler).ServeHTTP(w, r)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second)) // of what is left of a body
	if r.URL.Path == "/livez" {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, "not ready: waiting for the database", http.StatusServiceUnavailable)
}

// open makes the pools. None connects before it is used.
func (d *Daemon) open(ctx context.Context) (err error) {
	if d.pools, err = database.OpenPools(ctx, d.config.DatabaseURL); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if d.config.ReadDatabaseURL == "" {
		return nil
	}
	if d.spare, err = database.OpenReplica(ctx, d.config.ReadDatabaseURL); err != nil {
		d.pools.Close()
		return fmt.Errorf("open database for reading: %w", err)
	}
	return nil
}

func (d *Daemon) closePools() {
	if d.spare != nil {
		d.spare.Close()
	}
	d.pools.Close()
}

func (d *Daemon) assemble(ctx context.Context) (http.Handler, error) {
	d.metrics = newMetrics(d.config.Version)
	inFlight := new(load.InFlight)
	d.Store = timeseries.New(d.pools.Ingest, timeseries.Options{
		Reads: d.pools.Reads, Exports: d.pools.Exports,
		Logger: d.log, OnCommit: func(sessions ...string) { d.Hub.WakeSessions(sessions...) }, // nothing is committed before the hub is there
		OnIngest: d.metrics.observeIngest, OnRefresh: d.metrics.observeRefresh, InFlight: inFlight,
		Columns: column.New(d.config.ChartMemory, d.log),
	})
	d.Hub = hub.New(d.Store.Deltas, hub.Options{Tick: d.config.Tick, Log: d.log})
	d.Auth = auth.New(d.pools.Reads, d.authOptions())
	if d.config.AdminEmail != "" && d.config.AdminPassword != "" {
		made, err := d.Auth.Bootstrap(ctx, d.config.AdminEmail, d.config.AdminPassword)
		if err != nil {
			return nil, fmt.Errorf("make the first administrator: %w", err)
		}
		if made {
			d.log.Info("made the first administrator")
		}
	}
	origins := httpx.NewOrigins(d.config.AllowOrigins)
	d.Live = live.New(d.Hub, d.Store.Deltas, live.Options{
		Channels:    d.Store.Channels,
		Policy:      access.Live{Store: d.Store, Auth: d.Auth},
		Credential:  func(r *http.Request) string { return r.Header.Get("Authorization") },
		CheckOrigin: func(r *http.Request) bool { return ws.SameOrigin(r) || origins.Allows(r.Header.Get("Origin")) },
		Compression: true, InFlight: inFlight, OnDelta: d.metrics.observeLag, Log: d.log,
	})
	if err := d.openRelay(); err != nil {
		return nil, err
	}
	// Bytes of answers that wait for their clients, whoever sends them.
	results := load.NewBudget(128 << 20)
	if err := d.openFunctions(results); err != nil {
		return nil, err
	}
	page, err := web.Handler(brief.StyleHash)
	if err != nil {
		return nil, err
	}
	if d.spare != nil {
		d.replica = timeseries.NewReplica(d.Store, d.spare, d.log)
	}
	d.metrics.watch(d)
	return api.New(api.Deps{
		Page: page, Metrics: d.publicMetrics(), Observe: d.metrics.observeRequest,
		Store: d.Store, Replica: d.replica, Auth: d.Auth, Dashboards: dashboard.New(d.pools.Reads), Convex: d.functions, Live: d.Live, Log: d.log, Results: results,
		Config: d.apiConfig(),
	})
}

// openRelay makes what publishes live records to Ably, if there is a key for it.
func (d *Daemon) openRelay() (err error) {
	if d.config.AblyRelayKey == "" {
		return nil
	}
	d.relay, err = ably.New(d.Hub, d.Store.Deltas, d.Store.LiveState, ably.Options{
		Key: strings.TrimSpace(d.config.AblyRelayKey), Channel: d.config.AblyChannel, BaseURL: d.config.AblyURL, Log: d.log,
	})
	return err
}

// openFunctions makes the endpoints of Convex clients.
func (d *Daemon) openFunctions(results *load.Budget) error {
	all := registry.New(d.Auth)
	err := functions.Register(all, functions.Deps{
		Store: d.Store, Auth: d.Auth, Dashboards: dashboard.New(d.pools.Reads),
		PublicURL: strings.TrimSuffix(d.config.PublicURL, "/"), AblyChannel: d.config.AblyChannel,
	})
	if err != nil {
		return err
	}
	bodies, keyBodies := load.NewBudget(64<<20), load.NewBudget(128<<20) // for both
	d.sync, err = convexsync.New(convexsync.Options{
		Registry: all, Pool: d.pools.Reads, Hub: d.Hub, Bodies: bodies, KeyBodies: keyBodies, Results: results, Log: d.log,
	})
	if err != nil {
		return err
	}
	proxies, err := httpx.ParseProxies(d.config.TrustProxies)
	if err != nil {
		return err
	}
	d.functions, err = convexhttp.New(convexhttp.Options{
		Site:     httpx.NewSite(d.config.PublicURL, d.config.AllowHosts, proxies, d.log),
		Registry: all, Sync: d.sync, Bodies: bodies, KeyBodies: keyBodies, Results: results,
		Origins: httpx.NewOrigins(d.config.AllowOrigins), Version: d.config.Version, Log: d.log,
	})
	return err
}

// notForUploads is how many of the connections for ingest no upload may take: a
// refresh, the analysis and a purge may have one each for long, and the bridge's
// small batches and the hub need one each whatever goes on.
const notForUploads = 5

func (d *Daemon) apiConfig() api.Config {
	c := d.config
	return api.Config{
		AllowedOrigins: c.AllowOrigins, TrustedProxies: c.TrustProxies, PublicURL: c.PublicURL, AllowedHosts: c.AllowHosts,
		AblyKey: c.AblyKey, AblyChannel: c.AblyChannel,
		AblyVehicleKey: c.AblyVehicleKey, AblyVehicleChannel: c.AblyVehicleChannel,
		MaxUpload: c.MaxUpload, MaxSpool: c.MaxSpool, MaxIngests: max(1, min(c.MaxIngests, int(d.pools.Ingest.Config().MaxConns)-notForUploads)),
	}
}

func (d *Daemon) authOptions() auth.Options {
	c := d.config
	return auth.Options{
		StaticKeys: d.staticKeys(), Keys: d.pools.Ingest, Log: d.log,
		Pepper: c.Pepper, FormerPeppers: c.FormerPeppers, ImportedPepper: c.ImportedPepper,
		Hash:      secret.Params{MemoryKiB: c.HashMemory, Iterations: c.HashIterations, Threads: c.HashThreads},
		HashSlots: c.HashSlots, AdminsNeedFactor: c.AdminsNeedSecondFactor, KeepAudit: c.KeepAudit, OnSignIn: d.metrics.observeSignIn,
	}
}

func (d *Daemon) staticKeys() []auth.StaticKey {
	var keys []auth.StaticKey
	if d.config.DeployKey != "" {
		keys = append(keys, auth.StaticKey{Name: "settings", Secret: d.config.DeployKey})
	}
	if d.config.DemoKey != "" {
		keys = append(keys, auth.StaticKey{Name: "demo", Secret: d.config.DemoKey, Scope: auth.ScopeIngest})
	}
	return keys
}

func (d *Daemon) listen() error {
	listener, err := net.Listen("tcp", d.config.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program listens on %s already: stop it, or choose another port by --listen or TELEMETRYD_LISTEN; "+
			"in a checkout: make run ARGS=\"--listen 127.0.0.1:3211\"", d.config.Listen)
	}
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	d.listener = listener
	if d.config.TLSCert != "" || d.config.TLSKey != "" {
		pair, err := tls.LoadX509KeyPair(d.config.TLSCert, d.config.TLSKey)
		if err != nil {
			listener.Close()
			return fmt.Errorf("load TLS certificate: %w", err)
		}
		d.listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	d.server = &http.Server{
		Handler: d,
		// Bodies and answers have deadlines of their own, renewed as they flow.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	d.served = make(chan struct{})
	go func() {
		defer close(d.served)
		if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- err
		}
	}()
	return nil
}

// begin starts what requests need, and what goes on beside them.
func (d *Daemon) begin(ctx context.Context) {
	start := func(run func(context.Context)) { d.services.start(ctx, service{run: run}) }
	start(d.Hub.Run)
	start(d.Live.Run)
	if d.relay != nil {
		// One instance relays; another one takes over when it goes.
		lease := schema.Lease{Pool: d.pools.Ingest, Name: "relay", Log: d.log}
		start(func(ctx context.Context) {
			_ = lease.Lead(ctx, func(ctx context.Context, _ schema.Fence) error { return d.relay.Run(ctx) })
		})
	}
	if d.replica != nil {
		start(d.replica.Run)
	}
	start(d.Auth.Run)
	d.services.start(ctx, every(time.Second, d.purge))
	d.services.start(ctx, every(10*time.Second, d.divide))
	d.services.start(ctx, every(5*time.Second, d.measure))
	d.services.start(ctx, every(time.Minute, d.count))
	guard := analyst.Guard{Pool: d.pools.Ingest, Log: d.log}
	d.services.start(ctx, every(5*time.Second, func(ctx context.Context) {
		if _, err := guard.Look(ctx); err != nil && ctx.Err() == nil {
			d.log.Debug("cannot look after analysts yet", "error", err)
		}
	}))
	start(d.Store.Rollups.Run)
	// One instance works out what all runs amount to; a long one must not hold up
	// the rollups of others.
	analysis := schema.Lease{Pool: d.pools.Ingest, Name: "analysis", Log: d.log}
	start(func(ctx context.Context) {
		_ = analysis.Lead(ctx, func(ctx context.Context, _ schema.Fence) error {
			every(time.Second, d.analyse).run(ctx)
			return ctx.Err()
		})
	})
	d.services.start(ctx, service{func(context.Context) { <-d.served }, d.finish})
	// Sockets are not requests to the HTTP server any more: they end first.
	d.services.start(ctx, service{d.sync.Run, d.sync.Shutdown})
}

// finish takes no more requests and lets the open ones end, until ctx does.
func (d *Daemon) finish(ctx context.Context) error {
	if err := d.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("finish open requests: %w", err), d.server.Close())
	}
	return nil
}

func (d *Daemon) purge(ctx context.Context) {
	n, err := d.Store.PurgeDeleted(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		d.log.Warn("cannot remove the records of deleted sessions yet", "error", err)
	case n > 0:
		d.log.Info("removed the records of deleted sessions", "sessions", n)
	}
}

// longestYield is how long what can wait lets a large refresh of charts go first.
const longestYield = 30 * time.Second

func (d *Daemon) analyse(ctx context.Context) {
	d.Store.Rollups.Yield(ctx, longestYield)
	if _, err := d.Store.Analysis.Refresh(ctx); err != nil && ctx.Err() == nil {
		d.log.Warn("cannot work out laps, distance and energy yet", "error", err)
	}
}

func (d *Daemon) divide(ctx context.Context) {
	d.Store.Rollups.Yield(ctx, longestYield)
	if _, err := d.Store.Archives.KeepUp(ctx); err != nil && ctx.Err() == nil {
		d.log.Warn("cannot divide long sessions into archive parts yet", "error", err)
	}
}

// measure notes how far behind the rollups are, whoever refreshes them, and how
// old the newest record is. What cannot be asked stays as it was; hub_healthy
// tells.
func (d *Daemon) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if stale, err := d.Store.Rollups.Staleness(ctx); err == nil {
		d.metrics.stale.Set(stale.Seconds())
	}
	if age, err := d.Store.NewestAge(ctx); err == nil && age >= 0 {
		d.metrics.newest.Set(age.Seconds())
	}
}

// count notes what grows slowly, and takes a look over all runs.
func (d *Daemon) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if n, err := d.Store.WithoutLevels(ctx); err == nil {
		d.metrics.over.Set(float64(n))
	}
}

// URL is where the daemon answers.
func (d *Daemon) URL() string {
	scheme := "http"
	if d.config.TLSCert != "" {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(d.listener.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Failed returns the error that ended the serving, should one.
func (d *Daemon) Failed() <-chan error { return d.failed }

// Stop takes no more requests, finishes those that it accepted, and ends. When
// the context ends first, open requests are cut off.
func (d *Daemon) Stop(ctx context.Context) error {
	err := d.services.stop(ctx)
	d.closePools()
	return err
}
