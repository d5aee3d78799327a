package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

type migrateCmd struct {
	database.Flags
	policyFlags
}

// policyFlags say what TimescaleDB's community edition does by itself.
type policyFlags struct {
	ColumnstoreAfter time.Duration `default:"48h" placeholder:"AGE" help:"Move records of that age to the columnstore; 0 never."`
	KeepRecords      time.Duration `default:"0" placeholder:"AGE" help:"Drop records of that age, such as 400d; 0 keeps them for ever."`
	KeepRollups      time.Duration `default:"0" placeholder:"AGE" help:"Drop rollups of that age; 0 keeps them for ever."`
	RefreshEvery     time.Duration `default:"0" placeholder:"PAUSE" help:"Let the database refresh the last day's rollups itself, for when no daemon runs; 0 leaves it to the daemon."`
}

func (f policyFlags) policies() *rollup.Policies {
	return &rollup.Policies{
		ColumnstoreAfter: f.ColumnstoreAfter, KeepRecords: f.KeepRecords, KeepRollups: f.KeepRollups, RefreshEvery: f.RefreshEvery,
	}
}

func (m migrateCmd) Run(ctx context.Context, log *slog.Logger) error {
	db, err := m.Make(ctx, log)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if err := database.Prepare(ctx, db.URL, m.policies()); err != nil {
		return err
	}
	fmt.Println("The database is at this version's schema.")
	return nil
}
