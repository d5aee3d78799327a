package book

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Filter narrows a list of runs by what the book says of them. Texts are compared
// without regard to case; "" is any.
type Filter struct {
	Driver, Car, Setup, Tyres, Weather, Tag string
	// Fields are of people's own, by name.
	Fields map[string]string
	// Words must all stand in the run's name, its id or its book.
	Words []string
}

// Where returns the conditions on sessions that a filter makes, each begun by AND,
// and their arguments, which are numbered from first on.
func (f *Filter) Where(first int) (conditions string, args []any) {
	var b strings.Builder
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", first+len(args)-1)
	}
	of := func(condition string) {
		fmt.Fprintf(&b, " AND EXISTS (SELECT FROM run_book b WHERE b.session = sessions.session AND %s)", condition)
	}
	for _, t := range []struct{ column, want string }{
		{"driver", f.Driver}, {"car", f.Car}, {"setup", f.Setup}, {"tyres", f.Tyres}, {"weather", f.Weather},
	} {
		if t.want != "" {
			of("lower(b." + t.column + ") = lower(" + arg(t.want) + "::text)")
		}
	}
	if f.Tag != "" {
		of("EXISTS (SELECT FROM unnest(b.tags) tag WHERE lower(tag) = lower(" + arg(f.Tag) + "::text))")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) { // one statement for the same filter
		of("lower(b.fields ->> " + arg(name) + "::text) = lower(" + arg(f.Fields[name]) + "::text)")
	}
	if len(f.Words) > 0 {
		fmt.Fprintf(&b, ` AND (
			SELECT bool_and(position(lower(word) IN lower(concat_ws(' ', name, id, (
				SELECT concat_ws(' ', b.driver, b.car, b.setup, b.tyres, b.weather, array_to_string(b.tags, ' '),
					(SELECT string_agg(value, ' ') FROM jsonb_each_text(b.fields)))
				FROM run_book b WHERE b.session = sessions.session)))) > 0)
			FROM unnest(%s::text[]) word)`, arg(f.Words))
	}
	return b.String(), args
}

// columns are what runs can be sorted by of the book.
var columns = []string{"driver", "car", "setup", "tyres", "weather"}

// Order is the column of sessions' book to sort by; ok says whether there is one of
// that name.
func Order(name string) (column string, ok bool) {
	if !slices.Contains(columns, name) {
		return "", false
	}
	return "(SELECT lower(b." + name + ") FROM run_book b WHERE b.session = sessions.session)", true
}
