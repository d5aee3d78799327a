package api

import (
	"context"
	"io"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// uploadParams are those of every body with records.
type uploadParams struct {
	OnError  string `query:"on_error" default:"abort" enum:"abort,skip" doc:"abort: one bad record rejects all; skip: the good ones are taken, the bad ones named"`
	Encoding string `header:"Content-Encoding" doc:"gzip or zstd"`
	tableParams
}

// tableParams say what a logger's file cannot tell of itself. They have the
// names of the import command's options.
type tableParams struct {
	FileName    string   `query:"file_name" doc:"Name of the file. Records that name no run are stored in one that is called after it"`
	Start       string   `query:"start" doc:"When the log began, where its times count from there; a day alone, where they are times of the day"`
	DayFirst    string   `query:"day_first" enum:"true,false" doc:"Whether 03.06.2026 is in June, and 24-06-03 in 2003: with false the month comes first, or the year where that may be"`
	Decimal     string   `query:"decimal" enum:"comma,point" doc:"What stands before fractions, where the file does not tell: with comma 1,234 is a fraction and 1.234 a thousand"`
	Timezone    string   `query:"timezone" doc:"Time zone of times that name none, such as Europe/Berlin; UTC without it"`
	TimeColumn  string   `query:"time_column" doc:"Column of the times; Date+Time where there are two"`
	Map         []string `query:"map" doc:"What a column becomes, as in Battery Voltage=voltage_v or Speed=speed_ms [km/h]; given once for each column"`
	Profile     string   `query:"profile" doc:"Kind of file: a saved mapping or one that comes along, such as RaceChrono; the one with this header without it"`
	SaveProfile string   `query:"save_profile" doc:"Keep what these parameters say under this name, for files with the same header"`
	DryRun      string   `query:"dry_run" enum:"true,false" doc:"Read and check everything, answer what each column becomes, store nothing"`
}

func (s *server) tableOptions(r *request, p *tableParams) (foreign.Options, error) {
	opt := foreign.Options{
		Start: p.Start, Decimal: p.Decimal, Timezone: p.Timezone, TimeColumn: p.TimeColumn, Profile: p.Profile, Map: map[string]string{}, Parameters: true, Tally: p.DryRun == "true",
	}
	if p.DayFirst != "" {
		first := p.DayFirst == "true"
		opt.DayFirst = &first
	}
	for _, text := range r.QueryArray("map") { // a header may hold commas
		from, to, ok := strings.Cut(text, "=")
		if !ok {
			return opt, fault.Field("map", "%q is not of the form column=channel", fault.Clip(text))
		}
		opt.Map[from] = to
	}
	err := s.Store.ForTables(r.Request.Context(), &opt)
	return opt, err
}

// sentFile is a file that is being received.
type sentFile struct {
	id  *decode.FileID
	run string // that was made for it, where neither it nor the request names one
}

// sentFile has the request's body told by what is in it, as it is received.
func (s *server) sentFile(r *request, p *ingestParams) *sentFile {
	var unpack decode.Unpack
	if p.Encoding != "" {
		unpack = func(packed io.Reader) (io.ReadCloser, error) { return s.bodies.Decode(packed, p.Encoding) }
	}
	file := &sentFile{id: decode.NewFileID(p.SessionName, p.FileName, unpack)}
	sent := r.Request.Body
	r.Request.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(sent, file.id), sent}
	return file
}

// content is what the store is to know of the file; nil where it was not received
// whole, or cannot be read.
func (f *sentFile) content(body *httpx.Upload, p *ingestParams) *ingest.Content {
	if !body.Complete() || f.id.Close() != nil {
		return nil
	}
	return &ingest.Content{Digests: f.id.Digests(), Run: f.run, Name: decode.RunName(p.FileName), Again: p.Again == "true"}
}

// unnamed gives a run to a table that names none, once the whole file is here.
// A preview needs none.
func (s *server) unnamed(ctx context.Context, p *ingestParams, body *httpx.Upload, file *sentFile) func() (string, string, error) {
	switch {
	case p.DryRun == "true":
		return func() (string, string, error) { return "preview", "", nil }
	case file != nil:
		return func() (string, string, error) {
			if err := body.Arrived(ctx); err != nil {
				return "", "", err
			}
			if !body.Complete() {
				return "", "", fault.Field("file_name", "the file is too large to be named by its content; give session_id")
			}
			if err := file.id.Close(); err != nil {
				return "", "", fault.New(fault.Invalid, "the body cannot be read to its end: %v", err)
			}
			var err error
			file.run, err = s.Store.ImportedRun(ctx, file.id)
			return file.run, p.SessionName, err
		}
	}
	return nil
}

// preview reads an upload to its end and stores nothing.
func preview(ctx context.Context, decoder *decode.Decoder, opt ingest.Options) (ingestedAnswer, error) {
	answer := ingestedAnswer{Sessions: []ingest.SessionResult{}}
	if err := opt.Admit(ctx); err != nil {
		return answer, err
	}
	would, err := ingest.Preview(ctx, decoder, opt)
	if err != nil {
		return answer, err
	}
	answer.SetAside, answer.Rejected, answer.Problems, answer.Odd = would.SetAside, would.Rejected, would.Problems, would.Odd
	if file := decoder.File(); file != nil {
		table := file.Table()
		answer.Table = &table
	}
	return answer, nil
}

type profilesAnswer struct {
	Profiles []foreign.Profile `json:"profiles"`
}

func (s *server) importProfiles(r *request, _ *none) (profilesAnswer, error) {
	profiles, err := s.Store.ImportProfiles(r.Request.Context())
	return profilesAnswer{append([]foreign.Profile{}, profiles...)}, err
}

func (s *server) deleteImportProfile(r *request, _ *none) (none, error) {
	return none{}, s.Store.DeleteImportProfile(r.Request.Context(), r.Param("name"))
}
