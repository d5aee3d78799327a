package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

type importCmd struct {
	database.Flags
	Files        []string `arg:"" help:"CSV, NDJSON or JSON files, also .gz or .zst; '-' is standard input."`
	Format       string   `enum:",csv,ndjson,json" default:"" placeholder:"FORMAT" help:"csv, ndjson or json. Default: by the content."`
	SessionID    string   `placeholder:"ID" help:"Store all records in this session. Default: the file's session_id, or an id made from its name and content."`
	SessionName  string   `placeholder:"NAME" help:"Name of the session, for CSV files."`
	SkipExisting bool     `help:"Leave out records that are stored already, comparing row by row. For files that overlap with what was ingested."`
	Again        bool     `help:"Store a file even if it is, or seems to be, in a run already."`
	OnError      string   `enum:"abort,skip" default:"abort" help:"What a bad record does: abort stores nothing of its file, skip leaves it out."`
	DryRun       bool     `help:"Read and check everything, show what each column becomes, store nothing."`
	Quiet        bool     `short:"q" help:"No progress bar."`
	tableFlags
	bookFlags
}

// tableFlags say what a logger's file cannot tell of itself.
type tableFlags struct {
	Start       string            `placeholder:"TIME" help:"When the log began, where its times count from there. A day alone, where they are times of the day."`
	DayFirst    *bool             `negatable:"" help:"03.06.2026 is in June (--no-day-first: in March), and 24-06-03 in 2003 (in 2024)."`
	Decimal     string            `enum:",comma,point" default:"" placeholder:"SIGN" help:"Whether 1,234 is a fraction (comma) or a thousand (point); 1.234 the other way round."`
	Timezone    string            `placeholder:"ZONE" help:"Time zone of times that name none, such as Europe/Berlin. Default: UTC."`
	TimeColumn  string            `placeholder:"COLUMN" help:"Column of the times; 'Date+Time' where there are two."`
	Map         map[string]string `mapsep:"none" placeholder:"COLUMN=CHANNEL" help:"What a column becomes, with its unit where the file has none: --map 'Speed=speed_ms[km/h]'. Can be given several times."`
	Profile     string            `placeholder:"NAME" help:"Kind of file: a saved one, or ${profiles}. Default: the one with this header."`
	SaveProfile string            `placeholder:"NAME" help:"Keep what these options say, for files with the same header."`
}

func (f tableFlags) options() foreign.Options {
	return foreign.Options{
		Start: f.Start, DayFirst: f.DayFirst, Decimal: f.Decimal, Timezone: f.Timezone, TimeColumn: f.TimeColumn, Map: f.Map, Profile: f.Profile,
	}
}

// conclude keeps the profile of a table that was stored, if it is to, and prints
// what a person should know of its columns.
func (f tableFlags) conclude(ctx context.Context, store *timeseries.Store, decoder *decode.Decoder) error {
	file := decoder.File()
	if file == nil {
		return nil
	}
	if f.SaveProfile != "" {
		if err := store.SaveImportProfile(ctx, file.Profile(f.SaveProfile)); err != nil {
			return err
		}
	}
	for _, note := range file.Table().Notes() {
		fmt.Printf("  %s\n", note)
	}
	return nil
}

func (i importCmd) Run(ctx context.Context, log *slog.Logger) error {
	if _, err := (book.Entry{}).With(i.change()); err != nil {
		return err
	}
	open := i.open
	if i.DryRun {
		open = i.look
	}
	store, done, err := open(ctx, log)
	if err != nil {
		return err
	}
	defer done()
	table := i.options()
	table.Tally = i.DryRun
	if store != nil {
		if err := store.ForTables(ctx, &table); err != nil {
			return err
		}
	}
	var failed error
	for _, name := range i.Files {
		if err := i.file(ctx, store, table, name); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			describe(os.Stderr, name, err)
			failed = errors.Join(failed, fmt.Errorf("%s: not imported", name))
		}
	}
	return failed
}

