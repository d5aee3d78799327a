package sync

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options configure a Server. Registry, Pool and Hub are needed; the zero value
// of the rest is right.
type Options struct {
	Registry *registry.Registry
	Pool     *pgxpool.Pool
	Hub      *hub.Hub     // tells which queries to run again
	Log      *slog.Logger // nil discards

	// MaxBody bounds a message, decompressed, in bytes. Default 16 MiB and 2,000
	// bytes, which is what Convex itself takes.
	MaxBody int64
	// Bodies bounds the bytes of all messages held at once, and KeyBodies those of
	// connections that showed a deploy key; of each a caller has half at most.
	// Default 64 and 128 MiB.
	Bodies, KeyBodies *load.Budget
	// Results bounds the bytes of all results that are watched. One that finds no
	// room is shown later. Default 128 MiB.
	Results *load.Budget
	// QueryTimeout and WriteTimeout bound one run of a query, and of a
	// mutation or action. Defaults 30 s and 60 s.
	QueryTimeout, WriteTimeout time.Duration
	// QueryRuns bounds how many watched queries run at the same time. Default 8.
	QueryRuns int
	// MaxSockets bounds the websockets open at once. Default 20,000.
	MaxSockets int
	// MaxQueries bounds the different queries watched at once, over all
	// sockets. One caller has half of them at most. Default 20,000.
	MaxQueries int
	// PingEvery is the longest silence towards a socket. Clients give up after
	// 30 s. Default 15 s.
	PingEvery time.Duration
	// KeepRequests is how long the answers of mutations are remembered, so
	// that a repeated request is not run again. Default 48 h.
	KeepRequests time.Duration
}

func (o *Options) setDefaults() error {
	if o.Registry == nil || o.Pool == nil || o.Hub == nil {
		return errors.New("convex: Registry, Pool and Hub are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Bodies == nil {
		o.Bodies = load.NewBudget(64 << 20)
	}
	if o.KeyBodies == nil {
		o.KeyBodies = load.NewBudget(128 << 20)
	}
	if o.Results == nil {
		o.Results = load.NewBudget(128 << 20)
	}
	setDefault(&o.MaxBody, 16<<20+2000)
	setDefault(&o.QueryTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 60*time.Second)
	setDefault(&o.QueryRuns, 8)
	setDefault(&o.MaxSockets, 20_000)
	setDefault(&o.MaxQueries, 20_000)
	setDefault(&o.PingEvery, 15*time.Second)
	setDefault(&o.KeepRequests, 48*time.Hour)
	return nil
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Server serves the functions of a registry over websockets. Make one with New,
// start it with Run, and hand it requests through Serve.
type Server struct {
	options  Options
	registry *registry.Registry
	log      *slog.Logger
	clock    *clock
	requests requests

	// lifetime is the context of everything that outlives a request.
	lifetime context.Context
	cancel   context.CancelFunc
	stopping chan struct{} // closed when Shutdown begins
	stop     sync.Once
	tasks    sync.WaitGroup // live queries

	// lastWrite is when a mutation or action of this instance last ended: a
	// result from before may lack what its caller knows to be there.
	lastWrite atomic.Int64

	liveMu    sync.Mutex
	live      map[liveKey]*live
	liveCount int          // of all that run; one that was pinned to a page may not be in live
	places    *load.Budget // for them
	queryRuns chan struct{}

	// zipping bounds the sockets that compress a message at the same time.
	zipping chan struct{}

	requestsMu sync.Mutex
	underWay   map[requestKey]chan struct{}

	seats     *load.Seats // from enter to exit
	socketsMu sync.Mutex
	open      map[*socket]struct{}
	stopped   bool
	sockets   sync.WaitGroup
}

// New makes a server. Nothing runs before Run.
func New(options Options) (*Server, error) {
	if err := options.setDefaults(); err != nil {
		return nil, err
	}
	lifetime, cancel := context.WithCancel(context.Background())
	return &Server{
		options: options, registry: options.Registry, log: options.Log,
		clock: newClock(), requests: requests{options.Pool},
		lifetime: lifetime, cancel: cancel, stopping: make(chan struct{}),
		live: make(map[liveKey]*live), places: load.NewBudget(int64(options.MaxQueries)), seats: load.NewSeats(options.MaxSockets), queryRuns: make(chan struct{}, options.QueryRuns),
		zipping:  make(chan struct{}, 4*runtime.GOMAXPROCS(0)),
		underWay: make(map[requestKey]chan struct{}), open: make(map[*socket]struct{}),
	}, nil
}

const (
	measureEvery = 30 * time.Second
	pruneEvery   = 10 * time.Minute
)

// Run keeps the server's clock and its records until ctx ends. Websockets are
// refused until the database has answered for the first time.
func (s *Server) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.lifetime, cancel)()
	var pruned time.Time
	for {
		pause := measureEvery
		if err := s.clock.measure(ctx, s.options.Pool); err != nil {
			if ctx.Err() == nil {
				s.log.Warn("the database's clock could not be read", "error", err)
			}
			pause = time.Second
		} else if time.Since(pruned) > pruneEvery {
			pruned = time.Now()
			if err := s.requests.prune(ctx, s.options.KeepRequests); err != nil && ctx.Err() == nil {
				s.log.Warn("old requests were not pruned", "error", err)
			}
		}
		if retry.Pause(ctx, pause) != nil {
			return
		}
	}
}

