package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/note"
)

// runCmd is the run book: what people know of runs.
type runCmd struct {
	List   runListCmd   `cmd:"" help:"List runs by what the book says of them."`
	Show   runShowCmd   `cmd:"" help:"Show what the book says of a run, and what it may still spend of its plan."`
	Set    runSetCmd    `cmd:"" help:"Name a run, or say who drove, with what, on what. What is not named stays, and an empty text is taken out."`
	Notes  runNotesCmd  `cmd:"" help:"List what is noted of a run, by people and by the server."`
	Note   runNoteCmd   `cmd:"" help:"Note something on a moment, a stretch or the whole of a run."`
	Season runSeasonCmd `cmd:"" help:"Compare a figure of runs by what the book says: mean, spread and number of runs."`
}

// bookFlags say what people know of a run.
type bookFlags struct {
	Driver  *string           `placeholder:"TEXT" help:"Who drove."`
	Car     *string           `placeholder:"TEXT" help:"Which car."`
	Setup   *string           `placeholder:"TEXT" help:"How the car was set up."`
	Tyres   *string           `placeholder:"TEXT" help:"Which tyres."`
	Weather *string           `placeholder:"TEXT" help:"What the weather was like."`
	Tag     *[]string         `placeholder:"WORD,…" help:"Words that the run can be found by; they take the place of those that it has."`
	Field   map[string]string `mapsep:"none" placeholder:"NAME=TEXT" help:"A field of one's own, such as --field ballast_kg=4. Can be given several times."`
	Plan    planFlags         `embed:"" prefix:"plan-"`
}

// planFlags say what a run may use, and how far it is to go.
type planFlags struct {
	Energy   *float64       `placeholder:"WH" help:"How much it may use, in Wh; 0 takes it out, as of the other --plan flags."`
	Laps     *int32         `placeholder:"N" help:"How many laps it is to drive."`
	Distance *float64       `placeholder:"KM" help:"How far it is to go, in km."`
	Time     *time.Duration `placeholder:"DURATION" help:"How long it may take, such as 39m."`
}

func (f planFlags) change() book.PlanChange {
	change := book.PlanChange{Energy: f.Energy, Laps: f.Laps, Distance: f.Distance}
	if f.Time != nil {
		seconds := f.Time.Seconds()
		change.Time = &seconds
	}
	return change
}

func (f bookFlags) change() book.Change {
	return book.Change{PlanChange: f.Plan.change(), Driver: f.Driver, Car: f.Car, Setup: f.Setup, Tyres: f.Tyres, Weather: f.Weather, Tags: f.Tag, Fields: f.Field}
}

func editSession(ctx context.Context, store *timeseries.Store, id string, change timeseries.SessionChange) error {
	ctx = auth.Audited(ctx, operator, auth.Event{Name: auth.SessionEdited, Detail: map[string]any{"session": id, "changed": change.Names()}})
	_, err := store.EditSession(ctx, id, change)
	return err
}

type runSetCmd struct {
	database.Flags
	Session string  `arg:"" help:"Id of the run."`
	Name    *string `placeholder:"TEXT" help:"Name of the run, which later uploads leave alone."`
	bookFlags
}

func (c runSetCmd) Run(ctx context.Context, log *slog.Logger) error {
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	return editSession(ctx, store, c.Session, timeseries.SessionChange{Name: c.Name, Book: c.change()})
}

type runShowCmd struct {
	database.Flags
	Session string `arg:"" help:"Id of the run."`
}

func (c runShowCmd) Run(ctx context.Context, log *slog.Logger) error {
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	run, err := store.SessionWithFigures(ctx, c.Session)
	if err == nil && run == nil {
		err = fault.NoSession(c.Session)
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	line := func(name string, value *string) {
		if value != nil {
			fmt.Fprintf(w, "%s\t%s\n", printable(name), printable(*value))
		}
	}
	line("name", run.Name)
	line("driver", run.Book.Driver)
	line("car", run.Book.Car)
	line("setup", run.Book.Setup)
	line("tyres", run.Book.Tyres)
	line("weather", run.Book.Weather)
	if tags := strings.Join(run.Book.Tags, ", "); tags != "" {
		line("tags", &tags)
	}
	for _, name := range slices.Sorted(maps.Keys(run.Book.Fields)) {
		value := run.Book.Fields[name]
		line(name, &value)
	}
	outlook, err := store.Pace.Read(ctx, c.Session)
	if err != nil {
		return err
	}
	for _, said := range outlook.InWords() {
		line(said[0], &said[1])
	}
	return w.Flush()
}

type runNotesCmd struct {
	database.Flags
	Session string   `arg:"" help:"Id of the run."`
	Kind    []string `placeholder:"KIND,…" enum:"note,notification,stop,gap,clock_step,set_aside,outlier" help:"Only these: note, notification, stop, gap, clock_step, set_aside, outlier."`
}

func (c runNotesCmd) Run(ctx context.Context, log *slog.Logger) error {
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	list, err := store.RunNotes(ctx, c.Session, c.Kind)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\tKIND\tNOTE\tBY")
	moment := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format("2006-01-02 15:04:05.000")
	}
	for _, n := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", moment(n.From), moment(n.To), n.Kind, printable(n.Text), printable(deref(n.Author)))
	}
	return w.Flush()
}

type runNoteCmd struct {
	database.Flags
	Session string `arg:"" help:"Id of the run."`
	Text    string `arg:"" help:"What there is to note."`
	At      string `placeholder:"TIME" help:"The moment, or where the stretch begins (ISO 8601). Default: the whole run."`
	To      string `placeholder:"TIME" help:"Where the stretch ends (ISO 8601)."`
}

