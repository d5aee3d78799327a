package series

import (
	"context"
	"math"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// byTime reads with an axis of time, absolute or since the start. A heavy read
// that is not admitted is load.ErrHeavy.
func byTime(ctx context.Context, answer *Answer, views []*view, want wanted, admitted bool) error {
	req := &answer.Request
	var window rollup.Span
	if req.Align == AlignTime {
		window = rollup.Span{From: req.From.Truncate(time.Microsecond), To: req.To.Truncate(time.Microsecond)}
		for _, v := range views {
			if v.span.Empty() {
				continue
			}
			if req.From.IsZero() && (window.From.IsZero() || v.span.From.Before(window.From)) {
				window.From = v.span.From
			}
			if req.To.IsZero() && v.span.To.After(window.To) {
				window.To = v.span.To
			}
		}
	} else {
		// Elapsed time is counted from an origin of its own, so that all sessions
		// share one grid.
		window.From = elapsedOrigin
		if req.Start != nil {
			window.From = elapsedOrigin.Add(seconds(*req.Start))
		}
		if req.End != nil {
			window.To = elapsedOrigin.Add(seconds(*req.End))
		} else {
			for _, v := range views {
				if end := elapsedOrigin.Add(v.span.Length()); end.After(window.To) {
					window.To = end
				}
			}
		}
	}
	if window.Empty() {
		if !req.From.IsZero() && !req.To.IsZero() {
			return fault.Field("to", "the window is shorter than a microsecond")
		}
		window.To = window.From // nothing there
	}
	if req.Align == AlignTime {
		req.From, req.To = window.From, window.To
	}
	shift := func(v *view) time.Duration {
		if req.Align == AlignElapsed && !v.span.Empty() {
			return v.span.From.Sub(elapsedOrigin)
		}
		return 0
	}
	price := func(window rollup.Span) (c cost) {
		for _, v := range views {
			if req.Mode != ModeM4 {
				c.width = max(c.width, v.width(shifted(window, shift(v)), req.Points, len(want.metrics)))
			}
		}
		for _, v := range views {
			c.add(v, shifted(window, shift(v)), req, want)
		}
		return c
	}
	costs := price(window)
	if err := costs.check(req, window, price); err != nil {
		return err
	}
	if costs.cells() > heavyCells && !admitted {
		return load.ErrHeavy
	}
	for i, v := range views {
		out, own := &answer.Sessions[i], shifted(window, shift(v))
		var err error
		switch {
		case window.Empty():
			empty(out, want, req.Mode)
		case req.Mode == ModeM4:
			err = v.readM4(ctx, out, own, req, want)
		default:
			err = v.readBuckets(ctx, out, own, costs.width, req, want)
		}
		if err != nil {
			return err
		}
		if req.Align == AlignElapsed {
			toElapsed(out, shift(v))
		}
	}
	return nil
}

func shifted(s rollup.Span, by time.Duration) rollup.Span {
	return rollup.Span{From: s.From.Add(by), To: s.To.Add(by)}
}

// elapsedOrigin stands for the start of every session on an axis of elapsed
// time. Buckets of every width begin there.
var elapsedOrigin = time.UnixMicro(rollup.Origin).UTC()

func seconds(v float64) time.Duration { return time.Duration(v*1e6) * time.Microsecond }

// toElapsed turns a time axis into seconds since the session's start. Buckets
// keep the absolute grid that rollups have; counted from the bucket of the
// first record, they fall on one grid for all sessions.
func toElapsed(out *Session, shift time.Duration) {
	start := elapsedOrigin.Add(shift).UnixMicro()
	width := int64(0)
	if !out.Points && (len(out.Metrics) == 0 || out.Metrics[0].First == nil) {
		width = int64(math.Round(out.Width * 1e3))
	}
	convert := func(xs []float64) {
		for i := range xs {
			micro := int64(math.Round(xs[i] * 1e3))
			if width > 0 {
				micro = rollup.FloorMicro(micro, width) - rollup.FloorMicro(start, width)
			} else {
				micro -= start
			}
			xs[i] = float64(micro) / 1e6
		}
	}
	convert(out.X)
	for _, m := range out.Metrics {
		convert(m.FirstX)
		convert(m.LastX)
		for k, gap := range m.Gaps {
			m.Gaps[k] = [2]float64{(gap[0]*1e3 - float64(start)) / 1e6, (gap[1]*1e3 - float64(start)) / 1e6}
		}
	}
	out.Width /= 1e3
}
