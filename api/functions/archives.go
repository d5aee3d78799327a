package functions

import (
	"context"
	"encoding/json"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/archive"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// archives is the module of that name: how the historical page opens a run.
//
// The original packed finished runs into files and had none to give before
// that. Here the files are made from the stored records when they are fetched,
// so that every run that has records can be opened. While a run is driven its
// status is pending and the page shows whole parts and the newest records; the
// manifest, from which the live page fills in what it missed, is complete all
// the same. What arrives later changes the names of the files that it belongs
// to, so the next call shows it.
func archives(d Deps) []registry.Function {
	args := []registry.ObjectField{registry.Field("sessionId", registry.String()), tokenArg()}
	return []registry.Function{
		{
			Name: "archives:getSessionArchiveStatus", Kind: registry.Query, Args: registry.Object(args...),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				s, err := d.archiveState(ctx, c)
				return map[string]any{
					"complete": s.complete(), "status": s.status, "recordCount": s.records, "archivedRecordCount": s.records,
				}, err
			},
		},
		{
			Name: "archives:getSessionPreviewPlan", Kind: registry.Query, LinksHere: d.PublicURL == "",
			Args: registry.Object(args[0], registry.Optional("limit", registry.Number()), args[1]),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				s, err := d.archiveOverview(ctx, c)
				if err != nil {
					return nil, err
				}
				// The overview of a run that is complete stands for parts and tail.
				parts, tail := []any{}, json.RawMessage(noRecords)
				if s.status == "pending" {
					if parts, tail, err = d.previewParts(ctx, c, &s); err != nil {
						return nil, err
					}
				}
				return map[string]any{
					"complete": s.complete(), "status": s.status, "recordCount": s.records,
					"overviewUrl": orNull(s.overviewURL), "overviewPointCount": s.points, "stats": s.stats,
					"previewParts": parts, "tailRecords": tail,
				}, nil
			},
		},
		{
			Name: "archives:getSessionOverview", Kind: registry.Query, LinksHere: d.PublicURL == "", Args: registry.Object(args...),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				s, err := d.archiveOverview(ctx, c)
				return map[string]any{
					"available": s.overviewURL != nil, "complete": s.complete(), "status": s.status, "recordCount": s.records,
					"pointCount": s.points, "url": orNull(s.overviewURL), "stats": s.stats,
				}, err
			},
		},
		{
			Name: "archives:getSessionArchiveManifest", Kind: registry.Query, LinksHere: d.PublicURL == "", Args: registry.Object(args...),
			Run: d.getSessionArchiveManifest,
		},
	}
}

// archiveState is what the module's functions say of a session.
type archiveState struct {
	status      string
	records     int64
	overviewURL *string
	points      int
	stats       *archive.Stats
}

func (s archiveState) complete() bool { return s.status == "complete" }

// archiveState tells whether the session can be opened.
func (d Deps) archiveState(ctx context.Context, c *registry.Call) (archiveState, error) {
	ok, session, err := readable(ctx, c, d, c.Args.String("sessionId"), auth.ReadHistory)
	switch {
	case err != nil:
		return archiveState{}, err
	case !ok:
		return archiveState{status: "restricted"}, nil
	case session == nil:
		return archiveState{status: "missing"}, nil
	case session.Records == 0:
		return archiveState{status: "none"}, nil
	}
	c.Watch(schema.TopicLive)
	state, err := d.Store.LiveState(ctx)
	if err != nil {
		return archiveState{}, err
	}
	if live, until := session.Live(); live {
		c.ValidUntil(until)
	}
	return archiveState{status: session.ArchiveStatus(state), records: session.Records}, nil
}

// previewParts returns what shows a run that is being driven: the previews of
// its whole parts, and the newest of the records behind them.
func (d Deps) previewParts(ctx context.Context, c *registry.Call, s *archiveState) (parts []any, tail json.RawMessage, err error) {
	parts, tail = []any{}, noRecords
	id := c.Args.String("sessionId")
	list, err := d.Store.Archives.List(ctx, id)
	if err != nil || list == nil { // deleted meanwhile
		return parts, tail, err
	}
	s.records = list.Records
	rest := list.Records
	for _, p := range list.Parts {
		if p.Records == archive.PartRecords {
			parts = append(parts, map[string]any{"partNumber": p.Number, "url": d.archiveURL(c, p.PreviewName)})
			rest -= int64(p.Records)
		}
	}
	limit := min(c.Args.Clamp("limit", 100, 1500, 1500), int(rest))
	if limit == 0 {
		return parts, tail, nil
	}
	tail, _, err = d.Store.AllRecords(ctx, timeseries.RecordQuery{SessionID: id, Newest: true, Limit: limit, ID: recordID, Created: recordCreated}, limit)
	return parts, tail, err
}

func (d Deps) archiveOverview(ctx context.Context, c *registry.Call) (archiveState, error) {
	s, err := d.archiveState(ctx, c)
	if err != nil || !s.complete() {
		return s, err
	}
	overview, err := d.Store.Archives.Overview(ctx, c.Args.String("sessionId"))
	if err != nil || overview == nil { // deleted meanwhile; the watched topic brings us back
		return s, err
	}
	url := d.archiveURL(c, overview.Name)
	s.overviewURL, s.points, s.records, s.stats = &url, overview.Points, overview.Records, &overview.Stats
	return s, nil
}

// archivedRecordBytes estimates how large a record is in a gzip file. Clients
// only add the parts' sizes up to show how much there is to load; the true
// size would take making every file.
const archivedRecordBytes = 150

func (d Deps) getSessionArchiveManifest(ctx context.Context, c *registry.Call) (any, error) {
	s, err := d.archiveState(ctx, c)
	if err != nil {
		return nil, err
	}
	parts := []any{}
	if s.status == "pending" {
		s.status = "complete"
	}
	if s.complete() {
		list, err := d.Store.Archives.List(ctx, c.Args.String("sessionId"))
		if err != nil {
			return nil, err
		}
		if list != nil {
			s.records = list.Records
			for _, p := range list.Parts {
				parts = append(parts, map[string]any{
					"partNumber": p.Number, "recordCount": p.Records,
					"startTime": record.FormatTime(p.First), "endTime": record.FormatTime(p.Last),
					"compressedBytes": p.Records * archivedRecordBytes,
					"url":             d.archiveURL(c, p.Name), "previewUrl": d.archiveURL(c, p.PreviewName),
				})
			}
		}
	}
	return map[string]any{
		"available": len(parts) > 0, "complete": s.complete(), "status": s.status,
		"recordCount": s.records, "archivedRecordCount": s.records, "parts": parts,
	}, nil
}

// archiveURL is where the REST API serves an archive file. It has a host: pages
// of other origins fetch it.
func (d Deps) archiveURL(c *registry.Call, name string) string {
	base := d.PublicURL
	if base == "" {
		base = c.BaseURL
	}
	return base + "/api/v1/archives/" + name
}
