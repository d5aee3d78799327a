package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
)

type mergeCmd struct {
	database.Flags
	Session string   `arg:"" help:"Id of the session that the radio sent."`
	Files   []string `arg:"" optional:"" help:"The logger's file, as for import; '-' is standard input. With --undo: batches to take back, default all."`
	Undo    bool     `help:"Take merges back."`
	Offset  signed   `placeholder:"DURATION" help:"What to add to the logger's times, such as -1h or 2.5s. Default: found by what both measured."`
	Format  string   `enum:",csv,ndjson,json" default:"" placeholder:"FORMAT" help:"csv, ndjson or json. Default: by the content."`
	OnError string   `enum:"abort,skip" default:"abort" help:"What a bad record does: abort merges nothing, skip leaves it out."`
	DryRun  bool     `help:"Find the offset and count, change nothing."`
	Quiet   bool     `short:"q" help:"No progress bar."`
	tableFlags
}

// Help is shown below the usage.
func (mergeCmd) Help() string {
	return `Fills what the radio lost from the car's own logger, and adds the channels that the radio lacks. The offset of the
two clocks is found by channels that both have. What the radio sent is never changed, and --undo takes it all back.`
}

func (c mergeCmd) Run(ctx context.Context, log *slog.Logger) (err error) {
	opt := merge.Options{Session: c.Session, SkipBad: c.OnError == "skip", DryRun: c.DryRun}
	if c.Offset != "" {
		offset, err := ingest.ParseShift("--offset", string(c.Offset))
		if err != nil {
			return err
		}
		opt.Offset = &offset
	}
	if !c.Undo && len(c.Files) != 1 {
		return fmt.Errorf("merge takes one file, not %d", len(c.Files))
	}
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	if c.Undo {
		return c.undo(ctx, store)
	}
	in, err := openInput(ctx, c.Files[0], c.Format, !c.Quiet)
	if err != nil {
		return err
	}
	defer in.Close()
	if c.Files[0] != "-" {
		opt.File = filepath.Base(c.Files[0])
	}
	table := c.options()
	if err = store.ForTables(ctx, &table); err != nil {
		return err
	}
	decoder := decode.New(in, decode.Options{Format: in.format, SkipBad: opt.SkipBad, SessionID: c.Session, Table: table})
	ctx = auth.Audited(ctx, operator, auth.Event{Name: auth.SessionMerged, Detail: map[string]any{"session": c.Session, "file": opt.File}})
	report, err := store.Merges.Merge(ctx, decoder, opt)
	if err != nil {
		describe(os.Stderr, c.Files[0], err)
		return fmt.Errorf("%s: not merged", c.Files[0])
	}
	in.finish()
	if c.DryRun {
		c.SaveProfile = ""
	}
	if err := c.conclude(ctx, store, decoder); err != nil {
		return err
	}
	writeMerge(os.Stdout, report, c.DryRun)
	return nil
}

func (c mergeCmd) undo(ctx context.Context, store *timeseries.Store) error {
	var batches []int32
	for _, text := range c.Files {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number of a batch", text)
		}
		batches = append(batches, int32(n))
	}
	ctx = auth.Audited(ctx, operator, auth.Event{Name: auth.MergeUndone, Detail: map[string]any{"session": c.Session, "batches": batches}})
	undone, err := store.Merges.Undo(ctx, c.Session, batches...)
	if err != nil {
		return err
	}
	for _, batch := range undone {
		fmt.Printf("merge %d is undone\n", batch)
	}
	return nil
}

// writeMerge says what a merge did.
func writeMerge(w io.Writer, r merge.Report, dryRun bool) {
	fmt.Fprintf(w, "offset of the logger's clock: %v", r.Offset)
	if r.Correlation != nil {
		fmt.Fprintf(w, ", by %s (correlation %.3f)", strings.Join(r.Compared, ", "), *r.Correlation)
	}
	fmt.Fprintln(w)
	if r.Drift.Abs().Milliseconds() >= 100 {
		fmt.Fprintf(w, "  the clocks drift apart by %v over what is in both\n", r.Drift)
	}
	fmt.Fprintf(w, "%d records in the file, %d of them in the run: %d of those filled, %d added\n", r.Records, r.Both, r.Filled, r.Added)
	if len(r.Channels) > 0 {
		fmt.Fprintf(w, "  the radio's records got: %s\n", strings.Join(r.Channels, ", "))
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(w, "  left out, since they count from another zero than the run's: %s\n", strings.Join(r.LeftOut, ", "))
	}
	if r.Rejected > 0 {
		fmt.Fprintf(w, "  left out: %d bad records\n", r.Rejected)
	}
	if odd := r.NoTime + r.Odd; odd > 0 {
		fmt.Fprintf(w, "  not merged: %d records without a time, %d whose time cannot be right; %d set aside, %d were before\n", r.NoTime, r.Odd, r.SetAside, odd-r.SetAside)
		for _, p := range r.Problems {
			fmt.Fprintf(w, "    %v\n", p)
		}
	}
	if r.Delivered != nil {
		fmt.Fprintf(w, "the radio delivered %.1f %%\n", *r.Delivered)
	}
	switch {
	case dryRun:
		fmt.Fprintln(w, "nothing was changed")
	case r.Already:
		fmt.Fprintf(w, "merged before, as batch %d; nothing was changed\n", r.Batch)
	case r.Batch == 0:
		fmt.Fprintln(w, "the run has all of it; nothing was changed")
	default:
		fmt.Fprintf(w, "merged as batch %d\n", r.Batch)
	}
}
