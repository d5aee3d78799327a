package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/ecovolt/telemetryd/internal/bench"
)

type benchCmd struct {
	databaseFlags
	Suites []string `arg:"" optional:"" help:"What to measure: ingest, series, live, screens, scale. Default: everything."`
	Rows   int      `default:"100000" help:"Records of each ingest case."`

	ReplicaURL string `placeholder:"URL" help:"A streaming replica of the database, for the suite scale."`

	SeriesRecords int `default:"4500000" help:"Records of the session that series are read from."`
	SeriesOthers  int `default:"0" help:"Further sessions of that length beside it: 9 makes 45 million records of 4.5."`
}

// Run measures on a scratch database of the server, which is dropped afterwards.
func (b benchCmd) Run(ctx context.Context, log *slog.Logger) error {
	url, server, err := b.beside(ctx, log)
	if err != nil {
		return err
	}
	if server != nil {
		defer server.Stop(context.WithoutCancel(ctx))
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	options := bench.Options{
		DatabaseURL: url, Suites: b.Suites, Rows: b.Rows, SeriesRecords: b.SeriesRecords, SeriesOthers: b.SeriesOthers, ReplicaURL: b.ReplicaURL, Program: program, PGBinDir: b.PGBindir, Out: os.Stdout, Log: log,
	}
	if server != nil && options.PGBinDir == "" {
		options.PGBinDir = server.Programs().Dir
	}
	return bench.Run(ctx, options, prepare)
}
