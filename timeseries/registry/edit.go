package registry

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Definition is what somebody says of a channel. What it leaves out is unknown
// afterwards, but the unit and the meaning of the contract's channels, which stay.
type Definition struct {
	// Type is number or text; "" is number, or what a channel is that there is.
	Type    string `json:"type,omitempty" enum:"number,text" doc:"What its values are; a new channel is a number"`
	Unit    string `json:"unit,omitempty" example:"degC" doc:"Unit of its values"`
	Meaning string `json:"meaning,omitempty" example:"Temperature of the pack's hottest cell" doc:"What is measured"`
	Hidden  bool   `json:"hidden,omitempty" doc:"Leave it out of lists and pickers"`
	// Expression is in the language of package expression; "" of all but math channels.
	Expression string `json:"expression,omitempty" example:"voltage_v * current_a" doc:"What a math channel is made of: other channels, numbers, + - * / % ^, comparisons, && || !, abs floor ceil round sqrt exp ln log10 sin cos tan asin acos atan atan2 pow min max clamp(x, low, high), if(condition, then, else), coalesce(x, y), and rate(x), the change of x per second"`
	About
}

// Bounds on what people say.
const (
	maxDeclared = 1_000
	maxText     = 500 // bytes of a unit, a meaning, a display name, an alias
	maxAliases  = 20
)

var colour = regexp.MustCompile("^#[0-9a-f]{6}$")

// check says what is wrong with a definition, by the names that clients use.
func (d *Definition) check() error {
	var problems []fault.Problem
	wrong := func(field, format string, args ...any) {
		problems = append(problems, fault.Problem{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if d.Type != "" && d.Type != "number" && d.Type != "text" {
		wrong("type", "number or text, not %q", fault.Clip(d.Type))
	}
	said := func(field, text string) {
		if len(text) > maxText {
			wrong(field, "%d bytes; at most %d are kept", len(text), maxText)
		}
		if problem := record.TextProblem([]byte(text)); problem != "" {
			wrong(field, "%s", problem)
		} else if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !(field == "meaning" && r == '\n') }) {
			wrong(field, "must not hold control characters") // terminals and tables obey them
		}
	}
	said("unit", d.Unit)
	said("meaning", d.Meaning)
	said("display", d.Display)
	said("section", d.Section)
	if len(d.Aliases) > maxAliases {
		wrong("aliases", "%d of them; at most %d are kept", len(d.Aliases), maxAliases)
	}
	for _, alias := range d.Aliases {
		if said("aliases", alias); alias == "" {
			wrong("aliases", "one of them is empty")
		}
	}
	if d.Decimals != nil && (*d.Decimals < 0 || *d.Decimals > 15) {
		wrong("decimals", "0 to 15, not %d", *d.Decimals)
	}
	if d.Colour != "" && !colour.MatchString(d.Colour) {
		wrong("colour", "must be such as #1f77b4")
	}
	type limit struct {
		field string
		value *float64
	}
	for _, rising := range [][]limit{
		{{"alarm_low", d.AlarmLow}, {"warn_low", d.WarnLow}, {"warn_high", d.WarnHigh}, {"alarm_high", d.AlarmHigh}}, {{"low", d.Low}, {"high", d.High}},
	} {
		for i, l := range rising {
			if l.value != nil && (math.IsNaN(*l.value) || math.IsInf(*l.value, 0)) {
				wrong(l.field, "is not a finite number")
			}
			for _, lower := range rising[:i] {
				if l.value != nil && lower.value != nil && *lower.value > *l.value {
					wrong(l.field, "is below %s", lower.field)
				}
			}
		}
	}
	if len(problems) > 0 {
		return &fault.Error{Kind: fault.Invalid, Message: "invalid input", Problems: problems}
	}
	return nil
}

// Definition is what is said of the channel now.
func (c *Channel) Definition() Definition {
	d := Definition{typeNames[c.Type], c.Unit, c.Meaning, c.Hidden, c.Expression, c.About}
	if c.Kind == contract {
		d.Type = "" // nobody's to say, and not always one of those that people name
	}
	return d
}

// Put declares a channel, or says something else of one that there is. It fails
// with fault.Invalid where the definition makes no sense and with fault.Conflict
// where the name is not free, or the contract says something else of the channel.
func (r *Registry) Put(ctx context.Context, by, name string, d Definition) (saved Channel, err error) {
	err = r.edit(ctx, func(tx pgx.Tx) error {
		saved, err = r.put(ctx, tx, by, name, d)
		return err
	})
	return saved, fault.Wrap("save channel", err)
}

// PutOwn is Put for whoever may only change what he declared himself. It also fails
// with fault.Forbidden.
func (r *Registry) PutOwn(ctx context.Context, by, name string, d Definition) (saved Channel, err error) {
	err = r.edit(ctx, func(tx pgx.Tx) (err error) {
		var others bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM channels WHERE name = $1 AND created_by <> $2)", name, by).Scan(&others); err != nil {
			return err
		}
		if others {
			return fault.Coded(fault.Forbidden, "FORBIDDEN", "Only administrators can edit a channel that somebody else made.")
		}
		saved, err = r.put(ctx, tx, by, name, d)
		return err
	})
	return saved, fault.Wrap("save channel", err)
}

