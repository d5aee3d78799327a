package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// The kinds of channels.
const (
	contract = "contract" // a field of the function contract
	seen     = "seen"     // came in a record
	declared = "declared" // by a person
	computed = "math"     // made of others
)

// Channel is a channel and what is known of it.
type Channel struct {
	channel.Channel
	Kind string
	// Came is false of a declared one that no record has brought yet.
	Came bool
	About
	// Expression is what a math channel is.
	Expression string
	Hidden     bool
	CreatedAt  time.Time
	CreatedBy  string // "" when it came by itself
}

// About is what people say of a channel. Numbers are in its unit; what is absent is
// unknown.
type About struct {
	Display   string   `json:"display,omitempty" doc:"Name on the page"`
	Aliases   []string `json:"aliases,omitempty" doc:"Further names by which it is found"`
	Section   string   `json:"section,omitempty" doc:"Which channels it stands with in lists"`
	Decimals  *int16   `json:"decimals,omitempty" doc:"Digits behind the point on the page"`
	Low       *float64 `json:"low,omitempty" doc:"Lowest value to be expected, in its unit"`
	High      *float64 `json:"high,omitempty" doc:"Highest value to be expected, in its unit"`
	WarnLow   *float64 `json:"warn_low,omitempty" doc:"Below it the page warns, in its unit"`
	WarnHigh  *float64 `json:"warn_high,omitempty" doc:"Above it the page warns, in its unit"`
	AlarmLow  *float64 `json:"alarm_low,omitempty" doc:"Below it the page alarms, in its unit"`
	AlarmHigh *float64 `json:"alarm_high,omitempty" doc:"Above it the page alarms, in its unit"`
	Colour    string   `json:"colour,omitempty" doc:"Colour of its line" example:"#1f77b4"`
}

// Set is the channels of one moment. It does not change.
type Set struct {
	list    []Channel
	names   map[string]int
	members map[string]int
	math    map[string]*compiled // by name, those that can be computed
}

// compiled is a math channel's expression, and what it was compiled from.
type compiled struct {
	text    string
	asked   map[string]answer // what it was told of names
	needs   []string          // names of the channels with values that it is made of
	formula *channel.Formula
}

// answer says what a name stands for: a math channel's expression, or the SQL of a
// channel with values.
type answer struct {
	text, sql string
	ok        bool
}

// All lists the channels: the contract's in the order of its fields, then the
// others by name.
func (s *Set) All() []Channel { return s.list }

// Find returns a channel by its name, by an alias, or as a member of records is
// spelt.
func (s *Set) Find(name string) (Channel, bool) {
	i, ok := s.names[name]
	if !ok {
		if i, ok = s.members[name]; !ok {
			return Channel{}, false
		}
	}
	return s.list[i], true
}

// count is how many there are of a kind.
func (s *Set) count(kind string) (n int) {
	for _, c := range s.list {
		if c.Kind == kind {
			n++
		}
	}
	return n
}

// Registry is the channels of one database.
type Registry struct {
	pool, reads *pgxpool.Pool

	current atomic.Pointer[snapshot]
	newest  atomic.Pointer[Set] // to take over what is compiled
	reading sync.Mutex
}

// snapshot is a Set and the version of the topic that it was read at.
type snapshot struct {
	set     *Set
	version int64
	checked time.Time
}

// New makes a Registry on a migrated database. What somebody waits for is read on
// the connections of reads.
func New(pool, reads *pgxpool.Pool) *Registry { return &Registry{pool: pool, reads: reads} }

// Tick is how old what is known of the channels may be.
const Tick = 100 * time.Millisecond

// Current returns the channels that there are, or were a tenth of a second ago.
func (r *Registry) Current(ctx context.Context) (*Set, error) {
	if now := r.fresh(); now != nil {
		return now.set, nil
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	return r.On(ctx, r.reads)
}

// On is Current for whoever holds a connection: it asks over that one and waits for
// nobody, who may be waiting for the connection.
func (r *Registry) On(ctx context.Context, q schema.Querier) (*Set, error) {
	if now := r.fresh(); now != nil {
		return now.set, nil
	}
	now, checked := r.current.Load(), time.Now()
	var version int64
	if err := q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM changes WHERE topic = $1", schema.TopicChannels).Scan(&version); err != nil {
		return nil, fmt.Errorf("look for changes of channels: %w", err)
	}
	if now == nil || now.version != version {
		set, err := r.readSet(ctx, q)
		if err != nil {
			return nil, err
		}
		now = &snapshot{set: set, version: version}
	}
	r.current.Store(&snapshot{now.set, version, checked})
	return now.set, nil
}

