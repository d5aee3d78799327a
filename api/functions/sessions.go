package functions

import (
	"context"
	"math"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

func sessions(d Deps) []registry.Function {
	return []registry.Function{
		{
			Name: "sessions:listSessions", Kind: registry.Query,
			Args: registry.Object(tokenArg()),
			Run:  d.listSessions,
		},
		{
			Name: "sessions:deleteSession", Kind: registry.Mutation, Access: auth.DeleteSession,
			Args: registry.Object(registry.Field("sessionId", registry.String()), tokenArg()),
			Run: func(ctx context.Context, c *registry.Call) (any, error) {
				_, err := d.Store.DeleteEndedSession(ctx, c.Args.String("sessionId"))
				if err != nil && !fault.Is(err, fault.NotFound) {
					return nil, err
				}
				return map[string]any{"deleted": err == nil, "cleanupScheduled": true}, nil
			},
		},
	}
}

// listSessions never throws: clients retry on a throw, and show error otherwise.
func (d Deps) listSessions(ctx context.Context, c *registry.Call) (any, error) {
	watchCaller(c)
	decision := auth.Allow(c.Principal, auth.ListSessions, auth.SessionAge{})
	if !decision.Allowed {
		return map[string]any{"sessions": []any{}, "scanned_rows": 0, "source": "restricted"}, nil
	}
	c.Watch(schema.TopicSessions, schema.TopicLive)
	var filter timeseries.SessionFilter
	if since := decision.Since(); since != nil {
		filter.StartedAfter = *since
	}
	list, err := d.Store.Sessions(ctx, filter)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return map[string]any{"sessions": []any{}, "scanned_rows": 0, "source": "sessions_table", "error": "The list of sessions cannot be read at the moment."}, nil
	}
	state, err := d.Store.LiveState(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		state = nil // a run then counts as active only while records come
	}
	items := make([]any, len(list))
	for i := range list {
		if live, until := list[i].Live(); live {
			c.ValidUntil(until)
		}
		if decision.Window > 0 {
			c.ValidUntil(list[i].Start.Add(decision.Window))
		}
		items[i] = sessionItem(&list[i], state)
	}
	return map[string]any{"sessions": items, "scanned_rows": len(items), "source": "sessions_table"}, nil
}

func sessionItem(s *timeseries.Session, state *timeseries.LiveState) map[string]any {
	return map[string]any{
		"session_id": s.ID, "session_name": orNull(s.Name),
		"start_time": s.StartText, "end_time": s.EndText,
		"record_count": s.Records + s.SetAside, "archive_status": s.ArchiveStatus(state),
		"distance_km": orNull(s.Figures.Distance), "energy_wh": orNull(s.Figures.Energy), "efficiency_km_kwh": orNull(s.Figures.Efficiency),
		"avg_speed_kmh": orNull(s.Figures.AvgSpeed), "quality_score": orNull(s.Figures.Quality),
		"duration_s": math.Round(s.End.Sub(s.Start).Seconds()),
	}
}
