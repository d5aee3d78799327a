package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ecovolt/telemetryd/internal/backup"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

type psqlCmd struct {
	database.Flags
	Owner bool     `help:"Connect as the database's owner, who may write, instead of as the analyst."`
	Args  []string `arg:"" optional:"" passthrough:"" help:"Arguments for psql, behind '--'."`
}

// analystSettings make a session of the owner's credentials what the role
// telemetry_analyst gets when it signs in by itself.
const analystSettings = "-c role=telemetry_analyst -c default_transaction_read_only=on -c statement_timeout=60s -c idle_in_transaction_session_timeout=5min -c search_path=analytics,public -c timezone=UTC"

// Run opens psql on the database.
func (p psqlCmd) Run(ctx context.Context, log *slog.Logger) error {
	db, err := p.Find(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if err := database.Prepare(ctx, db.URL, nil); err != nil {
		return err
	}
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
	env, err := backup.Environment(db.URL)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), env...)
	if !p.Owner {
		cmd.Env = append(cmd.Env, "PGOPTIONS="+analystSettings)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("psql ended with status %d", exit.ExitCode())
	}
	return err
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
