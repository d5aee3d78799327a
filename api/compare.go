package api

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/compare"
)

// Anybody may ask; which laps a caller may compare is asked for each run.
func (s *server) compareRoutes() []route {
	return []route{rest.Stream("GET", "/api/v1/compare", auth.ReadPublic,
		"Lay laps of any runs over one another: what each lost in time and energy against the first, place by place and by sector, and channels at the same places. Whoever may read the series of a run may compare its laps.",
		s.compareLaps, rest.Returns[compare.Comparison]("The laps"), rest.NotModified(), rest.FailsWith(fault.Unauthenticated, fault.Forbidden, fault.NotFound))}
}

type compareParams struct {
	Laps    string   `query:"laps" required:"true" doc:"RUN:LAP,RUN:LAP, up to six, the first is what the others are measured by. A run's id ends at the last colon; a comma in one is %2C" example:"my-run:3,my-run:5"`
	Metrics []string `query:"metrics" doc:"Channels, up to 16" example:"speed_ms,power_w"`
	Points  int      `query:"points" default:"500" minimum:"2" maximum:"2000" doc:"Places on the axis"`
	By      string   `query:"by" default:"position" enum:"position,distance,time" doc:"What the laps have in common: place on the line that the laps of the first one's run share, distance that each drove, scaled to the first one's, or time since each began"`
	shown.Params
}

func (s *server) compareLaps(r *request, p *compareParams) error {
	laps, err := parseLaps(r.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	req := compare.Request{Laps: laps, Metrics: p.Metrics, Points: p.Points, By: p.By, Class: access.SeriesClass(r.Principal), Units: p.System(r.Principal)}
	var runs []*timeseries.Session
	seen := map[string]bool{}
	for _, lap := range laps {
		if seen[lap.Run] {
			continue
		}
		seen[lap.Run] = true
		run, err := s.admitSession(r, lap.Run, auth.ReadSeries)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	var answer *compare.Comparison
	err = s.readAnalysed(r, func(store *timeseries.Store) (err error) {
		answer, err = store.Laps.Read(r.Request.Context(), req)
		return err
	}, runs...)
	if err != nil {
		return err
	}
	if system := p.System(r.Principal); system != "" {
		set, err := s.Store.Channels.Current(r.Request.Context())
		if err != nil {
			return err
		}
		shown.Comparison(answer, set, system)
	}
	return r.CacheableJSON(answer)
}

// parseLaps reads the parameter laps as it was sent: decoded, a comma in an id is
// none any more. Clients that encode whole values have no bare colon in it.
func parseLaps(query string) (laps []compare.Lap, err error) {
	text := ""
	for pair := range strings.SplitSeq(query, "&") {
		if value, ok := strings.CutPrefix(pair, "laps="); ok {
			text = value
			break
		}
	}
	bare := strings.Contains(text, ":")
	if !bare {
		text, _ = url.QueryUnescape(text)
	}
	for item := range strings.SplitSeq(text, ",") {
		if bare {
			item = strings.ReplaceAll(item, "+", " ")
		}
		item = rest.Listed(item)
		colon := strings.LastIndexByte(item, ':')
		lap, err := strconv.ParseInt(item[colon+1:], 10, 32)
		if colon <= 0 || err != nil || lap < 1 {
			return nil, fault.Field("laps", "must be RUN:LAP,RUN:LAP, where LAP is a lap's number; %q is none", fault.Clip(item))
		}
		laps = append(laps, compare.Lap{Run: item[:colon], Number: lap})
	}
	if len(laps) > compare.MaxLaps {
		return nil, fault.Field("laps", "1 to %d laps, not %d", compare.MaxLaps, len(laps))
	}
	return laps, nil
}
