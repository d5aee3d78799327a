package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/analyst"
	"github.com/ecovolt/telemetryd/internal/doctor"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/internal/retry"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Flags say where the database is.
type Flags struct {
	DatabaseURL string `placeholder:"URL" help:"PostgreSQL with TimescaleDB to use. Without it, telemetryd runs one of its own."`
	DataDir     string `default:"data" placeholder:"DIR" help:"Folder of the database that telemetryd runs itself."`
	PGBindir    string `name:"pg-bindir" placeholder:"DIR" help:"Folder of the PostgreSQL programs for that database."`
	PGPort      int    `name:"pg-port" placeholder:"PORT" help:"Loopback port of that database. Default: a free one, then the same again."`
}

// Database is a server that accepts connections.
type Database struct {
	URL    string
	Server *pgserver.Server // nil when somebody else runs it
}

// Close stops the server, if this process started it.
func (d *Database) Close(ctx context.Context) error {
	if d.Server == nil {
		return nil
	}
	return d.Server.Stop(context.WithoutCancel(ctx))
}

// Own opens the database for a process that runs its server alone, and makes it
// where there is none. It fails with a *pgserver.LockedError while another
// process owns the folder.
func (f Flags) Own(ctx context.Context, log *slog.Logger) (*Database, error) {
	if f.DatabaseURL != "" {
		return &Database{URL: f.DatabaseURL}, nil
	}
	if !pgserver.Exists(f.DataDir) {
		dir, err := filepath.Abs(f.DataDir)
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		fmt.Fprintf(os.Stderr, "there is no database in %s: making a new one, which is empty. TELEMETRYD_DATA_DIR (--data-dir) names another folder\n", dir)
	}
	server, err := pgserver.Start(ctx, pgserver.Options{DataDir: f.DataDir, BinDir: f.PGBindir, Port: f.PGPort, Logger: log})
	if err != nil {
		return nil, err
	}
	return &Database{URL: server.URL(), Server: server}, nil
}

// Make opens the database, beside a daemon if one runs it, and makes it where
// there is none.
func (f Flags) Make(ctx context.Context, log *slog.Logger) (*Database, error) {
	db, err := f.Own(ctx, log)
	var locked *pgserver.LockedError
	if !errors.As(err, &locked) {
		return db, err
	}
	url, err := pgserver.Locate(f.DataDir)
	if err != nil {
		return nil, err
	}
	return &Database{URL: url}, nil
}

// Find opens a database that is there already, beside a daemon if one runs it.
func (f Flags) Find(ctx context.Context, log *slog.Logger) (*Database, error) {
	if f.DatabaseURL == "" && !pgserver.Exists(f.DataDir) {
		return nil, fmt.Errorf("there is no database in the folder %s: set TELEMETRYD_DATA_DIR (--data-dir) to the folder of telemetryd's own database, "+
			"or TELEMETRYD_DATABASE_URL (--database-url) to another one; serve, migrate, import and restore make a new one", f.DataDir)
	}
	return f.Make(ctx, log)
}

// Programs finds PostgreSQL's programs: those of the server that this process
// runs, or those of --pg-bindir or of this machine.
func (f Flags) Programs(ctx context.Context, db *Database) (pgserver.Programs, error) {
	if db.Server != nil {
		return db.Server.Programs(), nil
	}
	return pgserver.Find(ctx, f.PGBindir, 0)
}

// Prepare checks the server, migrates the database and restricts its analysts. Nil
// policies leave those of the database as they are.
func Prepare(ctx context.Context, url string, policies *rollup.Policies) error {
	conn, err := schema.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := doctor.Require(ctx, conn); err != nil {
		return err
	}
	if err := rollup.Migrate(ctx, url, policies); err != nil {
		return err
	}
	return analyst.Restrict(ctx, conn)
}

// Await is Prepare for who can wait for a server that does not answer yet. It
// says so once a minute.
func Await(ctx context.Context, log *slog.Logger, url string, policies *rollup.Policies) error {
	var said time.Time
	for {
		err := Prepare(ctx, url, policies)
		if err == nil || ctx.Err() != nil || !schema.Away(err) {
			return err
		}
		if time.Since(said) >= time.Minute {
			log.Warn("waiting for the database", "error", err)
			said = time.Now()
		}
		if err := retry.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// Pool opens the database at this version's schema and returns what closes both.
// Migrating takes place if need be; usually there is none, which takes one
// connection to see, and the pool keeps that one.
func (d *Database) Pool(ctx context.Context) (*pgxpool.Pool, func(), error) {
	pool, err := d.pool(ctx)
	if err != nil {
		_ = d.Close(ctx)
		return nil, nil, err
	}
	return pool, func() { pool.Close(); _ = d.Close(ctx) }, nil
}

// Open is Find and Pool, for a command that needs no more of the database.
func (f Flags) Open(ctx context.Context, log *slog.Logger) (*pgxpool.Pool, func(), error) {
	db, err := f.Find(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	return db.Pool(ctx)
}

func (d *Database) pool(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, d.URL)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	migrated := false
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
		migrated, err = rollup.Migrated(ctx, conn.Conn(), nil)
		return err
	})
	if err == nil && migrated {
		return pool, nil
	}
	// What is wrong, if anything, is for Prepare to explain.
	pool.Reset()
	if err := Prepare(ctx, d.URL, nil); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