// fresh is what is known, unless it may be too old.
func (r *Registry) fresh() *snapshot {
	if now := r.current.Load(); now != nil && time.Since(now.checked) < Tick {
		return now
	}
	return nil
}

// With returns channels among which these names are looked up as they are among
// Current's: those of the contract are known without asking.
func (r *Registry) With(ctx context.Context, names []string) (*Set, error) {
	for _, name := range names {
		if _, ok := channel.Index(name); !ok {
			return r.Current(ctx)
		}
	}
	return ofContract, nil
}

// ofContract is what With returns where that will do.
var ofContract = func() *Set {
	s := &Set{names: map[string]int{}}
	for i, c := range channel.All {
		s.list, s.names[c.Name] = append(s.list, Channel{Channel: c, Kind: contract, Came: true}), i
	}
	return s
}()

// Find returns the channels of these names, those that there are.
func (r *Registry) Find(ctx context.Context, names []string) (map[string]channel.Channel, error) {
	set, err := r.With(ctx, names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]channel.Channel, len(names))
	for _, name := range names {
		if c, ok := set.Find(name); ok {
			found[name] = c.Channel
		}
	}
	return found, nil
}

// Select returns what these names of channels are in records: none means all members.
// JSON and CSV have the session's id and the timestamp whatever is selected, and
// members as they came. unknown are names that no channel has, which are selected as
// members of that spelling.
func (s *Set) Select(names []string) (selected *record.Selection, unknown []string) {
	members := make([]string, 0, len(names))
	var computed []record.Computed
	for _, name := range names {
		c, ok := s.Find(name)
		switch {
		case name == "session_id" || name == "timestamp":
			name = "timestamp"
		case !ok:
			unknown = append(unknown, name)
		case c.Formula != nil:
			name, computed = "timestamp", append(computed, record.Computed{Name: c.Name, Formula: c.Formula})
		case c.Member != "":
			name = c.Member
		default: // it may have been asked for by an alias
			name = c.Name
		}
		members = append(members, name)
	}
	return record.Select(members...).WithComputed(computed), unknown
}

// UnitOf is the unit of a member that records have beside the contract's fields, where
// it is a number; "" where there is none, or none is known.
func (s *Set) UnitOf(member string) string {
	if i, ok := s.members[member]; ok && s.list[i].Charted {
		return s.list[i].Unit
	}
	return ""
}

// Shown tells in which units a system shows what is measured, by the names of members
// in records, and of math channels by theirs: those that it does not show as they are
// stored. A member may have the name of a math channel and be none.
func (s *Set) Shown(system unit.System) (members, computed map[string]unit.Shown) {
	members, computed = map[string]unit.Shown{}, map[string]unit.Shown{}
	for _, c := range s.list {
		if c.Type != channel.Float && c.Type != channel.Int {
			continue
		}
		u, ok := system.Shown(c.Unit)
		switch {
		case !ok:
		case c.Formula != nil:
			computed[c.Name] = u
		default:
			members[cmp.Or(c.Member, c.Name)] = u
		}
	}
	return members, computed
}

