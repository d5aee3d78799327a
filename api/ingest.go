package api

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/api/mirror"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/ingest/repeat"
)

func (s *server) ingestRoutes() []route {
	return []route{rest.Stream("POST", "/api/v1/telemetry", auth.Ingest,
		"Store records. An upload is stored whole or not at all, and one that comes again is recognised and answered, not stored. A table (text/csv) may come from any logger; what it cannot tell of itself is asked for by the name of the parameter.", s.ingest,
		rest.Takes(rest.JSONOf[[]mirror.Record](), rest.Plain("application/x-ndjson"), rest.Plain("text/csv")),
		rest.Returns[ingestedAnswer]("How many records were stored"), rest.FailsWith(fault.Unsupported, fault.Conflict), rest.Unhurried),
		rest.JSON("GET", "/api/v1/import-profiles", auth.Ingest, "Saved mappings of loggers' files, by name.", s.importProfiles),
		rest.JSON("DELETE", "/api/v1/import-profiles/:name", auth.Ingest, "Forget a saved mapping.", s.deleteImportProfile, rest.FailsWith(fault.NotFound)),
	}
}

type ingestParams struct {
	SessionID   string `query:"session_id" doc:"Store all records in this run"`
	SessionName string `query:"session_name" doc:"Name of the run, for CSV"`
	Again       string `query:"again" enum:"true,false" doc:"Store a file that is in a run already, as other records than these parameters make of it"`
	Key         string `header:"Idempotency-Key" doc:"Your own name for the upload, at most 255 bytes. An upload that comes again under it stores nothing, not even what was deleted meanwhile while a run of it is left"`
	uploadParams
}

// ingestedAnswer is what an upload is answered with.
type ingestedAnswer struct {
	Inserted      int                    `json:"inserted"`
	AlreadyStored int                    `json:"already_stored"`
	Rejected      int                    `json:"rejected"`
	SetAside      int                    `json:"set_aside"`
	Sessions      []ingest.SessionResult `json:"sessions"`
	Problems      []fault.Problem        `json:"problems,omitempty"`
	Odd           []fault.Problem        `json:"odd,omitempty"`
	Notes         []string               `json:"notes,omitempty"` // what a person should know of what was stored
	Table         *foreign.Table         `json:"table,omitempty"` // what becomes of its columns; with dry_run
}

func (s *server) ingest(r *request, p *ingestParams) error {
	opt, upload, err := ingestOptions(p, r.GetHeader("Content-Type"))
	if err != nil {
		return err
	}
	upload.NoChannels = r.Principal.MakesNoChannels()
	leave := func() {}
	defer func() { leave() }()
	var file *sentFile
	if p.FileName != "" && opt.Format == decode.FormatCSV {
		file = s.sentFile(r, p)
		defer file.id.Close()
	}
	body, err := s.bodies.Receive(r.Writer, r.Request)
	if err != nil {
		return err
	}
	defer body.Close()
	if opt.Format == decode.FormatCSV {
		if opt.Table, err = s.tableOptions(r, &p.tableParams); err != nil {
			return err
		}
		opt.Unnamed = s.unnamed(r.Request.Context(), p, body, file)
	}
	if file != nil {
		upload.Content = func() *ingest.Content { return file.content(body, p) }
	}
	upload.Admit = func(ctx context.Context) error {
		if err := body.Arrived(ctx); err != nil {
			return err
		}
		left, err := s.admission.Enter(ctx, weight(body))
		if err == nil {
			leave = left
		}
		return err
	}
	decoder := decode.New(body, opt)
	if p.DryRun == "true" {
		answer, err := preview(r.Request.Context(), decoder, upload)
		if err == nil && upload.Content != nil {
			if c := upload.Content(); c != nil {
				var known *repeat.Known
				if known, err = s.Store.KnownFile(r.Request.Context(), c.Digests); known != nil {
					answer.Notes = []string{known.String()}
				}
			}
		}
		if err != nil {
			return err
		}
		return r.Answer(http.StatusOK, answer)
	}
	result, err := s.Store.Writer.IngestStream(r.Request.Context(), decoder, upload)
	if f := fault.As(err); f != nil && f.Code == "KNOWN_FILE" {
		return r.Answer(http.StatusOK, ingestedAnswer{
			Sessions: []ingest.SessionResult{{ID: f.Data["session_id"].(string)}},
			Notes:    []string{f.Message + ". Use again=true to store it a second time, or delete the run first"},
		})
	}
	if err != nil {
		return err
	}
	answer := ingestedAnswer{
		Inserted: result.Inserted, SetAside: result.SetAside, AlreadyStored: result.AlreadyStored, Rejected: result.Rejected,
		Sessions: result.Sessions, Problems: result.Problems, Odd: result.Odd,
	}
	if answer.Sessions == nil {
		answer.Sessions = []ingest.SessionResult{}
	}
	for _, session := range result.Sessions {
		if session.Repeat != nil {
			answer.Notes = append(answer.Notes, fmt.Sprintf("session %s: %v", session.ID, session.Repeat))
		}
	}
	if table := decoder.File(); table != nil {
		answer.Notes = append(answer.Notes, table.Table().Notes()...)
		if p.SaveProfile != "" {
			if err := s.Store.SaveImportProfile(r.Request.Context(), table.Profile(p.SaveProfile)); err != nil {
				return err
			}
		}
	}
	return r.Answer(http.StatusOK, answer)
}

func ingestOptions(p *ingestParams, kind string) (decode.Options, ingest.Options, error) {
	skip := p.OnError == "skip"
	opt := decode.Options{SessionID: p.SessionID, SessionName: p.SessionName, SkipBad: skip}
	upload := ingest.Options{Source: "rest", IdempotencyKey: p.Key, SkipBad: skip, Repeats: ingest.TellRepeats}
	if len(p.Key) > 255 {
		return opt, upload, fault.Field("Idempotency-Key", "is longer than 255 bytes")
	}
	if !utf8.ValidString(p.Key) {
		return opt, upload, fault.Field("Idempotency-Key", "is not valid UTF-8")
	}
	media, _, err := mime.ParseMediaType(kind)
	if err != nil && kind != "" {
		return opt, upload, fault.New(fault.Unsupported, "the Content-Type cannot be read")
	}
	switch media {
	case "", "application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		opt.Format = decode.FormatJSON
	case "text/csv", "application/csv":
		opt.Format, upload.File = decode.FormatCSV, true
	default:
		return opt, upload, fault.New(fault.Unsupported, "the Content-Type must be application/json, application/x-ndjson or text/csv")
	}
	return opt, upload, nil
}

const (
	// chunkMemory is about what the largest chunks of one upload take while one
	// of them is stored and the next one is decoded.
	chunkMemory = 24 << 20
	// ingestMemory bounds that for all uploads together.
	ingestMemory = 4 * chunkMemory
	// expansion is how many times larger than its text a record may be in memory.
	expansion = 16
)

// weight is about how much memory storing a body takes.
func weight(body *httpx.Upload) int64 {
	if size := body.Size(); size >= 0 {
		return min(chunkMemory, size*expansion)
	}
	return chunkMemory
}
