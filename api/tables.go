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

// tableParams say what a logger's file cannot tell of itself. They have the
// names of the import command's options.
type tableParams struct {
	FileName    string   `query:"file_name" doc:"Name of the file. Records that name no run are stored in one that is called after it"`
	Start       string   `query:"start" doc:"When the log began, where its times count from there; a day alone, where they are times of the day"`
	DayFirst    string   `query:"day_first" enum:"true,false" doc:"Whether 03.06.2026 is in June"`
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
		Start: p.Start, Decimal: p.Decimal, Timezone: p.Timezone, TimeColumn: p.TimeColumn, Profile: p.Profile, Map: map[string]string{}, Tally: p.DryRun == "true",
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
	var err error
	opt.Profiles, err = s.Store.ImportProfiles(r.Request.Context())
	return opt, err
}

// unnamed gives a run to a table that names none, once the whole file is here.
// A preview needs none.
func (s *server) unnamed(ctx context.Context, p *ingestParams, body *httpx.Upload, id *decode.FileID, derived *string) func() (string, string, error) {
	switch {
	case id != nil:
		return func() (string, string, error) {
			if err := body.Arrived(ctx); err != nil {
				return "", "", err
			}
			if !body.Complete() {
				return "", "", fault.Field("file_name", "the file is too large to be named by its content; give session_id")
			}
			var err error
			*derived, err = s.Store.ImportedRun(ctx, id.Content(), id.String())
			return *derived, p.SessionName, err
		}
	case p.DryRun == "true":
		return func() (string, string, error) { return "preview", "", nil }
	}
	return nil
}

// keepImport names the run of a file, and keeps what was said of it.
func (s *server) keepImport(ctx context.Context, file *foreign.Reader, p *ingestParams, id *decode.FileID, derived string) error {
	if derived != "" {
		if err := s.Store.NoteImport(ctx, derived, decode.RunName(p.FileName), id.Content()); err != nil {
			return err
		}
	}
	if p.SaveProfile == "" {
		return nil
	}
	return s.Store.SaveImportProfile(ctx, file.Profile(p.SaveProfile))
}

// preview reads an upload to its end and stores nothing.
func preview(ctx context.Context, decoder *decode.Decoder, admit func(context.Context) error) (ingestedAnswer, error) {
	answer := ingestedAnswer{Sessions: []ingest.SessionResult{}}
	if err := admit(ctx); err != nil {
		return answer, err
	}
	b := decode.NewBatch()
	defer b.Release()
	for err := error(nil); err != io.EOF; {
		if err = ctx.Err(); err == nil {
			err = decoder.Next(b, ingest.ChunkRecords)
		}
		if err != nil && err != io.EOF {
			return answer, err
		}
		answer.Rejected += b.Rejected()
		answer.Problems = append(answer.Problems, b.Problems()...)
		answer.Problems = answer.Problems[:min(len(answer.Problems), 100)]
		b.Reset()
	}
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
