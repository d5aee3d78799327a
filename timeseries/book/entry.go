package book

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Bounds, in characters where they are of a text.
const (
	maxText      = 200
	maxSetup     = 2000
	maxTags      = 20
	maxTag       = 50
	maxFields    = 30
	maxFieldName = 50
	maxField     = 500
)

// Entry is what the book says of one run; nil is not said.
type Entry struct {
	Driver  *string           `json:"driver"`
	Car     *string           `json:"car"`
	Setup   *string           `json:"setup"`
	Tyres   *string           `json:"tyres"`
	Weather *string           `json:"weather"`
	Tags    []string          `json:"tags"`
	Fields  map[string]string `json:"fields"`
	Plan
	Revision  int32      `json:"revision"` // 0: nobody said anything
	ChangedAt *time.Time `json:"changed_at"`
}

// Change says what to change; nil stays as it is, and an empty text is taken out.
type Change struct {
	Driver  *string   `json:"driver,omitempty"`
	Car     *string   `json:"car,omitempty"`
	Setup   *string   `json:"setup,omitempty"`
	Tyres   *string   `json:"tyres,omitempty"`
	Weather *string   `json:"weather,omitempty"`
	Tags    *[]string `json:"tags,omitempty"`
	// Fields that are not named stay.
	Fields map[string]string `json:"fields,omitempty"`
	PlanChange
}

// Empty reports whether there is nothing to change.
func (c *Change) Empty() bool { return len(c.Names()) == 0 }

// Names lists what is changed, for the audit log.
func (c *Change) Names() (names []string) {
	for _, t := range c.texts(&Entry{}) {
		if t.from != nil {
			names = append(names, t.name)
		}
	}
	if c.Tags != nil {
		names = append(names, "tags")
	}
	if len(c.Fields) > 0 {
		names = append(names, "fields")
	}
	return append(names, c.PlanChange.names()...)
}

// text is one of the book's own texts on its way from a change to an entry.
type text struct {
	name string
	most int
	from *string
	to   **string
}

func (c *Change) texts(e *Entry) []text {
	return []text{
		{"driver", maxText, c.Driver, &e.Driver}, {"car", maxText, c.Car, &e.Car}, {"setup", maxSetup, c.Setup, &e.Setup},
		{"tyres", maxText, c.Tyres, &e.Tyres}, {"weather", maxText, c.Weather, &e.Weather},
	}
}

// With is the entry after a change, or an Invalid fault that names each field that
// cannot be kept.
func (e Entry) With(c Change) (Entry, error) {
	var p problems
	e.Tags, e.Fields = slices.Clone(e.Tags), maps.Clone(e.Fields)
	for _, t := range c.texts(&e) {
		if t.from == nil {
			continue
		}
		*t.to = nil
		if kept := p.tidy(t.name, *t.from, t.most, t.name == "setup"); kept != "" {
			*t.to = &kept
		}
	}
	if c.Tags != nil {
		e.Tags = p.tags(*c.Tags)
	}
	p.fields(&e, c.Fields)
	p.plan(&e.Plan, &c.PlanChange)
	if p != nil {
		return Entry{}, &fault.Error{Kind: fault.Invalid, Message: "invalid input", Problems: p}
	}
	return e, nil
}

// problems collects what is wrong with a change.
type problems []fault.Problem

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fault.Problem{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// tidy returns a text as it is kept, and notes what cannot be.
func (p *problems) tidy(field, value string, most int, lines bool) string {
	if !utf8.ValidString(value) {
		p.add(field, "is not valid UTF-8")
		return ""
	}
	value = strings.TrimSpace(norm.NFC.String(value))
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !(lines && (r == '\n' || r == '\t')) }) {
		p.add(field, "must not hold control characters")
	}
	if utf8.RuneCountInString(value) > most {
		p.add(field, "must have at most %d characters", most)
	}
	return value
}

func (p *problems) tags(given []string) []string {
	tags := []string{}
	for _, tag := range given {
		if tag = p.tidy("tags", tag, maxTag, false); tag == "" {
			continue
		}
		if strings.Contains(tag, ",") {
			p.add("tags", "a tag must not hold a comma")
		}
		if !slices.ContainsFunc(tags, func(known string) bool { return strings.EqualFold(known, tag) }) {
			tags = append(tags, tag)
		}
	}
	if len(tags) > maxTags {
		p.add("tags", "a run has at most %d tags", maxTags)
	}
	return tags
}

func (p *problems) fields(e *Entry, given map[string]string) {
	if e.Fields == nil {
		e.Fields = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		key := p.tidy("fields", name, maxFieldName, false)
		value := p.tidy("fields", given[name], maxField, false)
		switch {
		case key == "" || strings.Contains(key, "="):
			p.add("fields", "%q is no name of a field: it must not be empty, nor hold =", fault.Clip(name))
		case value == "":
			delete(e.Fields, key)
		default:
			e.Fields[key] = value
		}
	}
	if len(e.Fields) > maxFields {
		p.add("fields", "a run has at most %d fields of one's own", maxFields)
	}
}
