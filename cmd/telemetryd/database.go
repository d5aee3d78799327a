package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/doctor"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// databaseFlags say where the database is.
type databaseFlags struct {
	DatabaseURL string `placeholder:"URL" help:"PostgreSQL with TimescaleDB to use. Without it, telemetryd runs one of its own."`
	DataDir     string `default:"data" placeholder:"DIR" help:"Folder of the database that telemetryd runs itself."`
	PGBindir    string `name:"pg-bindir" placeholder:"DIR" help:"Folder of the PostgreSQL programs for that database."`
	PGPort      int    `name:"pg-port" placeholder:"PORT" help:"Loopback port of that database. Default: a free one, then the same again."`
}

// open gives a database URL and what to call when done with it. It starts the
// embedded server unless a daemon already runs one on the same folder.
func (f databaseFlags) open(ctx context.Context, log *slog.Logger) (url string, server *pgserver.Server, err error) {
	if f.DatabaseURL != "" {
		return f.DatabaseURL, nil, nil
	}
	server, err = pgserver.Start(ctx, pgserver.Options{DataDir: f.DataDir, BinDir: f.PGBindir, Port: f.PGPort, Logger: log})
	if err != nil {
		return "", nil, err
	}
	return server.URL(), server, nil
}

// beside is open for commands that may run while a daemon owns the server.
func (f databaseFlags) beside(ctx context.Context, log *slog.Logger) (url string, server *pgserver.Server, err error) {
	url, server, err = f.open(ctx, log)
	var locked *pgserver.LockedError
	if errors.As(err, &locked) {
		url, err = pgserver.Locate(f.DataDir)
	}
	return url, server, err
}

// prepare checks the server and migrates the database, leaving policies as
// they are.
func prepare(ctx context.Context, url string) error { return prepareWith(ctx, url, nil) }

func prepareWith(ctx context.Context, url string, policies *rollup.Policies) error {
	config, err := schema.ParseURL(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	err = doctor.Require(ctx, conn)
	_ = conn.Close(ctx)
	if err != nil {
		return err
	}
	return rollup.Migrate(ctx, url, policies)
}

// pool opens a migrated database for a command and gives what closes it.
func (f databaseFlags) pool(ctx context.Context, log *slog.Logger) (*pgxpool.Pool, func(), error) {
	url, server, err := f.beside(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		if server != nil {
			_ = server.Stop(context.WithoutCancel(ctx))
		}
	}
	pool, err := openPool(ctx, url)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return pool, func() { pool.Close(); stop() }, nil
}

// openPool opens a database, which it migrates if need be. Usually there is no
// need, which takes one connection to see, and the pool keeps that one.
func openPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, url)
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
	// What is wrong, if anything, is for prepare to explain.
	pool.Reset()
	if err := prepare(ctx, url); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

type migrateCmd struct {
	databaseFlags
	policyFlags
}

// policyFlags say what TimescaleDB's community edition does by itself.
type policyFlags struct {
	ColumnstoreAfter time.Duration `default:"48h" placeholder:"AGE" help:"Move records of that age to the columnstore; 0 never."`
	KeepRecords      time.Duration `default:"0" placeholder:"AGE" help:"Drop records of that age; 0 keeps them for ever."`
	KeepRollups      time.Duration `default:"0" placeholder:"AGE" help:"Drop rollups of that age; 0 keeps them for ever."`
	RefreshEvery     time.Duration `default:"0" placeholder:"PAUSE" help:"Let the database refresh the last day's rollups itself, for when no daemon runs; 0 leaves it to the daemon."`
}

func (f policyFlags) policies() *rollup.Policies {
	return &rollup.Policies{
		ColumnstoreAfter: f.ColumnstoreAfter, KeepRecords: f.KeepRecords, KeepRollups: f.KeepRollups, RefreshEvery: f.RefreshEvery,
	}
}

func (m migrateCmd) Run(ctx context.Context, log *slog.Logger) error {
	url, server, err := m.beside(ctx, log)
	if err != nil {
		return err
	}
	if server != nil {
		defer server.Stop(context.WithoutCancel(ctx))
	}
	if err := prepareWith(ctx, url, m.policies()); err != nil {
		return err
	}
	fmt.Println("The database is at this version's schema.")
	return nil
}
