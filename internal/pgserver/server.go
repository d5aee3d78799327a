package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/retry"
	schema "github.com/ecovolt/telemetryd/sql"
)

const (
	// user owns the cluster; database is the one that URL names.
	user     = "telemetryd"
	database = "telemetryd"
)

// Options say where the server lives and what it is made of.
type Options struct {
	// DataDir is the folder; it is made, with mode 0700, when it is missing.
	DataDir string
	// BinDir holds the server programs. Empty: Find looks for them.
	BinDir string
	// Port on 127.0.0.1. Zero: the one used last, or else a free one.
	Port int
	// Settings of postgresql.conf that override those of this package.
	Settings map[string]string
	// Logger gets starts, stops and crashes of the server. Nil: none of it.
	Logger *slog.Logger

	logPause time.Duration // between two looks at the size of the log; 0 is a minute
}

// Server is a running PostgreSQL that this process owns.
type Server struct {
	cluster cluster
	bin     Programs
	port    int
	lock    *lock
	logger  *slog.Logger
	adopted bool

	life context.Context // ends when the server shall not be started again
	end  context.CancelFunc
	gone chan struct{} // closed when the supervisor has returned

	mu      sync.Mutex
	process *postmaster
}

// Start returns a server that accepts connections. It makes the cluster first
// when there is none, and takes over a server that an earlier owner left
// running. The context bounds the start only.
func Start(ctx context.Context, options Options) (*Server, error) {
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(options.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	held, err := own(cluster{dir})
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	s := &Server{
		cluster: cluster{dir: dir},
		lock:    held,
		logger:  logger,
		life:    life,
		end:     end,
		gone:    make(chan struct{}),
	}
	if err := s.start(ctx, options); err != nil {
		end()
		return nil, errors.Join(err, held.release())
	}
	go s.supervise(cmp.Or(options.logPause, time.Minute))
	return s, nil
}

// URL connects as the server's owner through the unix socket.
func (s *Server) URL() string { return s.cluster.url(database, s.port) }

// Port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Programs are the server programs in use.
func (s *Server) Programs() Programs { return s.bin }

// Adopted reports whether the server was running when Start was called.
func (s *Server) Adopted() bool { return s.adopted }

// Stop ends all sessions, writes everything out, and waits until the server is
// gone. When the context ends first, the server is stopped at once and
// recovers at its next start; nothing committed is lost either way.
func (s *Server) Stop(ctx context.Context) error {
	s.end()
	<-s.gone
	process := s.current()
	if process.alive() {
		process.shutdown(ctx)
		s.logger.Info("database server stopped", "pid", process.pid)
	}
	return s.lock.release()
}

// Detach gives up the server and leaves it running for its next owner.
func (s *Server) Detach() error {
	s.end()
	<-s.gone
	return s.lock.release()
}

func (s *Server) current() *postmaster {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Server) setProcess(process *postmaster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = process
}

func (s *Server) start(ctx context.Context, options Options) error {
	version, err := s.cluster.version()
	if err != nil {
		return err
	}
	s.bin, err = Find(ctx, options.BinDir, version)
	if err != nil {
		return err
	}
	if version == 0 {
		s.logger.Info("making a database cluster", "folder", s.cluster.dir, "programs", s.bin.Dir)
		if err := s.cluster.init(ctx, s.bin); err != nil {
			return err
		}
	}
	running := s.cluster.running()
	if s.port, err = s.cluster.choosePort(options.Port, running != nil); err != nil {
		return err
	}
	changed, err := s.cluster.configure(defaults(s.bin), s.port, options.Settings)
	if err != nil {
		return err
	}
	if running == nil || !s.adopt(ctx, running, changed) {
		s.ensureChecksums(ctx)
		if err := s.launch(ctx); err != nil {
			return err
		}
	}
	return s.ensureDatabase(ctx)
}

// adopt takes over a server that is running already. When it cannot be used as
// it is, it is stopped and the answer is false.
func (s *Server) adopt(ctx context.Context, running *postmaster, changed bool) bool {
	if changed {
		s.logger.Info("restarting the running database server: its settings changed", "pid", running.pid)
	} else if err := s.ping(ctx); err != nil {
		s.logger.Warn("restarting the running database server: it does not answer", "pid", running.pid, "error", err)
	} else {
		s.logger.Info("took over the running database server", "pid", running.pid, "port", s.port)
		s.setProcess(running)
		s.adopted = true
		return true
	}
	running.shutdown(ctx)
	return false
}

// launch starts the server and waits until it accepts connections, however
// long it needs to recover.
func (s *Server) launch(ctx context.Context) error {
	// The children of a killed server need a moment to notice and go.
	patience := time.Now().Add(20 * time.Second)
	for {
		process, err := s.cluster.launch(s.bin)
		if err != nil {
			return err
		}
		err = s.ready(ctx, process)
		if err == nil {
			s.setProcess(process)
			s.logger.Info("database server started", "pid", process.pid, "port", s.port, "programs", s.bin.Dir)
			return nil
		}
		process.shutdown(ctx)
		if !errors.Is(err, errLeftovers) || time.Now().After(patience) {
			return err
		}
		if err := retry.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *Server) ready(ctx context.Context, process *postmaster) error {
	for {
		if process.alive() {
			if s.cluster.reportsReady(process) && s.ping(ctx) == nil {
				return nil
			}
		} else {
			return s.cluster.explain()
		}
		if err := retry.Pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the database server: %w", err)
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.cluster.url("postgres", s.port))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// ensureDatabase makes the daemon's database and its extension, or brings the
// extension to the version of the server programs.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.cluster.url("postgres", s.port))
	if err != nil {
		return fmt.Errorf("connect to the embedded database: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+database)
	if err != nil && !schema.HasCode(err, pgerrcode.DuplicateDatabase) {
		return fmt.Errorf("make the database %s: %w", database, err)
	}
	own, err := pgx.Connect(ctx, s.cluster.url(database, s.port))
	if err != nil {
		return fmt.Errorf("connect to the database %s: %w", database, err)
	}
	defer own.Close(ctx)
	// It must be the session's first statement, so it goes by the simple
	// protocol: what loads one version of the library cannot change to another.
	_, err = own.PgConn().Exec(ctx, "ALTER EXTENSION timescaledb UPDATE").ReadAll()
	if schema.HasCode(err, pgerrcode.UndefinedObject) { // not there yet
		_, err = own.PgConn().Exec(ctx, "CREATE EXTENSION timescaledb").ReadAll()
	}
	if err != nil {
		return fmt.Errorf("install the timescaledb extension: %w", err)
	}
	return nil
}

// supervise starts the server again when it dies by itself, killed by the
// system for its memory, say. It never gives up. Now and then it looks at the
// log's size.
func (s *Server) supervise(logPause time.Duration) {
	defer close(s.gone)
	look := time.NewTicker(logPause)
	defer look.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-look.C:
			if err := s.cluster.boundLog(); err != nil {
				s.logger.Warn("the database server's log grows", "error", err)
			}
			continue
		case <-s.current().done():
		}
		if s.life.Err() != nil {
			return
		}
		s.logger.Error("the database server died; starting it again", "pid", s.current().pid)
		if s.relaunch() != nil {
			return
		}
	}
}

// relaunch tries until the server runs, or until its owner gives it up.
func (s *Server) relaunch() error {
	backoff := retry.Backoff(time.Second, 30*time.Second)
	for {
		// A wrapper may die alone and leave the server behind.
		if running := s.cluster.running(); running != nil && s.ping(s.life) == nil {
			s.setProcess(running)
			return nil
		}
		err := s.launch(s.life)
		if err == nil {
			return nil
		}
		if s.life.Err() != nil {
			return s.life.Err()
		}
		wait := backoff.NextBackOff()
		s.logger.Error("the database server does not start", "error", err, "next_try_in", wait)
		if err := retry.Pause(s.life, wait); err != nil {
			return err
		}
	}
}