func (r *Registry) readSet(ctx context.Context, q schema.Querier) (*Set, error) {
	s := &Set{names: map[string]int{}, members: map[string]int{}, math: map[string]*compiled{}}
	rows, err := q.Query(ctx, `
		SELECT name, kind, type, coalesce(member, ''), coalesce(unit, ''), coalesce(meaning, ''), coalesce(display, ''), aliases,
		       coalesce(section, ''), decimals, low, high, warn_low, warn_high, alarm_low, alarm_high, coalesce(colour, ''),
		       hidden, coalesce(expression, ''), created_at, coalesce(created_by, '')
		FROM channels
		ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read channels: %w", err)
	}
	others := []Channel{}
	edited := map[string]Channel{}
	var c Channel
	var kind string
	_, err = pgx.ForEachRow(rows, []any{&c.Name, &c.Kind, &kind, &c.Member, &c.Unit, &c.Meaning, &c.Display, &c.Aliases,
		&c.Section, &c.Decimals, &c.Low, &c.High, &c.WarnLow, &c.WarnHigh, &c.AlarmLow, &c.AlarmHigh, &c.Colour,
		&c.Hidden, &c.Expression, &c.CreatedAt, &c.CreatedBy}, func() error {
		one := c
		one.Type = channel.Type(slices.Index(typeNames[:], kind))
		if one.Came = one.Kind != declared || one.Member != ""; !one.Came {
			one.Member = one.Name // as it may come
		}
		one.Charted = one.Type == channel.Float || one.Type == channel.Int
		if one.Kind == contract {
			edited[one.Name] = one
		} else {
			others = append(others, one)
		}
		c = Channel{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read channels: %w", err)
	}
	for _, f := range channel.All {
		known := edited[f.Name]
		known.Channel, known.Kind, known.Came = f, contract, true
		s.list = append(s.list, known)
	}
	s.list = append(s.list, others...)
	for i, c := range s.list {
		if c.Member != "" && c.Came {
			s.members[c.Member] = i
		}
		s.names[c.Name] = i
	}
	for i, c := range s.list { // an alias never hides a name
		for _, alias := range c.Aliases {
			if _, taken := s.names[alias]; !taken {
				s.names[alias] = i
			}
		}
	}
	before := r.newest.Load()
	for i := range s.list {
		c := &s.list[i]
		if c.Kind != computed {
			continue
		}
		one := s.takeOver(c, before)
		if one == nil {
			if one, err = s.compile(c.Name, c.Expression); err != nil { // by another version, or of what is no number any more
				c.Charted = false
				continue
			}
		}
		s.math[c.Name], c.Formula = one, one.formula
	}
	r.newest.Store(s)
	return s, nil
}

// takeOver returns what an earlier set has compiled, where that has not changed.
func (s *Set) takeOver(c *Channel, before *Set) *compiled {
	if before == nil {
		return nil
	}
	one := before.math[c.Name]
	if one == nil || one.text != c.Expression {
		return nil
	}
	for name, told := range one.asked {
		if s.answer(name) != told {
			return nil
		}
	}
	return one
}

// Needs lists what a math channel is made of; nothing of other kinds.
func (s *Set) Needs(c Channel) []string {
	if one := s.math[c.Name]; one != nil {
		return one.needs
	}
	return nil
}

// uses lists the math channels that are made of a channel, by themselves or by others.
func (s *Set) uses(name string) (users []string) {
	for _, c := range s.list {
		if slices.Contains(s.Needs(c), name) {
			users = append(users, c.Name)
		}
	}
	return users
}

// answer says what a name in an expression stands for.
func (s *Set) answer(name string) answer {
	c, ok := s.Find(name)
	switch {
	case !ok || !c.Charted || c.Kind == computed && c.Name != name:
		return answer{}
	case c.Kind == computed:
		return answer{text: c.Expression, ok: true}
	}
	return answer{sql: c.Number(), ok: true}
}

// compile makes a formula over a row of telemetry of an expression of the name's.
func (s *Set) compile(name, text string) (*compiled, error) {
	one := &compiled{text: text, asked: map[string]answer{}}
	e, err := expression.Parse(name, text, func(of string) (text string, ok bool) {
		one.asked[of] = s.answer(of)
		return one.asked[of].text, one.asked[of].ok
	})
	if err != nil {
		return nil, err
	}
	f := &channel.Formula{Text: e.String()}
	for _, name := range e.Channels() {
		c, _ := s.Find(name)
		one.needs = append(one.needs, c.Name) // the name that it has
		f.Inputs = append(f.Inputs, c.Number())
		f.Text += "; " + name + " is " + c.Number()
	}
	if e.Neighbours() {
		f.Walk = func() channel.Walk { return e.Walk() }
	} else {
		f.Eval = e.Eval
		f.SQL = sync.OnceValue(func() string { return e.SQL(func(name string) string { return one.asked[name].sql }) })
	}
	one.formula = f
	return one, nil
}

// typeNames are those of the types in the table.
var typeNames = [...]string{channel.Float: "number", channel.Int: "integer", channel.Text: "text", channel.JSON: "json"}
