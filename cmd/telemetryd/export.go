package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

type exportCmd struct {
	database.Flags
	Session  string   `arg:"" help:"Id of the session."`
	Output   string   `short:"o" default:"-" placeholder:"FILE" help:"File to write; '-' is standard output. A name ending in .gz or .zst is compressed."`
	Format   string   `enum:",csv,ndjson,json" default:"" placeholder:"FORMAT" help:"csv, ndjson or json. Default: by the file's name, else csv."`
	From     string   `placeholder:"TIME" help:"Records from this time on (ISO 8601)."`
	To       string   `placeholder:"TIME" help:"Records before this time (ISO 8601)."`
	SetAside bool     `help:"The records that were set aside instead, with the timestamps received."`
	Fields   []string `placeholder:"NAME" help:"Only these fields, by comma. Default: all."`

	Units unit.System `enum:",metric,si" default:"" placeholder:"SYSTEM" help:"metric (km/h, Wh, degC) or si (m/s, J, K): names then say the units. Default: as stored."`
}

func (e exportCmd) Run(ctx context.Context, log *slog.Logger) (err error) {
	query := timeseries.RecordQuery{SessionID: e.Session, Fields: e.Fields, SetAside: e.SetAside, Units: e.Units}
	if query.From, err = timeFlag("--from", e.From); err != nil {
		return err
	}
	if query.To, err = timeFlag("--to", e.To); err != nil {
		return err
	}
	store, done, err := openStore(ctx, e.Flags, log)
	if err != nil {
		return err
	}
	defer done()
	session, err := store.Session(ctx, e.Session)
	if err != nil {
		return err
	}
	if session == nil {
		return fault.NoSession(e.Session)
	}
	out, finish, err := e.create()
	if err != nil {
		return err
	}
	n, err := writeAll(ctx, store, query, e.format(), out)
	if closeErr := finish(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Wrote %d records of %s.\n", n, e.Session)
	return nil
}

// openStore opens the store of a database that is there already, and returns what
// closes it.
func openStore(ctx context.Context, flags database.Flags, log *slog.Logger) (*timeseries.Store, func(), error) {
	pool, done, err := flags.Open(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	return timeseries.New(pool, timeseries.Options{Logger: log}), done, nil
}

func timeFlag(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := record.ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func (e exportCmd) format() string {
	if e.Format != "" {
		return e.Format
	}
	name := strings.TrimSuffix(strings.TrimSuffix(e.Output, ".gz"), ".zst")
	switch {
	case strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".jsonl"):
		return "ndjson"
	case strings.HasSuffix(name, ".json"):
		return "json"
	}
	return "csv"
}

// create opens the output and returns what finishes it.
func (e exportCmd) create() (io.Writer, func() error, error) {
	file := os.Stdout
	if e.Output != "-" {
		var err error
		if file, err = os.Create(e.Output); err != nil {
			return nil, nil, err
		}
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	var out io.Writer = buffer
	var compressor io.Closer
	switch {
	case strings.HasSuffix(e.Output, ".gz"):
		z := gzip.NewWriter(buffer)
		out, compressor = z, z
	case strings.HasSuffix(e.Output, ".zst"):
		z, err := zstd.NewWriter(buffer)
		if err != nil {
			return nil, nil, err
		}
		out, compressor = z, z
	}
	return out, func() error {
		if compressor != nil {
			if err := compressor.Close(); err != nil {
				return err
			}
		}
		if err := buffer.Flush(); err != nil {
			return err
		}
		return file.Close()
	}, nil
}

func writeAll(ctx context.Context, store *timeseries.Store, query timeseries.RecordQuery, format string, out io.Writer) (n int, err error) {
	stream, err := store.Records(ctx, query)
	if err != nil {
		return 0, err
	}
	line := []byte{}
	switch format {
	case "csv":
		line = stream.CSVHeader()
	case "json":
		line = append(line, "[\n"...)
	}
	for ; stream.Next(); n++ {
		record := stream.Record()
		switch {
		case format == "csv":
			line = record.AppendCSV(line)
		case format == "json" && n > 0:
			line = record.AppendJSON(append(line, ",\n"...))
		case format == "json":
			line = record.AppendJSON(line)
		default:
			line = append(record.AppendJSON(line), '\n')
		}
		if _, err := out.Write(line); err != nil {
			return n, err
		}
		line = line[:0]
	}
	if format == "json" {
		line = append(line, "\n]\n"...)
	}
	if _, err := out.Write(line); err != nil {
		return n, err
	}
	return n, stream.Err()
}
