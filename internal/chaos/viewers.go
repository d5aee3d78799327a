package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/live/client"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// diary is what a viewer has received, in order.
type diary struct {
	session string

	mu  sync.Mutex
	ids []string
	// lost counts records that were on a page, and on the next one were not.
	lost int
}

func (d *diary) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids)
}

func (d *diary) note(m protocol.ServerMessage) error {
	ids, err := recordIDs(m.Records)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids = append(d.ids, ids...)
	return err
}

// page notes what follows the first records now.
func (d *diary) page(settled int, ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, id := range d.ids[settled:] {
		if i >= len(ids) || ids[i] != id {
			d.lost++
		}
	}
	d.ids = append(d.ids[:settled], ids...)
}

func recordIDs(records []json.RawMessage) ([]string, error) {
	var ids []string
	for _, raw := range records {
		var row struct {
			ID string `json:"_id"`
		}
		if err := json.Unmarshal(raw, &row); err != nil {
			return nil, err
		}
		ids = append(ids, row.ID)
	}
	return ids, nil
}

// watch follows a session by one instance, on the native stream.
func (r *run) watch(ctx context.Context, n int, d *diary) {
	f := client.Follower{
		URL: "http://" + r.daemons[n%len(r.daemons)].clients.address(), Authorize: process.Authorization,
		Subscribe: protocol.ClientMessage{Session: d.session, Fields: []string{"_id"}, Snapshot: &protocol.SnapshotRequest{Records: 20_000}}, Message: d.note,
	}
	if err := f.Run(ctx); err != nil && ctx.Err() == nil {
		r.refuse("a viewer of "+d.session, err)
	}
}

// page is a viewer's query by the function contract: the records behind cursor, a
// page that grows until it is cut in two.
type page struct {
	d       *diary
	cursor  *string
	settled int // records in front of the page
	query   int
}

const (
	pageItems = 2000
	pageCut   = 400
)

// errGap ends a viewer: what it is shown cannot be trusted any more.
var errGap = errors.New("gap")

// watchPage follows a session by one instance, on the sync protocol, as a client
// of Convex with a paginated query does.
func (r *run) watchPage(ctx context.Context, n int, d *diary) {
	p := &page{d: d}
	for connection := 0; ctx.Err() == nil; connection++ {
		err := p.follow(ctx, r.daemons[n%len(r.daemons)].clients.address(), fmt.Sprintf("chaos viewer %d", n), connection)
		if errors.Is(err, errGap) && ctx.Err() == nil {
			r.refuse("a page of "+d.session, err)
			return
		}
		if retry.Pause(ctx, 200*time.Millisecond) != nil {
			return
		}
	}
}

// transition is what the server says, as far as a viewer needs it.
type transition struct {
	Type                     string
	Error                    string
	StartVersion, EndVersion version
	Modifications            []struct {
		Type    string
		QueryID int
		Value   struct {
			Page           []json.RawMessage
			IsDone         bool
			ContinueCursor string
			SplitCursor    string
		}
	}
}

type version struct {
	QuerySet, Identity int
	Ts                 string
}

// follow is one connection.
func (p *page) follow(ctx context.Context, address, session string, connection int) error {
	conn, err := dialSync(ctx, address, session, connection)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	at := version{Ts: "AAAAAAAAAAA="}
	set := 0
	modify := func(modifications ...map[string]any) error {
		set++
		return conn.WriteJSON(map[string]any{"type": "ModifyQuerySet", "baseVersion": set - 1, "newVersion": set, "modifications": modifications})
	}
	err = modify(p.add())
	for err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute)) // as the client has it
		var t transition
		if err := conn.ReadJSON(&t); err != nil {
			return err
		}
		switch t.Type {
		case "FatalError":
			return fmt.Errorf("%w: %s", errGap, t.Error)
		case "Transition":
			if t.StartVersion != at {
				return fmt.Errorf("%w: a transition from %v, behind one to %v", errGap, t.StartVersion, at)
			}
			at = t.EndVersion
		}
		for _, m := range t.Modifications {
			if m.QueryID != p.query || m.Type != "QueryUpdated" { // one that failed is run again
				continue
			}
			ids, err := recordIDs(m.Value.Page)
			if err != nil {
				return err
			}
			p.d.page(p.settled, ids)
			switch {
			case !m.Value.IsDone && len(ids) > 0:
				p.settled, p.cursor = p.settled+len(ids), &m.Value.ContinueCursor
			case len(ids) >= pageCut && m.Value.SplitCursor != "": // as the client asks, too
				p.settled, p.cursor = p.settled+len(ids)/2, &m.Value.SplitCursor
			default:
				continue
			}
			p.query++
			if err := modify(map[string]any{"type": "Remove", "queryId": p.query - 1}, p.add()); err != nil {
				return err
			}
		}
	}
	return err
}

func (p *page) add() map[string]any {
	return map[string]any{"type": "Add", "queryId": p.query, "udfPath": "telemetry:getSessionRecordsPage", "args": []any{map[string]any{
		"sessionId": p.d.session, "paginationOpts": map[string]any{"numItems": pageItems, "cursor": p.cursor, "id": p.query},
	}}}
}

// missed counts what a viewer has not seen of what is stored, or seen in another
// place.
func (d *diary) missed(stored []string) int {
	n := d.lost + max(0, len(stored)-len(d.ids))
	for i, id := range d.ids {
		if i >= len(stored) || stored[i] != id {
			n++
		}
	}
	return n
}
