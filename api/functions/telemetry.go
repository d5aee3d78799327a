package functions

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// Limits of one call, from the function contract where it names them.
const (
	maxInsert     = 20_000 // records of one insertTelemetryBatch
	maxWhole      = 65_536 // records of one getSessionRecords
	maxRecent     = 10_000
	defaultRecent = 1_000
	batchPage     = 3_000
	maxPage       = 10_000
)

// The members that the function contract's records have besides what was sent.
const (
	recordID      = "_id"
	recordCreated = "_creationTime"
)

func telemetry(d Deps) []registry.Function {
	session := registry.Field("sessionId", registry.String())
	return []registry.Function{
		{
			Name: "telemetry:insertTelemetryBatch", Kind: registry.Mutation, Access: auth.Ingest,
			Args: registry.Object(registry.Field("records", registry.Raw()), tokenArg()),
			Run:  d.insertTelemetryBatch,
		},
		{
			Name: "telemetry:getSessionRecords", Kind: registry.Query, Large: true,
			Args: registry.Object(session, tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				return d.records(ctx, c, timeseries.RecordQuery{}, maxWhole)
			},
		},
		{
			Name: "telemetry:getRecentRecords", Kind: registry.Query,
			Args: registry.Object(session, registry.Optional("limit", registry.Number()), registry.Optional("sinceTimestamp", registry.String()),
				registry.Optional("bucketMs", registry.Number()), tokenArg()),
			Run: d.getRecentRecords,
		},
		{
			Name: "telemetry:getRecordsAfterTimestamp", Kind: registry.Query,
			Args: registry.Object(session, registry.Field("afterTimestamp", registry.String()), registry.Optional("limit", registry.Number()), tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				after, err := timeArg(c, "afterTimestamp")
				if err != nil {
					return nil, err
				}
				limit := c.Args.Clamp("limit", 1, batchPage, 500)
				return d.records(ctx, c, timeseries.RecordQuery{From: after.Add(time.Microsecond), Limit: limit}, limit)
			},
		},
		{
			Name: "telemetry:getSessionRecordsBatch", Kind: registry.Query,
			Args: registry.Object(session, registry.Optional("afterTimestamp", registry.String()), tokenArg()),
			Run:  d.getSessionRecordsBatch,
		},
		{
			Name: "telemetry:getSessionRecordsPage", Kind: registry.Query, Paginated: true,
			Args: registry.Object(session, registry.Field("paginationOpts", registry.Object(
				registry.Field("numItems", registry.Number()),
				registry.Field("cursor", registry.Nullable(registry.String())),
				registry.Optional("endCursor", registry.Nullable(registry.String())),
				registry.Optional("id", registry.Number()),
				registry.Optional("maximumRowsRead", registry.Number()),
				registry.Optional("maximumBytesRead", registry.Number()),
			)), tokenArg()),
			Run: d.getSessionRecordsPage,
		},
		{
			Name: "telemetry:getSessionPreviewTail", Kind: registry.Query,
			Args: registry.Object(session, registry.Optional("limit", registry.Number()), tokenArg()),
			Run:  d.getSessionPreviewTail,
		},
		{
			Name: "telemetry:getLatestRecord", Kind: registry.Query,
			Args: registry.Object(session, tokenArg()),
			Run:  d.getLatestRecord,
		},
		{
			Name: "telemetry:getLatestSessionTimestamp", Kind: registry.Query,
			Args: registry.Object(session, tokenArg()),
			Run:  d.getLatestSessionTimestamp,
		},
		{
			Name: "telemetry:deleteSession", Kind: registry.Mutation, Access: auth.DeleteSession,
			Args: registry.Object(session, tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				deleted, err := d.Store.DeleteSession(ctx, c.Args.String("sessionId"))
				if err != nil && !fault.Is(err, fault.NotFound) {
					return nil, err
				}
				return map[string]any{"deleted": deleted}, nil
			},
		},
	}
}

func (d Deps) insertTelemetryBatch(ctx context.Context, c *registry.Call) (any, error) {
	b := decode.NewBatch()
	defer b.Release()
	opt := ingest.Options{Source: "function", NoChannels: c.Principal.MakesNoChannels()}
	if err := decode.Records(c.Args.Raw("records"), b, time.Now()); err != nil {
		return nil, d.Store.Writer.Refused(opt, err)
	}
	if n := b.Len() + b.Rejected(); n > maxInsert {
		return nil, d.Store.Writer.Refused(opt, fault.New(fault.TooLarge, "the batch has %d records; at most %d are allowed in one call", n, maxInsert))
	}
	result, err := d.Store.Writer.Ingest(ctx, b, opt)
	if err != nil {
		return nil, err
	}
	return map[string]any{"inserted": result.Inserted + result.AlreadyStored}, nil
}

// noRecords is what the contract answers to who may not read.
var noRecords = json.RawMessage("[]")

