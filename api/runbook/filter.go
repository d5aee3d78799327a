package runbook

import (
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
)

// Filter is the parameters that narrow a list of runs.
type Filter struct {
	Q        string    `query:"q" doc:"Words that must all stand in a run's name, its id or its book"`
	Driver   string    `query:"driver" doc:"Runs of this driver, as the book has it"`
	Car      string    `query:"car" doc:"Runs of this car"`
	Setup    string    `query:"setup" doc:"Runs with this setup"`
	Tyres    string    `query:"tyres" doc:"Runs on these tyres"`
	Weather  string    `query:"weather" doc:"Runs in this weather"`
	Tag      string    `query:"tag" doc:"Runs with this tag"`
	Field    []string  `query:"field" doc:"Runs whose book has a field of one's own, as in ballast_kg=4; given once for each field"`
	Day      string    `query:"day" doc:"Runs that began on this day: today, yesterday, or one such as 2026-03-21"`
	Timezone string    `query:"timezone" default:"UTC" doc:"Time zone of days, such as Europe/Berlin"`
	From     time.Time `query:"from" doc:"Runs that began at this time or later, ISO 8601 or milliseconds since 1970"`
	To       time.Time `query:"to" doc:"Runs that began before this time"`
}

// maxWords is how many words are looked for.
const maxWords = 20

// Sessions is the filter for the store, narrowed to what the caller may list, and the
// time zone of its days.
func (p *Filter) Sessions(r *rest.Request) (f timeseries.SessionFilter, zone *time.Location, err error) {
	f = timeseries.SessionFilter{
		StartedAfter: p.From, StartedBefore: p.To,
		Book: book.Filter{Driver: p.Driver, Car: p.Car, Setup: p.Setup, Tyres: p.Tyres, Weather: p.Weather, Tag: p.Tag, Words: strings.Fields(p.Q)},
	}
	if len(f.Book.Words) > maxWords {
		return f, nil, fault.Field("q", "must have at most %d words", maxWords)
	}
	for _, text := range r.QueryArray("field") { // a value may hold commas
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return f, nil, fault.Field("field", "%q is not of the form name=value", fault.Clip(text))
		}
		if f.Book.Fields == nil {
			f.Book.Fields = map[string]string{}
		}
		f.Book.Fields[name] = value
	}
	for _, t := range []string{p.Q, p.Driver, p.Car, p.Setup, p.Tyres, p.Weather, p.Tag, strings.Join(r.QueryArray("field"), "")} {
		if t != "" && schema.Storable(t) == "" { // the database would not even compare it
			return f, nil, fault.New(fault.Invalid, "a filter must be valid UTF-8 without the character U+0000")
		}
	}
	if zone, err = Zone(p.Timezone); err != nil {
		return f, nil, err
	}
	if p.Day != "" {
		from, to, err := book.Day(p.Day, time.Now(), zone)
		if err != nil {
			return f, nil, err
		}
		if from.After(f.StartedAfter) {
			f.StartedAfter = from
		}
		if f.StartedBefore.IsZero() || to.Before(f.StartedBefore) {
			f.StartedBefore = to
		}
	}
	if since := r.Decision.Since(); since != nil && since.After(f.StartedAfter) {
		f.StartedAfter = *since
	}
	return f, zone, nil
}

// Zone is the time zone of a parameter timezone.
func Zone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fault.Field("timezone", "%q is no time zone such as Europe/Berlin or UTC", fault.Clip(name))
	}
	return zone, nil
}
