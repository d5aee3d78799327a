package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

type repairCmd struct {
	database.Flags
	Session string `arg:"" help:"Id of the session."`
	Shift   signed `xor:"way" required:"" placeholder:"DURATION" help:"Put the records back that much later, such as 1h30m, -90s or 9650d12h. Those without a time stay."`
	At      string `xor:"way" required:"" placeholder:"TIME" help:"Put the first record back at that time (ISO 8601). The others keep their distance; one without a time follows the one that arrived before it at the run's usual step."`
	Drop    bool   `xor:"way" required:"" help:"Remove the records."`
	All     bool   `help:"Shift what is stored as well: the clock of the whole run was wrong."`
	First   int64  `placeholder:"ID" help:"Leave out records that were set aside before this one."`
	Last    int64  `placeholder:"ID" help:"Leave out records that were set aside after this one."`
}

func (c repairCmd) Run(ctx context.Context, log *slog.Logger) (err error) {
	repair := ingest.Repair{Session: c.Session, Drop: c.Drop, All: c.All, First: c.First, Last: c.Last}
	if c.Shift != "" {
		if repair.Shift, err = ingest.ParseShift("--shift", string(c.Shift)); err != nil {
			return err
		}
	}
	if repair.At, err = timeFlag("--at", c.At); err != nil {
		return err
	}
	store, closeStore, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer closeStore()
	ctx = auth.Audited(ctx, operator, auth.Event{Name: auth.SessionRepaired, Detail: repair.Detail()})
	done, err := store.Writer.Repair(ctx, repair)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d put back, %d dropped, %d shifted; %d are still set aside.\n", done.PutBack, done.Dropped, done.Shifted, done.Left)
	return nil
}