// records reads up to most records, or none when the caller may not.
func (d Deps) records(ctx context.Context, c *registry.Call, q timeseries.RecordQuery, most int) (json.RawMessage, error) {
	id := c.Args.String("sessionId")
	ok, _, err := readable(ctx, c, d, id, auth.ReadRecords)
	if err != nil || !ok {
		return noRecords, err
	}
	q.SessionID, q.ID, q.Created = id, recordID, recordCreated
	records, _, err := d.Store.AllRecords(ctx, q, most)
	if fault.Is(err, fault.TooLarge) {
		err = fault.New(fault.TooLarge, "%v; read it by pages (telemetry:getSessionRecordsPage, or /api/v1/sessions/{id}/records)", err)
	}
	return records, err
}

func (d Deps) getRecentRecords(ctx context.Context, c *registry.Call) (any, error) {
	limit := c.Args.Clamp("limit", 0, maxRecent, defaultRecent)
	q := timeseries.RecordQuery{Newest: true, Limit: limit}
	if c.Args.Has("sinceTimestamp") {
		since, err := timeArg(c, "sinceTimestamp")
		if err != nil {
			return nil, err
		}
		// Strictly later at the precision of JavaScript's Date.
		q.From = since.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	if limit == 0 {
		return noRecords, nil
	}
	if c.Args.Has("bucketMs") {
		id := c.Args.String("sessionId")
		ok, _, err := readable(ctx, c, d, id, auth.ReadRecords)
		if err != nil || !ok {
			return noRecords, err
		}
		width := time.Duration(c.Args.Number("bucketMs", 0) * float64(time.Millisecond))
		records, err := d.Store.BucketedRecords(ctx, id, width, limit, q.From)
		if e := fault.As(err); e != nil && len(e.Problems) > 0 {
			err = fault.Field("bucketMs", "%s", e.Problems[0].Reason)
		}
		return json.RawMessage(records), err
	}
	return d.records(ctx, c, q, limit)
}

// getSessionRecordsBatch returns a page that never ends between records of equal
// time: the next page begins strictly after the last timestamp.
func (d Deps) getSessionRecordsBatch(ctx context.Context, c *registry.Call) (any, error) {
	q := timeseries.RecordQuery{SessionID: c.Args.String("sessionId"), ID: recordID, Created: recordCreated}
	if c.Args.Has("afterTimestamp") {
		after, err := timeArg(c, "afterTimestamp")
		if err != nil {
			return nil, err
		}
		q.From = after.Add(time.Microsecond)
	}
	ok, _, err := readable(ctx, c, d, q.SessionID, auth.ReadRecords)
	if err != nil {
		return nil, err
	}
	page := page{array: []byte{'['}}
	if ok {
		if err := page.read(ctx, d.Store, q, batchPage, d.Store.PageBytes, nil); err != nil {
			return nil, err
		}
	}
	if page.more {
		last := page.cursors[len(page.cursors)-1]
		at := last.Time()
		rest := timeseries.RecordQuery{SessionID: q.SessionID, ID: recordID, Created: recordCreated, From: at, To: at.Add(time.Microsecond), After: &last}
		if err := page.read(ctx, d.Store, rest, maxWhole, math.MaxInt, nil); err != nil {
			return nil, err
		}
		_, further, err := d.Store.AllRecords(ctx, timeseries.RecordQuery{SessionID: q.SessionID, From: at.Add(time.Microsecond), Limit: 1, Fields: []string{"timestamp"}}, 1)
		if err != nil {
			return nil, err
		}
		page.more = further > 0
	}
	var last any
	if len(page.cursors) > 0 {
		last = page.lastText
	}
	return map[string]any{"page": page.json(), "hasMore": page.more, "lastTimestamp": last}, nil
}

func (d Deps) getSessionPreviewTail(ctx context.Context, c *registry.Call) (any, error) {
	id := c.Args.String("sessionId")
	ok, session, err := readable(ctx, c, d, id, auth.ReadRecords)
	if err != nil {
		return nil, err
	}
	if !ok || session == nil {
		return map[string]any{"records": noRecords, "totalRecords": 0}, nil
	}
	limit := c.Args.Clamp("limit", 100, 1500, 1500)
	records, _, err := d.Store.AllRecords(ctx, timeseries.RecordQuery{SessionID: id, Newest: true, Limit: limit, ID: recordID, Created: recordCreated}, limit)
	if err != nil {
		return nil, err
	}
	return map[string]any{"records": json.RawMessage(records), "totalRecords": session.Records + session.SetAside}, nil
}

func (d Deps) getLatestRecord(ctx context.Context, c *registry.Call) (any, error) {
	array, err := d.records(ctx, c, timeseries.RecordQuery{Newest: true, Limit: 1}, 1)
	if err != nil || len(array) == len(noRecords) {
		return nil, err
	}
	return array[1 : len(array)-1], nil
}

func (d Deps) getLatestSessionTimestamp(ctx context.Context, c *registry.Call) (any, error) {
	id := c.Args.String("sessionId")
	ok, _, err := readable(ctx, c, d, id, auth.ReadProgress)
	if err != nil {
		return nil, err
	}
	var latest timeseries.Latest
	if ok {
		if latest, err = d.Store.Latest(ctx, id); err != nil {
			return nil, err
		}
	}
	return map[string]any{"timestamp": orNull(latest.Timestamp), "recordCount": latest.Records, "latestMessageId": orNull(latest.LatestMessageID)}, nil
}

// orNull turns an absent value into null.
func orNull[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}