// Named is a definition and the name of its channel.
type Named struct {
	Name string
	Definition
}

// PutAll puts several, all or none: where is what to call one in an error.
func (r *Registry) PutAll(ctx context.Context, by string, list []Named, where func(int) string) error {
	err := r.edit(ctx, func(tx pgx.Tx) error {
		said := map[string]bool{}
		for i, n := range list {
			if said[n.Name] {
				return fmt.Errorf("%s: %w", where(i), fault.Field("name", "%q is said before", n.Name))
			}
			said[n.Name] = true
			if _, err := r.put(ctx, tx, by, n.Name, n.Definition); err != nil {
				return fmt.Errorf("%s: %w", where(i), err)
			}
		}
		return nil
	})
	return fault.Wrap("save channels", err)
}

// conflict is that what somebody says does not go with what there is.
func conflict(field, format string, args ...any) error {
	return &fault.Error{Kind: fault.Conflict, Message: "the channel was not saved", Problems: []fault.Problem{{Field: field, Reason: fmt.Sprintf(format, args...)}}}
}

func (r *Registry) put(ctx context.Context, tx pgx.Tx, by, name string, d Definition) (saved Channel, err error) {
	if could := channel.Name(name); could != name || name == "" {
		hint := ""
		if could != "" {
			hint = fmt.Sprintf("; %q would do", could)
		}
		return saved, fault.Field("name", "must be 1 to 56 of a-z, 0-9 and _, a letter first and no _ at either end or twice in a row%s", hint)
	}
	if err := d.check(); err != nil {
		return saved, err
	}
	set, err := r.readSet(ctx, tx)
	if err != nil {
		return saved, err
	}
	c, known := set.Find(name)
	switch {
	case !channel.Valid(name) && !known:
		return saved, conflict("name", "%q is the name of something else in a record", name)
	case known && c.Name != name:
		return saved, conflict("name", "%q is another name of %s already", name, c.Name)
	}
	for _, alias := range d.Aliases {
		if other, taken := set.Find(alias); taken && other.Name != name {
			return saved, conflict("aliases", "%q is a name of %s already", fault.Clip(alias), other.Name)
		}
		if channel.Reserved(alias) {
			return saved, conflict("aliases", "%q is the name of something else in a record", alias)
		}
	}
	kind := declared
	if d.Expression != "" {
		kind = computed
		if d.Type == "text" {
			return saved, fault.Field("type", "what is computed is a number")
		}
		if err := set.try(ctx, tx, name, d.Expression); err != nil {
			return saved, err
		}
	}
	switch {
	case known && c.Kind == computed && kind != computed:
		return saved, conflict("name", "%s is a channel already, and made of others: give its expression", name)
	case known && c.Kind != computed && kind == computed:
		return saved, conflict("name", "%s is a channel already, and not made of others", name)
	case known && c.Kind == contract:
		if d.Unit != "" && d.Unit != c.Unit || d.Meaning != "" && d.Meaning != c.Meaning || d.Type != "" && d.Type != typeNames[c.Type] {
			return saved, fault.New(fault.Conflict, "%s is a field of the function contract: its type, unit (%q) and meaning stay", name, c.Unit)
		}
		kind, d.Type, d.Unit, d.Meaning = contract, typeNames[c.Type], c.Unit, c.Meaning
	case known:
		if d.Type == "" {
			d.Type = typeNames[c.Type]
		}
		if d.Type != typeNames[c.Type] && c.Came {
			return saved, conflict("type", "%s came as a %s", name, c.Type)
		}
		if users := set.uses(name); d.Type == "text" && len(users) > 0 {
			return saved, conflict("type", "%s is a number to what is made of it: %s", name, strings.Join(users, ", "))
		}
		kind = c.Kind
	default:
		if d.Type == "" {
			d.Type = "number"
		}
		if n := set.count(kind); n >= maxDeclared {
			return saved, fault.New(fault.Conflict, "there are %d channels of this kind already", n)
		}
	}
	// What nobody says is NULL, so that analysts need no second rule.
	_, err = tx.Exec(ctx, `
		INSERT INTO channels AS c (name, kind, type, unit, meaning, display, aliases, section, decimals, low, high,
		                           warn_low, warn_high, alarm_low, alarm_high, colour, hidden, created_by, expression)
		VALUES ($1, $2, $3, nullif($4, ''), nullif($5, ''), nullif($6, ''), $7, nullif($8, ''), $9, $10, $11,
		        $12, $13, $14, $15, nullif($16, ''), $17, nullif($18, ''), nullif($19, ''))
		ON CONFLICT (name) DO UPDATE SET
			type = excluded.type, unit = excluded.unit, meaning = excluded.meaning, display = excluded.display, aliases = excluded.aliases,
			section = excluded.section, decimals = excluded.decimals, low = excluded.low, high = excluded.high,
			warn_low = excluded.warn_low, warn_high = excluded.warn_high, alarm_low = excluded.alarm_low, alarm_high = excluded.alarm_high,
			colour = excluded.colour, hidden = excluded.hidden, expression = excluded.expression`,
		name, kind, d.Type, d.Unit, d.Meaning, d.Display, append([]string{}, d.Aliases...), d.Section, d.Decimals, d.Low, d.High,
		d.WarnLow, d.WarnHigh, d.AlarmLow, d.AlarmHigh, d.Colour, d.Hidden, by, d.Expression)
	if err != nil {
		return saved, err
	}
	if kind == declared && !known {
		if err := claim(ctx, tx, name); err != nil {
			return saved, err
		}
	}
	if set, err = r.readSet(ctx, tx); err != nil {
		return saved, err
	}
	saved, _ = set.Find(name)
	return saved, nil
}

