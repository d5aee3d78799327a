package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// channelCmd says what cars measure.
type channelCmd struct {
	List   channelListCmd   `cmd:"" help:"List what can be asked for."`
	Set    channelSetCmd    `cmd:"" help:"Declare a channel before it comes, or say what one is. What is not named stays."`
	Hide   channelHideCmd   `cmd:"" help:"Leave a channel out of lists and pickers. Its values stay."`
	Import channelImportCmd `cmd:"" help:"Declare or describe the channels of a CSV file, all or none."`
}

type channelListCmd struct {
	database.Flags
	All bool `help:"Hidden ones, too."`
}

func (c channelListCmd) Run(ctx context.Context, log *slog.Logger) error {
	return withChannels(ctx, c.Flags, log, func(r *registry.Registry) error {
		set, err := r.Current(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tUNIT\tTYPE\tKIND\tMEANING")
		for _, ch := range set.All() {
			if ch.Hidden && !c.All {
				continue
			}
			kind := ch.Kind
			if ch.Hidden {
				kind += ", hidden"
			}
			meaning := ch.Meaning
			if ch.Member != "" && ch.Member != ch.Name {
				meaning = strings.TrimPrefix(fmt.Sprintf("%s; %q in records", meaning, ch.Member), "; ")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", ch.Name, ch.Unit, ch.Type, kind, meaning)
		}
		return w.Flush()
	})
}

type channelSetCmd struct {
	database.Flags
	Name       string    `arg:"" help:"Name of the channel."`
	Type       *string   `enum:"number,text" placeholder:"TYPE" help:"What its values are: number or text. Default of a new one: number."`
	Unit       *string   `placeholder:"UNIT" help:"Unit of its values, such as degC."`
	Meaning    *string   `placeholder:"TEXT" help:"What is measured."`
	Display    *string   `placeholder:"TEXT" help:"Name on the page."`
	Alias      *[]string `placeholder:"NAME,…" help:"Further names by which it is found."`
	Section    *string   `placeholder:"TEXT" help:"Which channels it stands with in lists."`
	Decimals   *int16    `placeholder:"N" help:"Digits behind the point."`
	Low        *float64  `placeholder:"VALUE" help:"Lowest value to be expected."`
	High       *float64  `placeholder:"VALUE" help:"Highest value to be expected."`
	WarnLow    *float64  `placeholder:"VALUE" help:"Warn below it."`
	WarnHigh   *float64  `placeholder:"VALUE" help:"Warn above it."`
	AlarmLow   *float64  `placeholder:"VALUE" help:"Alarm below it."`
	AlarmHigh  *float64  `placeholder:"VALUE" help:"Alarm above it."`
	Colour     *string   `placeholder:"#RRGGBB" help:"Colour of its line."`
	Expression *string   `placeholder:"EXPR" help:"What it is made of, such as 'voltage_v * current_a'."`
	Show       bool      `help:"Show it again after it was hidden."`
}

func (c channelSetCmd) Run(ctx context.Context, log *slog.Logger) error {
	return withChannels(ctx, c.Flags, log, func(r *registry.Registry) error {
		set, err := r.Current(ctx)
		if err != nil {
			return err
		}
		var d registry.Definition
		if known, ok := set.Find(c.Name); ok {
			d = known.Definition()
		}
		change(&d.Type, c.Type)
		change(&d.Unit, c.Unit)
		change(&d.Meaning, c.Meaning)
		change(&d.Display, c.Display)
		change(&d.Aliases, c.Alias)
		change(&d.Section, c.Section)
		change(&d.Colour, c.Colour)
		change(&d.Expression, c.Expression)
		for to, from := range map[**float64]*float64{
			&d.Low: c.Low, &d.High: c.High, &d.WarnLow: c.WarnLow, &d.WarnHigh: c.WarnHigh, &d.AlarmLow: c.AlarmLow, &d.AlarmHigh: c.AlarmHigh,
		} {
			if from != nil {
				*to = from
			}
		}
		if c.Decimals != nil {
			d.Decimals = c.Decimals
		}
		d.Hidden = d.Hidden && !c.Show
		_, err = r.Put(auth.Audited(ctx, operator, auth.Event{Name: auth.ChannelChanged, Detail: map[string]any{"channel": c.Name}}), "", c.Name, d)
		return err
	})
}

func change[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type channelHideCmd struct {
	database.Flags
	Name string `arg:"" help:"Name of the channel."`
}

func (c channelHideCmd) Run(ctx context.Context, log *slog.Logger) error {
	return withChannels(ctx, c.Flags, log, func(r *registry.Registry) error {
		return r.Hide(auth.Audited(ctx, operator, auth.Event{Name: auth.ChannelHidden, Detail: map[string]any{"channel": c.Name}}), c.Name)
	})
}

type channelImportCmd struct {
	database.Flags
	File string `arg:"" help:"CSV file with a header: name, and any of type, unit, meaning, display, aliases (between semicolons), section, decimals, low, high, warn_low, warn_high, alarm_low, alarm_high, colour, expression. - is standard input."`
}

func (c channelImportCmd) Run(ctx context.Context, log *slog.Logger) error {
	in := io.ReadCloser(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		in = file
	}
	defer in.Close()
	list, lines, err := readChannels(in)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return withChannels(ctx, c.Flags, log, func(r *registry.Registry) error {
		var names []string
		for _, n := range list {
			names = append(names, n.Name)
		}
		ctx := auth.Audited(ctx, operator, auth.Event{Name: auth.ChannelChanged, Detail: map[string]any{"channels": names}})
		if err := r.PutAll(ctx, "", list, func(i int) string { return fmt.Sprintf("%s: line %d", c.File, lines[i]) }); err != nil {
			return err
		}
		fmt.Printf("%d channels.\n", len(list))
		return nil
	})
}

// readChannels reads a table of channels, and in which line each stands.
func readChannels(in io.Reader) (list []registry.Named, lines []int, err error) {
	r := csv.NewReader(in)
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("it is empty")
	}
	if err != nil {
		return nil, nil, err
	}
	for i, name := range header {
		if header[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))); slices.Contains(header[:i], header[i]) {
			return nil, nil, fmt.Errorf("line 1: the column %s stands there twice", fault.Clip(header[i]))
		}
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, lines, nil
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := r.FieldPos(0)
		var n registry.Named
		for i, cell := range cells {
			if err := setCell(&n, header[i], strings.TrimSpace(cell)); err != nil {
				return nil, nil, fmt.Errorf("line %d, column %s: %w", line, fault.Clip(header[i]), err)
			}
		}
		list, lines = append(list, n), append(lines, line)
	}
}

