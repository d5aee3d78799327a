package signals

import (
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/region"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

type staysParams struct {
	Region string `query:"region" required:"true" doc:"South,west,north,east of it in degrees. West is over east where it crosses 180 degrees" example:"48.1,11.4,48.2,11.6"`
}

// staysView is when a run was within a region.
type staysView struct {
	Stays   []stayView `json:"stays" doc:"Each time, in order"`
	Seconds float64    `json:"seconds" doc:"What they last together, s"`
}

// stayView is one time.
type stayView struct {
	From    time.Time `json:"from" doc:"When the run came in"`
	To      time.Time `json:"to" doc:"When it went out, not part of it"`
	Seconds float64   `json:"seconds" doc:"s"`
}

func (s Source) getStays(r *rest.Request, p *staysParams) error {
	box, err := parse(p.Region)
	if err != nil {
		return err
	}
	var stays []rollup.Span
	err = s.ReadAnalysed(r, func(store *timeseries.Store) (err error) {
		stays, err = store.Signals.Stays(r.Request.Context(), r.Session.ID, *box)
		return err
	}, r.Session)
	if err != nil {
		return err
	}
	answer := staysView{Stays: []stayView{}}
	for _, span := range stays {
		seconds := span.Length().Seconds()
		answer.Stays = append(answer.Stays, stayView{span.From, span.To, seconds})
		answer.Seconds += seconds
	}
	return r.CacheableJSON(answer)
}

// parse reads a region; nil where there is none.
func parse(text string) (*region.Box, error) {
	if text == "" {
		return nil, nil
	}
	var corners []float64
	for item := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(item), 64)
		if err != nil {
			return nil, fault.Field("region", "must be south,west,north,east in degrees; %q is no number", fault.Clip(item))
		}
		corners = append(corners, v)
	}
	box, err := region.Of(corners)
	return &box, err
}