func (i importCmd) open(ctx context.Context, log *slog.Logger) (*timeseries.Store, func(), error) {
	db, err := i.Make(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	pool, done, err := db.Pool(ctx)
	if err != nil {
		return nil, nil, err
	}
	return timeseries.New(pool, timeseries.Options{Logger: log}), done, nil
}

// look opens the database for a dry run, which needs none, and neither makes nor
// changes one: the store is nil where it is not there.
func (i importCmd) look(ctx context.Context, log *slog.Logger) (*timeseries.Store, func(), error) {
	if i.DatabaseURL == "" && !pgserver.Exists(i.DataDir) {
		return nil, func() {}, nil
	}
	db, err := i.Find(ctx, log)
	if err == nil {
		var pool *pgxpool.Pool
		if pool, err = pgxpool.New(ctx, db.URL); err == nil {
			bound, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			done := func() { pool.Close(); _ = db.Close(ctx) }
			store := timeseries.New(pool, timeseries.Options{Logger: log})
			if _, err = store.KnownFile(bound, nil); err == nil {
				return store, done, nil
			}
			done()
		}
	}
	log.Info("saved profiles and imported files are not looked at: the database is not there", "error", err)
	return nil, func() {}, nil
}

func (i importCmd) file(ctx context.Context, store *timeseries.Store, table foreign.Options, name string) error {
	in, err := openInput(ctx, name, i.Format, !i.Quiet)
	if err != nil {
		return err
	}
	defer in.Close()
	var id *decode.FileID
	identify := func() (err error) {
		if id == nil {
			id, err = in.identify(i.SessionName)
		}
		return err
	}
	derived, content := "", sha256.New()
	// digests tell the file once it was read, even one whose records name their run.
	digests := func() [][]byte {
		switch {
		case id != nil:
			return id.Digests()
		case in.format == decode.FormatCSV:
			return [][]byte{content.Sum(nil)}
		}
		return nil
	}
	options := decode.Options{
		Format: in.format, SkipBad: i.OnError == "skip", SessionID: i.SessionID, SessionName: i.SessionName, Table: table, Ranges: true,
		Unnamed: func() (run, name string, err error) {
			if err = identify(); err == nil && id == nil {
				err = errors.New("the records name no session: give --session-id")
			}
			if err == nil && i.DryRun {
				return "preview", i.SessionName, nil
			}
			if err == nil {
				derived, err = store.ImportedRun(ctx, id)
			}
			return derived, i.SessionName, err
		},
	}
	var source io.Reader = in
	if in.format == decode.FormatCSV {
		source = io.TeeReader(in, content)
	}
	decoder := decode.New(source, options)
	start := time.Now()
	if i.DryRun {
		if err := check(ctx, os.Stdout, name, decoder, ingest.Options{File: true, SkipBad: options.SkipBad}); err != nil || store == nil {
			return err
		}
		known, err := store.KnownFile(ctx, digests())
		if known != nil {
			fmt.Printf("  %v\n", known)
		}
		return err
	}
	repeats := ingest.RefuseRepeats
	if i.Again {
		repeats = ingest.TellRepeats
	}
	result, err := store.Writer.Import(ctx, decoder, ingest.Options{
		Source: "import", SkipBad: options.SkipBad, SkipExisting: i.SkipExisting, Repeats: repeats,
		Admit: func(context.Context) error {
			if i.SessionID == "" { // the records name their run, or the file is told already
				return nil
			}
			return identify()
		},
		Content: func() *ingest.Content {
			sums := digests()
			if sums == nil {
				return nil
			}
			return &ingest.Content{Digests: sums, Run: derived, Name: decode.RunName(name), Again: i.Again}
		},
	})
	if err != nil {
		return i.explain(err)
	}
	in.finish()
	report(os.Stdout, name, result, time.Since(start))
	if change := i.change(); !change.Empty() {
		for _, s := range result.Sessions {
			if err := editSession(ctx, store, s.ID, timeseries.SessionChange{Book: change}); err != nil {
				return fmt.Errorf("the records are stored, but not what was said of the run: %w", err)
			}
		}
	}
	return i.conclude(ctx, store, decoder)
}

// explain says what can be done about a refusal.
func (i importCmd) explain(err error) error {
	f := fault.As(err)
	switch {
	case f != nil && f.Code == "KNOWN_FILE":
		return fmt.Errorf("%w. Use --again to store it a second time, or delete the run first", err)
	case f == nil || f.Code != "REPEAT":
		return err
	}
	switch run := f.Data["of"]; {
	case run != "":
		return fmt.Errorf("%w. --session-id %v --skip-existing stores what is not there yet, --again stores all of it as a run of its own", err, run)
	case i.SkipExisting:
		return fmt.Errorf("%w. The values are others, so that --skip-existing finds no record; --again stores all of them once more", err)
	}
	return fmt.Errorf("%w. --skip-existing stores what is not there yet, --again stores all of it once more", err)
}

// check reads a file to its end and says what is in it.
func check(ctx context.Context, w io.Writer, name string, decoder *decode.Decoder, opt ingest.Options) error {
	would, err := ingest.Preview(ctx, decoder, opt)
	if err == nil {
		if file := decoder.File(); file != nil {
			fmt.Fprintf(w, "%s", file.Table())
		}
		fmt.Fprintf(w, "%s: %d good records, %d bad ones; nothing was stored\n", name, would.Inserted, would.Rejected)
		if would.SetAside > 0 {
			fmt.Fprintf(w, "  %d of the good ones would be set aside: their time cannot be right\n", would.SetAside)
		}
	}
	for _, p := range would.Odd {
		fmt.Fprintf(w, "  set aside: %s\n", p)
	}
	for _, p := range would.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
	if err == nil && would.Rejected > 0 && !opt.SkipBad {
		err = fmt.Errorf("%d bad records", would.Rejected)
	}
	return err
}

func report(w io.Writer, name string, r ingest.Result, took time.Duration) {
	rate := float64(r.Inserted) / max(took.Seconds(), 1e-3)
	fmt.Fprintf(w, "%s: stored %d records, %d were stored before", name, r.Inserted-r.SetAside, r.AlreadyStored)
	if r.SetAside > 0 {
		fmt.Fprintf(w, ", set aside %d", r.SetAside)
	}
	if r.Rejected > 0 {
		fmt.Fprintf(w, ", left out %d bad ones", r.Rejected)
	}
	fmt.Fprintf(w, " (%.1f s, %.0f records/s)\n", took.Seconds(), rate)
	for _, s := range r.Sessions {
		fmt.Fprintf(w, "  session %s: %d stored, %d before", s.ID, s.Inserted-s.SetAside, s.AlreadyStored)
		if s.SetAside > 0 {
			fmt.Fprintf(w, ", %d set aside", s.SetAside)
		}
		fmt.Fprintln(w)
		if s.Repeat != nil {
			fmt.Fprintf(w, "  session %s: %v\n", s.ID, s.Repeat)
		}
	}
	for _, p := range r.Odd {
		fmt.Fprintf(w, "  set aside: %s\n", p)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
}

// describe prints an error with all that is known of what is wrong with the input.
// A fault names what was given by REST's parameters, and a person here gave options.
func describe(w io.Writer, name string, err error) {
	var problems []fault.Problem
	if f := fault.As(err); f != nil {
		problems = f.Problems
	}
	for i, p := range problems {
		if option, ok := foreign.Option(p.Field); ok && p.Index == nil {
			problems[i].Field = option
		}
	}
	fmt.Fprintf(w, "%s: %v\n", name, err)
	for _, p := range problems[min(1, len(problems)):] { // the first one is part of the error's text
		fmt.Fprintf(w, "  %s\n", p)
	}
}
