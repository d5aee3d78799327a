package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ecovolt/telemetryd/internal/analyst"
	"github.com/ecovolt/telemetryd/internal/backup"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	schema "github.com/ecovolt/telemetryd/sql"
)

type psqlCmd struct {
	database.Flags
	AnalystURL string   `placeholder:"URL" help:"How analysts sign in to a database that telemetryd does not run itself."`
	Owner      bool     `help:"Connect as the database's owner, who may write, instead of as the analyst."`
	Args       []string `arg:"" optional:"" passthrough:"" help:"Arguments for psql, behind '--'."`
}

// Run opens psql on the database.
func (p psqlCmd) Run(ctx context.Context, log *slog.Logger) error {
	address, db, err := p.open(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	program, err := findPsql(ctx, p.PGBindir, db.Server)
	if err != nil {
		return err
	}
	args := p.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	// The address goes in the environment: a command line can be read by others.
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	env, err := backup.Environment(address)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), env...)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("psql ended with status %d", exit.ExitCode())
	}
	return err
}

// open returns the URL to give to psql, and the database that must stay open
// meanwhile. An analyst signs in as one: who takes the role on in a session of
// the owner's can put it off again.
func (p psqlCmd) open(ctx context.Context, log *slog.Logger) (address string, db *database.Database, err error) {
	if p.Owner || p.DatabaseURL == "" && p.AnalystURL == "" {
		if db, err = p.Find(ctx, log); err != nil {
			return "", nil, err
		}
		if err = database.Prepare(ctx, db.URL, nil); err == nil && !p.Owner {
			address, err = asAnalyst(db.URL)
		}
		if err != nil {
			_ = db.Close(ctx)
			return "", nil, err
		}
		return cmp.Or(address, db.URL), db, nil
	}
	if p.AnalystURL == "" {
		return "", nil, errors.New("how do analysts sign in to this database? Give TELEMETRYD_ANALYST_URL (--analyst-url) with the role " + analyst.Role +
			" and its password (ALTER ROLE " + analyst.Role + " PASSWORD '...'), or --owner to connect as the owner, who may do everything")
	}
	conn, err := schema.Connect(ctx, p.AnalystURL)
	if err != nil {
		return "", nil, err
	}
	defer conn.Close(ctx)
	var super bool
	if err := conn.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user").Scan(&super); err != nil {
		return "", nil, fmt.Errorf("ask who analysts are: %w", err)
	}
	if super {
		return "", nil, errors.New("the user of TELEMETRYD_ANALYST_URL (--analyst-url) is a superuser, who may do everything on the server: name the role " +
			analyst.Role + ", or give --owner")
	}
	return p.AnalystURL, &database.Database{URL: p.AnalystURL}, nil
}

// asAnalyst is the URL of a database of ours, whose socket asks for no password.
func asAnalyst(databaseURL string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", errors.New("the database's URL cannot be read")
	}
	u.User = url.User(analyst.Role)
	return u.String(), nil
}

func findPsql(ctx context.Context, dir string, server *pgserver.Server) (string, error) {
	if server != nil {
		return server.Programs().Path("psql"), nil
	}
	if dir != "" {
		return filepath.Join(dir, "psql"), nil
	}
	if path, err := exec.LookPath("psql"); err == nil {
		return path, nil
	}
	programs, err := pgserver.Find(ctx, "", 0)
	if err != nil {
		return "", errors.New("psql is not on this machine: install the PostgreSQL client, or give --pg-bindir")
	}
	return programs.Path("psql"), nil
}