func (c runNoteCmd) Run(ctx context.Context, log *slog.Logger) error {
	content := note.Content{Text: c.Text}
	for _, t := range []struct {
		name, text string
		to         **time.Time
	}{{"--at", c.At, &content.From}, {"--to", c.To, &content.To}} {
		at, err := timeFlag(t.name, t.text)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			*t.to = &at
		}
	}
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	ctx = auth.Audited(ctx, operator, auth.Event{Name: auth.NoteChanged, Detail: map[string]any{"session": c.Session, "what": "added"}})
	added, err := store.Notes.Add(ctx, c.Session, note.Author{Name: operator.Key.Name}, content)
	if f := fault.As(err); f != nil && f.Problems != nil && f.Problems[0].Field == "from" {
		f.Problems[0].Field, err = "--at", f
	}
	if err == nil {
		fmt.Printf("noted on %s: %s\n", added.When(), printable(added.Text))
	}
	return err
}

// filterFlags narrow a list of runs.
type filterFlags struct {
	Day      string            `placeholder:"DAY" help:"Runs that began on that day: today, yesterday, or 2026-03-21."`
	Timezone string            `default:"Local" placeholder:"ZONE" help:"Time zone of days. Default: this machine's."`
	Driver   string            `placeholder:"TEXT" help:"Runs of this driver."`
	Car      string            `placeholder:"TEXT" help:"Runs of this car."`
	Setup    string            `placeholder:"TEXT" help:"Runs with this setup."`
	Tyres    string            `placeholder:"TEXT" help:"Runs on these tyres."`
	Weather  string            `placeholder:"TEXT" help:"Runs in this weather."`
	Tag      string            `placeholder:"WORD" help:"Runs with this tag."`
	Field    map[string]string `mapsep:"none" placeholder:"NAME=TEXT" help:"Runs with this field of one's own."`
}

func (f filterFlags) filter(words []string) (filter timeseries.SessionFilter, zone *time.Location, err error) {
	if zone, err = time.LoadLocation(f.Timezone); err != nil {
		return filter, nil, fmt.Errorf("--timezone: %q is no time zone such as Europe/Berlin", f.Timezone)
	}
	// As on the page, today and yesterday among the words are days.
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		day := strings.ToLower(word)
		if f.Day != "" || day != "today" && day != "yesterday" {
			return false
		}
		f.Day = day
		return true
	})
	filter.Book = book.Filter{Driver: f.Driver, Car: f.Car, Setup: f.Setup, Tyres: f.Tyres, Weather: f.Weather, Tag: f.Tag, Fields: f.Field, Words: words}
	if f.Day != "" {
		filter.StartedAfter, filter.StartedBefore, err = book.Day(f.Day, time.Now(), zone)
	}
	return filter, zone, err
}

type runListCmd struct {
	database.Flags
	Words []string `arg:"" optional:"" help:"Words that must all stand in a run's name, its id or its book; today and yesterday are days."`
	Sort  string   `placeholder:"WHAT" help:"What to sort by, such as efficiency_km_kwh, driver or name. Default: start, newest first."`
	Back  bool     `help:"Sort the other way round."`
	Limit int      `default:"100" help:"Most runs to list."`
	filterFlags
}

// order is what the list is sorted by. The newest come first unless turned round.
func (c runListCmd) order() string {
	if !c.Back {
		return c.Sort
	}
	plain, back := strings.CutPrefix(cmp.Or(c.Sort, "-start"), "-")
	if back {
		return plain
	}
	return "-" + plain
}

func (c runListCmd) Run(ctx context.Context, log *slog.Logger) error {
	filter, zone, err := c.filter(c.Words)
	if err != nil {
		return err
	}
	filter.Limit, filter.Sort = max(c.Limit, 1), c.order()
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	list, err := store.Sessions(ctx, filter)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSTARTED\tkm\tWh\tkm/kWh\tDRIVER\tCAR\tTYRES\tWEATHER\tTAGS")
	for _, s := range list {
		cells := []string{s.ID, deref(s.Name), s.Start.In(zone).Format("2006-01-02 15:04"), number(s.Totals.Distance, 2), number(s.Totals.Energy, 1), number(s.Totals.Efficiency, 1),
			deref(s.Book.Driver), deref(s.Book.Car), deref(s.Book.Tyres), deref(s.Book.Weather), strings.Join(s.Book.Tags, ", ")}
		for i := range cells {
			cells[i] = printable(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

type runSeasonCmd struct {
	database.Flags
	Figure string `default:"efficiency_km_kwh" enum:"efficiency_km_kwh,distance_km,energy_wh,avg_speed_kmh,duration_s" help:"efficiency_km_kwh, distance_km, energy_wh, avg_speed_kmh or duration_s."`
	By     string `default:"driver" help:"What to group runs by: day, driver, car, setup, tyres, weather, tag, or a field of one's own as field:NAME."`
	filterFlags
}

func (c runSeasonCmd) Run(ctx context.Context, log *slog.Logger) error {
	filter, zone, err := c.filter(nil)
	if err != nil {
		return err
	}
	store, done, err := openStore(ctx, c.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	season, err := store.Season(ctx, filter, c.Figure, c.By, zone)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tRUNS\tMEAN\tSPREAD\tLOWEST\tMEDIAN\tHIGHEST\t(%s)\n", strings.ToUpper(printable(c.By)), c.Figure)
	for _, g := range season.Groups {
		name := "-"
		if g.Value != nil {
			name = printable(*g.Value)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t\n", name, len(g.Points), number(&g.Mean, 2), number(g.Spread, 2), number(&g.Low, 2), number(&g.Median, 2), number(&g.High, 2))
	}
	return w.Flush()
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func number(v *float64, digits int) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}
