package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ecovolt/telemetryd/internal/backup"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

type backupCmd struct {
	databaseFlags
	File string `arg:"" default:"-" help:"File to write, in pg_dump's custom format; '-' is standard output."`
}

// Run writes a dump. The file appears under its name only when it is whole.
func (b backupCmd) Run(ctx context.Context, log *slog.Logger) (err error) {
	url, server, err := b.beside(ctx, log)
	if err != nil {
		return err
	}
	defer stopServer(ctx, server)
	programs, err := b.programs(ctx, server)
	if err != nil {
		return err
	}
	if b.File == "-" {
		return backup.Dump(ctx, programs, url, os.Stdout)
	}
	partial, err := os.CreateTemp(filepath.Dir(b.File), filepath.Base(b.File)+".partial-*")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	if err := backup.Dump(ctx, programs, url, partial); err != nil {
		return err
	}
	if err := partial.Sync(); err != nil {
		return err
	}
	if err := partial.Close(); err != nil {
		return err
	}
	if err := os.Rename(partial.Name(), b.File); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Wrote %s.\n", b.File)
	return nil
}

type restoreCmd struct {
	databaseFlags
	File string `arg:"" default:"-" help:"File that backup wrote; '-' is standard input."`
}

// Run restores into an empty database and brings it to this version's schema.
func (r restoreCmd) Run(ctx context.Context, log *slog.Logger) error {
	var in io.Reader = os.Stdin
	if r.File != "-" {
		file, err := os.Open(r.File)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	url, server, err := r.open(ctx, log)
	if err != nil {
		return err
	}
	defer stopServer(ctx, server)
	programs, err := r.programs(ctx, server)
	if err != nil {
		return err
	}
	if err := backup.Restore(ctx, programs, url, in); err != nil {
		return err
	}
	if err := prepare(ctx, url); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The database is restored.")
	return nil
}

// programs finds PostgreSQL's programs: those of the server that we run, or
// those of --pg-bindir or of this machine.
func (f databaseFlags) programs(ctx context.Context, server *pgserver.Server) (pgserver.Programs, error) {
	if server != nil {
		return server.Programs(), nil
	}
	return pgserver.Find(ctx, f.PGBindir, 0)
}

func stopServer(ctx context.Context, server *pgserver.Server) {
	if server != nil {
		_ = server.Stop(context.WithoutCancel(ctx))
	}
}
