package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ecovolt/telemetryd/internal/backup"
	"github.com/ecovolt/telemetryd/internal/database"
)

type backupCmd struct {
	database.Flags
	File string `arg:"" default:"-" help:"File to write, in pg_dump's custom format; '-' is standard output."`
}

// Run writes a dump. The file appears under its name only when it is whole.
func (b backupCmd) Run(ctx context.Context, log *slog.Logger) (err error) {
	db, err := b.Find(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	programs, err := b.Programs(ctx, db)
	if err != nil {
		return err
	}
	if b.File == "-" {
		return backup.Dump(ctx, programs, db.URL, os.Stdout)
	}
	partial, err := os.CreateTemp(filepath.Dir(b.File), filepath.Base(b.File)+".partial-*")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	if err := backup.Dump(ctx, programs, db.URL, partial); err != nil {
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
	database.Flags
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
	db, err := r.Own(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	programs, err := r.Programs(ctx, db)
	if err != nil {
		return err
	}
	if err := backup.Restore(ctx, programs, db.URL, in); err != nil {
		return err
	}
	if err := database.Prepare(ctx, db.URL, nil); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "The database is restored.")
	return nil
}