// startPatience is how long an upgrade waits for the first measurement.
const startPatience = 2 * time.Second

// enter admits a websocket: there is room for it, the clock is known, and the
// server does not stop. Call exit at its end.
func (s *Server) enter(k *socket) bool {
	select {
	case <-s.clock.ready:
	case <-s.stopping:
		return false
	case <-time.After(startPatience):
		return false
	}
	k.seat = s.seats.Take(k.session.caller, func() { k.session.end(closeTryLater, reasonTooMany) })
	if k.seat == nil {
		return false
	}
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	if s.stopped {
		k.seat.Leave()
		return false
	}
	s.sockets.Add(1)
	return true
}

func (s *Server) exit(k *socket) {
	k.seat.Leave()
	s.sockets.Done()
}

func (s *Server) join(k *socket) bool {
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	s.open[k] = struct{}{}
	return !s.stopped
}

func (s *Server) leave(k *socket) {
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	delete(s.open, k)
}

// Wrote notes that a mutation or action has ended, and has the hub look for
// what it changed.
func (s *Server) Wrote() {
	s.lastWrite.Store(s.clock.next())
	s.options.Hub.WakeAll()
}

// Timestamp returns a new timestamp in the form of the wire.
func (s *Server) Timestamp() string { return string(appendTs(nil, s.clock.next())) }

// Stats counts what the server holds.
type Stats struct {
	Sockets int // open now
	Queries int // watched now, each shared by all sockets that asked the same
}

// Stats returns the server's counts.
func (s *Server) Stats() Stats {
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	s.liveMu.Lock()
	defer s.liveMu.Unlock()
	return Stats{Sockets: s.seats.Taken(), Queries: s.liveCount}
}

// Shutdown closes the websockets with "going away", after the mutations and
// actions that run have been answered; clients connect again elsewhere. When
// ctx ends first, they are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Do(func() {
		s.socketsMu.Lock()
		s.stopped = true
		close(s.stopping)
		for k := range s.open {
			go func() {
				k.work.Wait()
				k.session.end(closeGoingAway, reasonRestarted)
			}()
		}
		s.socketsMu.Unlock()
	})
	done := make(chan struct{})
	go func() {
		s.sockets.Wait()
		s.cancel()
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.socketsMu.Lock()
	for k := range s.open {
		k.conn.Close()
	}
	s.socketsMu.Unlock()
	return ctx.Err()
}
