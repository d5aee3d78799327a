package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/internal/convexmove"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/timeseries"
)

type importConvexCmd struct {
	database.Flags
	Snapshot string `arg:"" type:"existingfile" help:"ZIP that 'npx convex export --include-file-storage --path SNAPSHOT.zip' wrote."`
	DryRun   bool   `help:"Read and check everything, store nothing."`
	TempDir  string `type:"existingdir" placeholder:"DIR" help:"Where the telemetry table is copied to meanwhile, about its size in the snapshot, inflated. Default: the system's."`
	Quiet    bool   `short:"q" help:"No progress bar."`
}

// Help is shown below the usage.
func (importConvexCmd) Help() string {
	return `Moves accounts with their passwords, runs with all records, driver notifications and dashboards.
It can be stopped and run again; what is stored already is recognised. Sessions are signed out.
If the former backend had a pepper (AUTH_PASSWORD_PEPPER), the daemon needs the same one.`
}

func (i importConvexCmd) Run(ctx context.Context, log *slog.Logger) error {
	dump, err := convexdump.Open(i.Snapshot)
	if err != nil {
		return err
	}
	defer dump.Close()
	var services convexmove.Services
	if !i.DryRun {
		db, err := i.Make(ctx, log)
		if err != nil {
			return err
		}
		pool, done, err := db.Pool(ctx)
		if err != nil {
			return err
		}
		defer done()
		services = convexmove.Services{
			Store:      timeseries.New(pool, timeseries.Options{Logger: log}),
			Auth:       auth.New(pool, auth.Options{Log: log}),
			Dashboards: dashboard.New(pool),
		}
	}
	options := convexmove.Options{DryRun: i.DryRun, TempDir: i.TempDir}
	if !i.Quiet && term.IsTerminal(int(os.Stderr.Fd())) {
		var bar *progressbar.ProgressBar
		options.Progress = func(done, total int) {
			if bar == nil {
				bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("records"),
					progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
			}
			_ = bar.Set(min(done, total))
		}
		defer func() {
			if bar != nil {
				_ = bar.Clear()
			}
		}()
	}
	report, err := convexmove.Move(ctx, dump, services, options)
	if _, writeErr := report.WriteTo(os.Stdout); writeErr != nil && err == nil {
		err = writeErr
	}
	switch {
	case err != nil:
		return fmt.Errorf("the move ended early, run it again to go on: %w", err)
	case !report.OK():
		return errors.New("not everything could be moved; see the problems above")
	}
	return nil
}
