package functions

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// page collects records into a JSON array.
type page struct {
	array    []byte
	cursors  []record.Cursor
	lastText string // timestamp of the last record
	more     bool   // the query gave more than were wanted
}

// read adds at most most records, no further ones once the page has that many
// bytes, and none behind end; nil is no end.
func (p *page) read(ctx context.Context, store *timeseries.Store, q timeseries.RecordQuery, most, bytes int, end *record.Cursor) error {
	p.more = false
	if end != nil {
		q.To = end.Time().Add(time.Microsecond)
	}
	q.Limit = most + 1
	rs, err := store.Records(ctx, q)
	if err != nil {
		return err
	}
	for taken := 0; rs.Next(); taken++ {
		row := rs.Record()
		at := row.Cursor()
		if end != nil && compare(at, *end) > 0 {
			break
		}
		if taken == most || taken > 0 && len(p.array) >= bytes {
			p.more = true
			break
		}
		if len(p.cursors) > 0 {
			p.array = append(p.array, ',')
		}
		p.array = row.AppendJSON(p.array)
		p.cursors, p.lastText = append(p.cursors, at), row.Timestamp()
	}
	return rs.Err()
}

func compare(a, b record.Cursor) int {
	return cmp.Or(cmp.Compare(a.Micros, b.Micros), cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Ord, b.Ord))
}

func (p *page) json() json.RawMessage { return append(p.array, ']') }

// openEnd marks, behind a position, the end of a page that has none: whatever
// comes after is on it too. As the start of a page it is just the position.
const openEnd = "+"

// position reads a cursor of getSessionRecordsPage. A nil cursor is before all
// records. Clients start over when they find InvalidCursor in the message.
func position(text string) (at *record.Cursor, open bool, err error) {
	text, open = strings.CutSuffix(text, openEnd)
	if text == "" {
		return nil, open, nil
	}
	c, err := record.ParseCursor(text)
	if err != nil {
		return nil, false, &fault.Error{Kind: fault.Invalid, Message: "InvalidCursor: not a cursor that this server gave out", Err: err}
	}
	return &c, open, nil
}

// splitFrom is how many records a page has that is worth two: as many as the
// dashboards are sent anew with each batch. Each page is a query of its own; in
// pages of ten, ten minutes of a drive would be more than a socket may watch.
const splitFrom = 500

// getSessionRecordsPage returns one page of a session's records, from behind
// cursor. Its first run takes numItems records. That fixes its end: from then on
// (Call.Journal), or from the start with an endCursor, it is all the records up
// to there, so that a record which comes late is on the page where it belongs
// and the pages have no gap between them. The last page has no end and grows.
// Clients cut a page in two that has twice the records they began with, if it has
// a splitCursor; one that has grown beyond what is given at once is cut short and
// says that they must.
func (d Deps) getSessionRecordsPage(ctx context.Context, c *registry.Call) (any, error) {
	opts, id := c.Args.Object("paginationOpts"), c.Args.String("sessionId")
	cursor := opts.String("cursor")
	start, _, err := position(cursor)
	if err != nil {
		return nil, err
	}
	ends := cmp.Or(opts.String("endCursor"), c.Journal)
	end, open, err := position(ends)
	if err != nil {
		return nil, err
	}
	if open {
		end = nil
	}
	ok, _, err := readable(ctx, c, d, id, auth.ReadRecords)
	if err != nil {
		return nil, err
	}
	if !ok {
		return map[string]any{"page": noRecords, "isDone": true, "continueCursor": cursor}, nil
	}
	most := maxPage
	if ends == "" {
		most = opts.Clamp("numItems", 1, maxPage, maxPage)
	}
	p := page{array: []byte{'['}}
	q := timeseries.RecordQuery{SessionID: id, ID: recordID, Created: recordCreated, After: start}
	if err := p.read(ctx, d.Store, q, most, d.Store.PageBytes, end); err != nil {
		return nil, err
	}
	answer := map[string]any{}
	switch n := len(p.cursors); {
	case ends != "":
		if p.more {
			answer["pageStatus"] = "SplitRequired"
		}
	case p.more:
		ends = p.cursors[n-1].String()
	case n > 0:
		ends, open = p.cursors[n-1].String()+openEnd, true
	case start != nil:
		ends, open = strings.TrimSuffix(cursor, openEnd)+openEnd, true
	default: // nothing at all yet: the first records decide
		open = true
	}
	if n := len(p.cursors); n > splitFrom || n > 1 && answer["pageStatus"] != nil {
		answer["splitCursor"] = p.cursors[n/2-1].String()
	}
	c.Journal = ends
	answer["page"], answer["isDone"], answer["continueCursor"] = p.json(), open && !p.more, ends
	return answer, nil
}
