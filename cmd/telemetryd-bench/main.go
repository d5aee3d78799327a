// Command telemetryd-bench measures telemetryd beside plain PostgreSQL. It is a
// program of its own, so that what only measures is not in what is shipped.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ecovolt/telemetryd/internal/bench"
	"github.com/ecovolt/telemetryd/internal/database"
)

type cli struct {
	database.Flags
	Suites  []string `arg:"" optional:"" help:"What to measure: ingest, costs, series, live, scale, screens. Default: everything."`
	Rows    int      `default:"100000" help:"Records of each ingest case."`
	Program string   `type:"path" placeholder:"FILE" help:"The telemetryd to measure. Default: the one beside this program."`

	ReplicaURL string `placeholder:"URL" help:"A streaming replica of the database, for the suite scale."`

	SeriesRecords int `default:"4500000" help:"Records of the session that series are read from."`
	SeriesOthers  int `default:"0" help:"Further sessions of that length beside it: 9 makes 45 million records of 4.5."`
}

// Run measures on a scratch database of the server, which is dropped afterwards.
func (c cli) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if c.Program == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Program = filepath.Join(filepath.Dir(self), "telemetryd")
	}
	db, err := c.Make(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	options := bench.Options{
		DatabaseURL: db.URL, Suites: c.Suites, Rows: c.Rows, SeriesRecords: c.SeriesRecords, SeriesOthers: c.SeriesOthers,
		ReplicaURL: c.ReplicaURL, Program: c.Program, PGBinDir: c.PGBindir, Out: os.Stdout, Log: log,
	}
	if db.Server != nil && options.PGBinDir == "" {
		options.PGBinDir = db.Server.Programs().Dir
	}
	return bench.Run(ctx, options, func(ctx context.Context, url string) error { return database.Prepare(ctx, url, nil) })
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(&cli{}, kong.Name("telemetryd-bench"), kong.DefaultEnvars("TELEMETRYD"),
		kong.Description("Measures telemetryd beside plain PostgreSQL, in one run on one server, so that its figures are ratios."))
	command.BindTo(ctx, (*context.Context)(nil))
	command.FatalIfErrorf(command.Run())
}
