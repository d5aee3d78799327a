package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/ecovolt/telemetryd/api/mirror"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
)

func (s *server) mergeRoutes() []route {
	return []route{
		rest.Stream("POST", "/api/v1/sessions/:id/merges", auth.EditSession,
			"Merge the file of the car's own logger into a run: it fills what the radio lost, and adds the channels that the radio lacks. The offset of the two clocks is found by what both measured; a file that does not fit is refused.", s.merge,
			rest.Takes(rest.JSONOf[[]mirror.Record](), rest.Plain("application/x-ndjson"), rest.Plain("text/csv")),
			rest.Returns[mergedAnswer]("What was merged, or with dry_run would be"), rest.FailsWith(fault.Unsupported, fault.NotFound, fault.Conflict), rest.Unhurried),
		rest.JSON("GET", "/api/v1/sessions/:id/merges", auth.ReadHistory, "List what was merged into a run, the oldest first.", s.listMerges),
		rest.JSON("DELETE", "/api/v1/sessions/:id/merges/:batch", auth.EditSession, "Take a merge back: the run is then what it was.", s.undoMerge,
			rest.FailsWith(fault.NotFound, fault.Conflict), rest.Unhurried),
		rest.JSON("GET", "/api/v1/sessions/:id/origins", auth.ReadSeries, "Count a run's records by where they came from, in columns of time.", s.origins),
	}
}

type mergeParams struct {
	Offset string `query:"offset" doc:"What to add to the logger's times, such as -1h or 2.5s; found by what both measured without it"`
	uploadParams
}

// mergeView is a merge as REST shows it.
type mergeView struct {
	Batch       int32           `json:"batch"`
	OffsetS     float64         `json:"offset_s"`
	Correlation *float64        `json:"correlation"`
	Compared    []string        `json:"compared"`
	DriftS      float64         `json:"drift_s"`
	Records     int             `json:"records"`
	NoTime      int             `json:"no_time"`
	Odd         int             `json:"odd"`
	Problems    []fault.Problem `json:"problems"`
	SetAside    int             `json:"set_aside"`
	Rejected    int             `json:"rejected"`
	Both        int             `json:"both"`
	Filled      int             `json:"filled"`
	Added       int             `json:"added"`
	Channels    []string        `json:"channels"`
	LeftOut     []string        `json:"left_out"`
	Delivered   *float64        `json:"delivered_pct"`
}

func viewMerge(r merge.Report) mergeView {
	return mergeView{
		Batch: r.Batch, OffsetS: r.Offset.Seconds(), Correlation: r.Correlation, Compared: append([]string{}, r.Compared...), DriftS: r.Drift.Seconds(),
		Records: r.Records, NoTime: r.NoTime, Odd: r.Odd, Problems: append([]fault.Problem{}, r.Problems...), SetAside: r.SetAside, Rejected: r.Rejected, Both: r.Both, Filled: r.Filled, Added: r.Added,
		Channels: append([]string{}, r.Channels...), LeftOut: append([]string{}, r.LeftOut...), Delivered: r.Delivered,
	}
}

type mergedAnswer struct {
	Already bool      `json:"already_merged"`
	Merge   mergeView `json:"merge"`
	// Table is what becomes of the file's columns.
	Table *foreign.Table `json:"table,omitempty"`
}

func (s *server) merge(r *request, p *mergeParams) error {
	opt := merge.Options{Session: r.Param("id"), File: p.FileName, SkipBad: p.OnError == "skip", DryRun: p.DryRun == "true"}
	if p.Offset != "" {
		offset, err := ingest.ParseShift("offset", p.Offset)
		if err != nil {
			return err
		}
		opt.Offset = &offset
	}
	if p.SaveProfile != "" { // it decides what becomes of everybody's files
		if d := auth.Allow(r.Principal, auth.Ingest, auth.SessionAge{}); !d.Allowed {
			return d.Err
		}
	}
	reading, _, err := ingestOptions(&ingestParams{uploadParams: p.uploadParams, SessionID: opt.Session}, r.GetHeader("Content-Type"))
	if err != nil {
		return err
	}
	if reading.Format == decode.FormatCSV {
		if reading.Table, err = s.tableOptions(r, &p.tableParams); err != nil {
			return err
		}
	}
	body, err := s.bodies.Receive(r.Writer, r.Request)
	if err != nil {
		return err
	}
	defer body.Close()
	ctx := r.Request.Context()
	if err := body.Arrived(ctx); err != nil {
		return err
	}
	leave, err := s.admission.Enter(ctx, weight(body))
	if err != nil {
		return err
	}
	defer leave()
	decoder := decode.New(body, reading)
	report, err := s.Store.Merges.Merge(r.Audited(auth.SessionMerged, map[string]any{"session": opt.Session, "file": opt.File}), decoder, opt)
	if err != nil {
		return err
	}
	answer := mergedAnswer{Already: report.Already, Merge: viewMerge(report)}
	if file := decoder.File(); file != nil {
		table := file.Table()
		answer.Table = &table
		if p.SaveProfile != "" && !opt.DryRun {
			if err := s.Store.SaveImportProfile(ctx, file.Profile(p.SaveProfile)); err != nil {
				return err
			}
		}
	}
	return r.Answer(http.StatusOK, answer)
}

type doneMergeView struct {
	File     string    `json:"file"`
	MergedAt time.Time `json:"merged_at"`
	UndoneBy *int32    `json:"undone_by"`
	mergeView
}

type mergesAnswer struct {
	Merges []doneMergeView `json:"merges"`
}

func (s *server) listMerges(r *request, _ *none) (out mergesAnswer, err error) {
	list, err := s.Store.Merges.List(r.Request.Context(), r.Session.ID)
	out.Merges = make([]doneMergeView, len(list))
	for i, d := range list {
		out.Merges[i] = doneMergeView{d.File, d.MergedAt.UTC(), d.UndoneBy, viewMerge(d.Report)}
	}
	return out, err
}

type undoneAnswer struct {
	Undone []int32 `json:"undone"`
}

func (s *server) undoMerge(r *request, _ *none) (undoneAnswer, error) {
	batch, err := strconv.ParseInt(r.Param("batch"), 10, 32)
	if err != nil {
		return undoneAnswer{}, fault.New(fault.NotFound, "there is no merge %q", fault.Clip(r.Param("batch")))
	}
	ctx := r.Audited(auth.MergeUndone, map[string]any{"session": r.Param("id"), "batches": []int64{batch}})
	undone, err := s.Store.Merges.Undo(ctx, r.Param("id"), int32(batch))
	return undoneAnswer{undone}, err
}

type originsParams struct {
	Points int `query:"points" default:"200" minimum:"1" maximum:"5000" doc:"Columns of time"`
}

func (s *server) origins(r *request, p *originsParams) (merge.Origins, error) {
	return s.Store.Merges.Origins(r.Request.Context(), r.Session.ID, p.Points)
}
