package brief

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's files
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/api/runbook"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/energy"
	"github.com/ecovolt/telemetryd/timeseries/pace"
	"github.com/ecovolt/telemetryd/timeseries/series"
	"github.com/ecovolt/telemetryd/timeseries/track"
)

// run is what REST answers of a run. Summary and all behind it are those of a run
// with records.
type run struct {
	Session *timeseries.Session
	Going   bool // it may go on
	Summary *shown.SummaryView
	Laps    *analysis.Laps
	Energy  *energy.Balance
	Outlook *pace.Outlook // nil where nothing is planned
	Notes   []runbook.NoteView
	MadeUp  []string       // which records no car measured, in words
	Charts  *series.Answer // of metrics, in Units
	Circuit *track.Circuit // the one that the run goes round
	Track   *series.Track  // where it went, if that is none
	Units   unit.System
	Zone    *time.Location
	Site    string // URL of this server without a slash at its end; "" if that is not known
}

// What to ask of charts and the track.
const (
	points      = 330
	trackPoints = 400
)

// metrics are the channels that are drawn.
var metrics = []string{"speed_ms", "power_w"}

var (
	//go:embed brief.css
	style string
	//go:embed brief.html
	markup string

	sheet = template.Must(template.New("brief").Parse(markup))
)

// StyleHash names the page's style in a Content-Security-Policy. A page that opens a
// brief as a blob must allow it, since blobs have the policy of who made them.
var StyleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// policy is the Content-Security-Policy of a brief: it loads and runs nothing.
var policy = "default-src 'none'; style-src " + StyleHash + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is what the template fills in.
type page struct {
	*run
	start time.Time // from where the page's addresses count

	Style          template.CSS
	Name, ID, Link string
	When           string
	Book           []said
	Empty          bool
	SetAside       int64
	Figures        []figure
	Charts         []chart
	Track          *way
	Count          int
	Laps, Stints   bool
	Best           *figure
	Compare        string
	LapTable       drives
	StintTable     drives
	Sectors        []sector
	Shares         []parts
	Taking         *taking
	Attention      []item
	Batch          int32
}

// said is something that the run book says.
type said struct{ Name, Text string }

// html makes the page.
func (r *run) html() ([]byte, error) {
	s := r.Session
	p := &page{
		run: r, Style: template.CSS(style), ID: s.ID, Batch: s.Batch, SetAside: s.SetAside, Empty: r.Summary == nil,
		start: s.Start.Truncate(time.Millisecond), Name: s.ID, Link: r.Site + "/runs/" + url.PathEscape(s.ID),
	}
	if s.Name != nil && *s.Name != "" {
		p.Name = *s.Name
	}
	p.when()
	p.book()
	if !p.Empty {
		p.figures()
		p.draw()
		p.laps()
		p.sectors()
		p.shares()
		p.taken()
	}
	p.attention()
	var out bytes.Buffer
	if err := sheet.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("make a brief: %w", err)
	}
	return out.Bytes(), nil
}

func (p *page) when() {
	s := p.Session
	if s.Start.IsZero() {
		p.When = records(s.Records)
		return
	}
	from, to := s.Start.In(p.Zone), s.End.In(p.Zone)
	until := to.Format("15:04:05")
	if from.Format(time.DateOnly) != to.Format(time.DateOnly) {
		until = to.Format("2 January 15:04:05")
	}
	p.When = fmt.Sprintf("%s to %s · %s · %s", from.Format("Monday, 2 January 2006, 15:04:05"), until, duration(s.End.Sub(s.Start).Seconds()), records(s.Records))
	if p.Going {
		p.When += " so far"
	}
}

// most bounds texts that people wrote, in characters, and mostFields fields.
const (
	most       = 300
	mostFields = 12
)

func (p *page) book() {
	b := &p.Session.Book
	add := func(name string, text *string) {
		if text != nil && *text != "" {
			p.Book = append(p.Book, said{name, clip(*text)})
		}
	}
	add("Driver", b.Driver)
	add("Car", b.Car)
	add("Tyres", b.Tyres)
	add("Weather", b.Weather)
	add("Setup", b.Setup)
	tags := strings.Join(b.Tags, ", ")
	add("Tags", &tags)
	plan := p.plan(&b.Plan)
	add("Plan", &plan)
	if o := p.Outlook; o != nil && o.Left != nil {
		came := p.came(o)
		add("It came to", &came)
	}
	for i, name := range slices.Sorted(maps.Keys(b.Fields)) {
		if i == mostFields {
			p.Book = append(p.Book, said{"", fmt.Sprintf("and %d further fields", len(b.Fields)-mostFields)})
			break
		}
		text := b.Fields[name]
		add(name, &text)
	}
}

// plan is a run's plan in the units of the page, "" where there is none.
func (p *page) plan(plan *book.Plan) string {
	var parts []string
	amount := func(v *float64, stored string, digits int) {
		if v != nil {
			f := p.figure("", v, stored, digits)
			parts = append(parts, f.Text+" "+f.Unit)
		}
	}
	amount(plan.Energy, "Wh", 1)
	if plan.Laps != nil {
		parts = append(parts, laps(int(*plan.Laps)))
	}
	amount(plan.Distance, "km", 2)
	if plan.Time != nil {
		parts = append(parts, duration(*plan.Time))
	}
	return strings.Join(parts, ", ")
}

