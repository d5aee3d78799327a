package functions

import (
	"context"
	"encoding/json"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// charts holds the functions of charts.
func charts(d Deps) []registry.Function {
	return []registry.Function{
		{
			Name: "telemetry:getSeries", Kind: registry.Query,
			Args: registry.Object(
				registry.Field("sessionId", registry.String()),
				registry.Field("metrics", registry.Array(registry.String())),
				registry.Optional("from", registry.String()), registry.Optional("to", registry.String()),
				registry.Optional("points", registry.Number()),
				registry.Optional("fill", registry.Literals("gap", "null", "locf")),
				registry.Optional("mode", registry.Literals("minmax", "m4")),
				tokenArg()),
			Run: d.getSeries,
		},
	}
}

// getSeries answers null to those who may not read the session.
func (d Deps) getSeries(ctx context.Context, c *registry.Call) (any, error) {
	id := c.Args.String("sessionId")
	ok, session, err := readable(ctx, c, d, id, auth.ReadSeries)
	if err != nil || !ok || session == nil {
		return nil, err
	}
	req := series.Request{Class: access.SeriesClass(c.Principal), Sessions: []string{id}, Points: int(c.Args.Clamp("points", 1, series.MaxPoints, 1000))}
	for _, metric := range c.Args.List("metrics") {
		name, _ := metric.(string)
		req.Metrics = append(req.Metrics, name)
	}
	if c.Args.Has("from") {
		if req.From, err = timeArg(c, "from"); err != nil {
			return nil, err
		}
	}
	if c.Args.Has("to") {
		if req.To, err = timeArg(c, "to"); err != nil {
			return nil, err
		}
	}
	if req.Fill, ok = series.ParseFill(c.Args.String("fill")); !ok {
		return nil, fault.Field("fill", "must be gap, null or locf")
	}
	if req.Mode, ok = series.ParseMode(c.Args.String("mode")); !ok {
		return nil, fault.Field("mode", "must be minmax or m4")
	}
	answer, err := d.Store.Series.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(answer.JSON()), nil
}