// try reads an expression, and has it computed over the newest records of the newest
// run: what fails there must not be found out by whoever draws it.
func (s *Set) try(ctx context.Context, tx pgx.Tx, name, text string) error {
	one, err := s.compile(name, text)
	if err != nil {
		return err
	}
	value := "NULL::float8"
	if one.formula.Walk == nil {
		value = one.formula.SQL()
	} else if len(one.formula.Inputs) > 0 {
		value = "num_nulls(" + strings.Join(one.formula.Inputs, ", ") + ")" // the rest is Go's, which raises no error
	}
	var records, values int64
	err = tx.QueryRow(ctx, `
		SELECT count(*), count(value)
		FROM (
			SELECT `+value+` AS value
			FROM telemetry, (SELECT session, last_time FROM sessions WHERE deleted_at IS NULL AND last_time IS NOT NULL ORDER BY last_time DESC LIMIT 1) newest
			WHERE telemetry.session = newest.session AND time <= newest.last_time AND time > newest.last_time - INTERVAL '1 hour'
			ORDER BY time DESC
			LIMIT 1000
		) tried`).Scan(&records, &values)
	if schema.Away(err) {
		return err
	}
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: "invalid input", Err: err, Problems: []fault.Problem{{Field: "expression", Reason: "cannot be computed over the records of the newest run"}}}
	}
	return nil
}

// Hide takes a channel out of lists and pickers. What it measured stays, and can be
// asked for. It fails with fault.NotFound where there is none of that name.
func (r *Registry) Hide(ctx context.Context, name string) error {
	err := r.edit(ctx, func(tx pgx.Tx) error {
		set, err := r.readSet(ctx, tx)
		if err != nil {
			return err
		}
		c, ok := set.Find(name)
		if !ok {
			return fault.New(fault.NotFound, "there is no channel %q", fault.Clip(name))
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO channels (name, kind, type, unit, meaning, hidden)
			VALUES ($1, $2, $3, nullif($4, ''), nullif($5, ''), true)
			ON CONFLICT (name) DO UPDATE SET hidden = true`, c.Name, c.Kind, typeNames[c.Type], c.Unit, c.Meaning)
		return err
	})
	return fault.Wrap("hide channel", err)
}

// edit changes channels under their lock, and tells everybody.
func (r *Registry) edit(ctx context.Context, change func(pgx.Tx) error) error {
	defer r.current.Store(nil) // whoever asks next sees it
	return schema.Tx(ctx, r.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := schema.Lock(ctx, tx, "channels"); err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicChannels)
	})
}

// Objects has the table list the contract's channels, for whoever asks it in SQL.
func Objects() schema.Repeatable {
	definition := ""
	for _, f := range channel.All {
		definition += fmt.Sprintf("%q %s %q %q\n", f.Name, typeNames[f.Type], f.Unit, f.Meaning)
	}
	return schema.Repeatable{
		Name:       "channels",
		Definition: definition,
		Make: func(ctx context.Context, tx pgx.Tx) error {
			var batch pgx.Batch
			for _, f := range channel.All {
				batch.Queue(`
					INSERT INTO channels (name, kind, type, unit, meaning)
					VALUES ($1, $2, $3, nullif($4, ''), $5)
					ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, type = excluded.type, unit = excluded.unit, meaning = excluded.meaning, member = NULL`,
					f.Name, contract, typeNames[f.Type], f.Unit, f.Meaning)
			}
			if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
				return fmt.Errorf("list the contract's channels: %w", err)
			}
			return nil
		},
	}
}