func setCell(n *registry.Named, column, cell string) error {
	texts := map[string]*string{
		"name": &n.Name, "type": &n.Type, "unit": &n.Unit, "meaning": &n.Meaning, "display": &n.Display, "section": &n.Section, "colour": &n.Colour, "expression": &n.Expression,
	}
	numbers := map[string]**float64{
		"low": &n.Low, "high": &n.High, "warn_low": &n.WarnLow, "warn_high": &n.WarnHigh, "alarm_low": &n.AlarmLow, "alarm_high": &n.AlarmHigh,
	}
	switch {
	case texts[column] != nil:
		*texts[column] = cell
	case cell == "" && (numbers[column] != nil || column == "aliases" || column == "decimals"):
	case numbers[column] != nil:
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", cell)
		}
		*numbers[column] = &v
	case column == "aliases":
		for alias := range strings.SplitSeq(cell, ";") {
			n.Aliases = append(n.Aliases, strings.TrimSpace(alias))
		}
	case column == "decimals":
		v, err := strconv.ParseInt(cell, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no whole number", cell)
		}
		digits := int16(v)
		n.Decimals = &digits
	default:
		return errors.New("there is no such column")
	}
	return nil
}

func withChannels(ctx context.Context, flags database.Flags, log *slog.Logger, work func(*registry.Registry) error) error {
	store, closeStore, err := openStore(ctx, flags, log)
	if err != nil {
		return err
	}
	defer closeStore()
	return work(store.Channels)
}