// came says what became of a plan: whether the goal was reached, and what of the plan
// was left then, else is left as of the newest record.
func (p *page) came(o *pace.Outlook) string {
	var parts []string
	switch g := o.Goal; {
	case g == nil:
	case g.Reached && g.At != nil:
		parts = append(parts, "goal reached at "+p.clock(*g.At))
	case g.Reached:
		parts = append(parts, "goal reached")
	case o.State == "ended":
		parts = append(parts, "goal not reached")
	default:
		parts = append(parts, "goal not reached yet")
	}
	add := func(v *float64, left, beyond string, text func(float64) string) {
		switch {
		case v == nil:
		case *v < 0:
			parts = append(parts, text(-*v)+" "+beyond)
		default:
			parts = append(parts, text(*v)+" "+left)
		}
	}
	amount := func(stored string, digits int) func(float64) string {
		return func(v float64) string {
			f := p.figure("", &v, stored, digits)
			return f.Text + " " + f.Unit
		}
	}
	add(o.Left.Energy, "left", "more than planned", amount("Wh", 1))
	if l := o.Left; o.Goal == nil || !o.Goal.Reached {
		add(l.Laps, "to go", "more than planned", amount("laps", 2))
		if l.Distance != nil {
			km := *l.Distance / 1000
			add(&km, "to go", "more than planned", amount("km", 2))
		}
	}
	add(o.Left.Seconds, "left", "longer than planned", duration)
	return strings.Join(parts, ", ")
}

func clip(text string) string {
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i] + "…"
		}
	}
	return text
}

// view is the address at which the page shows a part of the run; of what lies
// elsewhere, that of the run.
func (p *page) view(from, to time.Time, around float64) string {
	whole := p.Session.End.Sub(p.start).Seconds()
	a, b := max(0, from.Sub(p.start).Seconds()-around), min(whole, to.Sub(p.start).Seconds()+around)
	if !(b > a) {
		return p.Link
	}
	return fmt.Sprintf("%s?from=%.3f&to=%.3f", p.Link, a, b)
}

// figures are the tiles at the head.
func (p *page) figures() {
	s := p.Summary
	tile := func(label string, f figure, more string) {
		f.Label, f.More = label, more
		p.Figures = append(p.Figures, f)
	}
	by := func(from *string) string {
		if from == nil {
			return ""
		}
		return "by " + *from
	}
	tile("Distance", p.figure("distance_km", s.Distance, "km", 2), by(s.DistanceFrom))
	tile("Energy", p.figure("energy_wh", s.Energy, "Wh", 1), by(s.EnergyFrom))
	tile("Efficiency", p.figure("efficiency_km_kwh", s.Efficiency, "km/kWh", 1), "")
	seconds := p.Session.End.Sub(p.Session.Start).Seconds()
	tile("Time", lasting("duration_s", &seconds), "")
	tile("Mean speed", p.figure("avg_speed_kmh", s.AvgSpeed, "km/h", 1), "while moving")
	tile("Top speed", p.figure("max_speed_kmh", s.MaxSpeed, "km/h", 1), "")
	tile("Mean power", p.figure("avg_power_w", s.AvgPower, "W", 0), "")
	tile("Peak power", p.figure("max_power_w", s.MaxPower, "W", 0), "")
	tile("Climb", p.figure("elevation_gain_m", s.Elevation, "m", 0), "")
	stops, stood := float64(len(p.run.Laps.Stops)), 0.0
	for _, stop := range p.run.Laps.Stops {
		stood += stop.Seconds
	}
	more := ""
	if stood > 0 {
		more = "in all " + duration(stood)
	}
	tile("Stops", p.figure("stops", &stops, "", 0), more)
	gaps := float64(len(s.Gaps) + s.GapsOmitted)
	more = ""
	if gaps > 0 {
		more = "longest " + duration(s.LongestGap)
	}
	tile("Gaps", p.figure("gaps", &gaps, "", 0), more)
	more = ""
	if s.Cadence > 0 {
		more = fmt.Sprintf("a record each %s s", number(s.Cadence, 2))
	}
	tile("Data quality", p.figure("quality_score", s.Quality, "", 1), more)
}

// worst compares what deserves attention: the more severe, then the longer, first.
func worst(a, b *runbook.NoteView) int {
	return cmp.Or(cmp.Compare(severity(b), severity(a)), cmp.Compare(length(b), length(a)))
}

func severity(n *runbook.NoteView) int {
	if n.Severity == nil {
		return -1
	}
	return slices.Index([]string{"info", "warning", "critical"}, *n.Severity)
}

func length(n *runbook.NoteView) time.Duration {
	if n.From == nil || n.To == nil {
		return 0
	}
	return n.To.Sub(*n.From)
}
