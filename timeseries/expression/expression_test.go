package expression_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/expression"
)

// stored are the channels of the tests, and derived those that are expressions.
var (
	stored  = []string{"a", "b", "c", "d"}
	derived = map[string]string{
		"power": "a * b", "efficiency": "power / c", "moving": "a > 2", "round_about": "there", "there": "back + 1", "back": "there",
		"wrong": "a +", "m0": "a", "m1": "m0", "m2": "m1", "m3": "m2", "m4": "m3", "m5": "m4", "m6": "m5", "m7": "m6", "m8": "m7",
		"twice": "a + a", "g": "9.81", "slope": "rate(a)",
	}
)

func lookup(name string) (string, bool) {
	for _, s := range stored {
		if s == name {
			return "", true
		}
	}
	text, ok := derived[name]
	return text, ok
}

func parse(t testing.TB, text string) *expression.Expression {
	t.Helper()
	e, err := expression.Parse("", text, lookup)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// row is a value of each stored channel; nil is NULL.
type row [4]*float64

func (r row) of(name string) *float64 { return r[name[0]-'a'] }

func eval(e *expression.Expression, r row) *float64 {
	v, ok := e.Eval(func(i int) (float64, bool) {
		if v := r.of(e.Channels()[i]); v != nil {
			return *v, true
		}
		return 0, false
	})
	if !ok {
		return nil
	}
	return &v
}

// literal is the value as SQL, as after the planner has put a parameter in.
func (r row) literal(name string) string {
	if v := r.of(name); v != nil {
		return fmt.Sprintf("float8 '%v'", *v)
	}
	return "NULL::float8"
}

func show(v *float64) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprint(*v)
}

func equal(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return math.Abs(*a-*b) <= 1e-9*max(math.Abs(*a), math.Abs(*b)) && math.Signbit(*a) == math.Signbit(*b)
}

func number(v float64) *float64 { return &v }

// TestMeaning holds what expressions come to, in Go and in SQL, over columns and
// over constants, which the planner computes before anything is asked.
func TestMeaning(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	inf, tiny := math.Inf(1), 0x1p-1022
	above, below := math.Nextafter(1, 2), math.Nextafter(1, 0)
	for _, test := range []struct {
		text       string
		a, b, c, d any // float64, int or nil
		want       any
	}{
		{text: "a * b", a: 48, b: 2.5, want: 120},
		{text: "a*b", a: nil, b: 2, want: nil},
		{text: "a - b - c", a: 10, b: 3, c: 2, want: 5},
		{text: "a / b / c", a: 12, b: 3, c: 2, want: 2},
		{text: "a ^ b ^ c", a: 2, b: 3, c: 2, want: 512},
		{text: "-a ^ 2", a: 3, want: -9},
		{text: "2 ** -1", want: 0.5},
		{text: "+a - -b", a: 1, b: 2, want: 3},
		{text: "1 + 2 * 3", want: 7},
		{text: "0x10 + 1_000 + 1.5e1", want: 1031},
		{text: "if(a < 2 && b > 2, 1, 0)", a: 1, b: 3, want: 1},
		{text: "if(a < 2 && b > 2, 1, 0)", a: 3, b: 3, want: 0},
		{text: "if(a < 2 && b > 2, 1, 0)", a: 3, b: nil, want: nil},
		{text: "if(a < 2 || b > 2, 1, 0)", a: 1, b: nil, want: nil},
		{text: "if(a > 0, b, c)", a: 1, b: 5, c: nil, want: 5},
		{text: "if(a > 0, b, c)", a: 0, b: nil, c: 6, want: 6},
		{text: "if(a > 0, b, c)", a: nil, b: 5, c: 6, want: nil},
		{text: "if(b != 0, a / b, 0)", a: 1, b: 0, want: 0},
		{text: "a > 0 ? b : nil", a: 1, b: 4, want: 4},
		{text: "a > 0 ? b : nil", a: 0, b: 4, want: nil},
		{text: "0 < a < 2", a: 1, want: 1},
		{text: "0 < a < 2", a: 2, want: 0},
		{text: "not (a > 0)", a: 0, want: 1},
		{text: "!(a >= b) or a == 5", a: 5, b: 5, want: 1},
		{text: "a <= b and a != b", a: 1, b: 1, want: 0},
		{text: "coalesce(a, b, c)", a: nil, b: nil, c: 3, want: 3},
		{text: "coalesce(a, b)", a: nil, b: nil, want: nil},
		{text: "coalesce(a / b, -1)", a: 1, b: 0, want: -1},
		{text: "min(a, b, c)", a: 3, b: 1, c: 2, want: 1},
		{text: "max(a, b, c, d)", a: 3, b: 1, c: 2, d: nil, want: nil},
		{text: "clamp(a, -1, 1)", a: -7, want: -1},
		{text: "clamp(a, -1, 1)", a: 7, want: 1},
		{text: "clamp(a, -1, 1)", a: 0.5, want: 0.5},
		{text: "abs(a) + floor(b) + ceil(c)", a: -1, b: -0.5, c: 0.5, want: 1},
		{text: "round(a)", a: 2.5, want: 2},
		{text: "round(a)", a: 3.5, want: 4},
		{text: "sqrt(a^2 + b^2)", a: 3, b: 4, want: 5},
		{text: "sqrt(a)", a: -tiny, want: nil},
		{text: "sqrt(a)", a: 0, want: 0},
		{text: "ln(a)", a: 0, want: nil},
		{text: "ln(a)", a: math.E, want: 1},
		{text: "log10(a)", a: 1000, want: 3},
		{text: "floor(log10(a))", a: 1e-5, want: -5},
		{text: "log10(a)", a: above, want: (above - 1) / math.Ln10},
		{text: "log10(a)", a: -1, want: nil},
		{text: "exp(a)", a: 1, want: math.E},
		{text: "exp(a)", a: 709.5, want: math.Exp(700) * math.Exp(9.5)},
		{text: "exp(a)", a: 1000, want: nil},
		{text: "exp(a)", a: -1000, want: 0},
		{text: "sin(a) + cos(a) + tan(a)", a: 0, want: 1},
		{text: "asin(a)", a: 2, want: nil},
		{text: "asin(a)", a: -1, want: -math.Pi / 2},
		{text: "acos(a)", a: above, want: nil},
		{text: "acos(a)", a: below, want: math.Sqrt(2 * (1 - below))},
		{text: "atan(a)", a: 1, want: math.Pi / 4},
		{text: "atan2(a, b)", a: 0, b: -1, want: math.Pi},
		{text: "atan2(-a, b)", a: 0, b: -1, want: math.Pi},
		{text: "atan2(a, b)", a: 0, b: 0, want: 0},
		{text: "pow(a, b)", a: -1, b: 0.5, want: nil},
		{text: "pow(a, b)", a: 0, b: -1, want: nil},
		{text: "pow(a, b)", a: 0, b: 0, want: 1},
		{text: "pow(a, b)", a: -2, b: 3, want: -8},
		{text: "pow(a, b)", a: 10, b: 400, want: nil},
		{text: "pow(a, b)", a: 10, b: -400, want: 0},
		{text: "pow(a, b)", a: 1, b: 1e300, want: nil},
		{text: "pow(a, b)", a: above, b: tiny, want: 1},
		{text: "a / b", a: 1, b: 0, want: nil},
		{text: "a / b", a: 0, b: 0, want: nil},
		{text: "a * b", a: 1e308, b: 10, want: nil},
		{text: "a * b", a: 1e-200, b: 1e-200, want: 0},
		{text: "a * b", a: 1e-200, b: -1e200, want: -1},
		{text: "a / b", a: 1e-200, b: 1e200, want: 0},
		{text: "a / b", a: 1e200, b: 1e-200, want: nil},
		{text: "a / b", a: 1, b: math.MaxFloat64, want: 0}, // not normal
		{text: "a % 360", a: 725.5, want: 5.5},
		{text: "a % 360", a: -90, want: -90},
		{text: "a % b", a: -725.5, b: -360, want: -5.5},
		{text: "a % b", a: -4, b: 2, want: 0}, // and no -0
		{text: "a % b", a: 1, b: 0.1, want: 0.09999999999999995},
		{text: "a % b", a: 0.3, b: 0.5, want: 0.3},
		{text: "a % b", a: 10, b: 2.5, want: 0},
		{text: "a % b", a: 1, b: 0, want: nil},
		{text: "a % b", a: 0, b: 0, want: nil},
		{text: "a % b", a: 0, b: 3, want: 0},
		{text: "a % b", a: nil, b: 3, want: nil},
		{text: "a % b", a: 1e16, b: 3, want: 1},
		{text: "a % b", a: 0x1p53, b: 1, want: nil},
		{text: "a % b", a: 0x1p53 - 1, b: 1, want: 0},
		{text: "a % b", a: 1e300, b: 1e-300, want: nil},
		{text: "a % b", a: math.MaxFloat64, b: 1e300, want: math.Mod(math.MaxFloat64, 1e300)},
		{text: "a % b", a: 3e-308, b: 2.5e-308, want: 0},
		{text: "100 - a % 7 * 2", a: 9, want: 96},
		{text: "a + b", a: 1e308, b: 1e308, want: nil},
		{text: "a - b", a: 3e-308, b: 2.5e-308, want: 0},
		{text: "(a - b) ^ 8", a: 0x1.0000000000001p-99, b: 0x1p-99, want: 0}, // a difference is as small as a last place
		{text: "1e308 * 10 + a", a: 1, want: nil},
		{text: "a", a: inf, want: nil},
		{text: "a > 1", a: math.NaN(), want: nil},
		{text: "a", a: 5e-324, want: 0},
		{text: "a * -1", a: 0, want: 0}, // and no -0
		{text: "efficiency", a: 6, b: 2, c: 4, want: 3},
		{text: "power - g", a: 6, b: 2, want: 2.19},
		{text: "moving + 1", a: 3, want: 2},
		{text: "moving == 1 && power > 0", a: 3, b: 1, want: 1},
	} {
		var r row
		for i, v := range []any{test.a, test.b, test.c, test.d} {
			r[i] = value(v)
		}
		e, want := parse(t, test.text), value(test.want)
		if got := eval(e, r); !equal(got, want) {
			t.Errorf("%s of %s: %s in Go, want %s", test.text, r, show(got), show(want))
		}
		for where, sql := range map[string]string{
			"columns":   "SELECT " + e.SQL(column) + " FROM (SELECT $1::float8, $2::float8, $3::float8, $4::float8 OFFSET 0) AS r (a, b, c, d)",
			"constants": "SELECT " + e.SQL(r.literal) + " WHERE ($1::float8, $2::float8, $3::float8, $4::float8) IS NOT NULL OR true",
		} {
			var got *float64
			if err := pool.QueryRow(t.Context(), sql, r[0], r[1], r[2], r[3]).Scan(&got); err != nil {
				t.Errorf("%s of %s: %v", test.text, r, err)
			} else if !equal(got, want) {
				t.Errorf("%s of %s: %s in SQL over %s, want %s", test.text, r, show(got), where, show(want))
			}
		}
	}
}

func (r row) String() string {
	var s []string
	for _, v := range r {
		s = append(s, show(v))
	}
	return "(" + strings.Join(s, ", ") + ")"
}

func value(v any) *float64 {
	switch v := v.(type) {
	case int:
		return number(float64(v))
	case float64:
		return &v
	}
	return nil
}

func column(name string) string { return `r."` + name + `"` }

func TestErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "empty",
		" \n":                  "empty",
		"a +":                  "character 3: unexpected token EOF",
		"a + x":                "character 5: there is no channel x",
		"a $ b":                `character 3: unexpected token Identifier("$")`,
		"a; b":                 "character 1: only numbers, channels, operators and functions can stand here",
		"a == 'x'":             "character 6: only numbers, channels, operators and functions can stand here",
		"a.b":                  "character 3: only numbers, channels, operators and functions can stand here",
		"[a]":                  "character 1: only numbers, channels, operators and functions can stand here",
		"let x = 1; x":         "character 5: only numbers, channels, operators and functions can stand here",
		"true":                 "character 1: only numbers, channels, operators and functions can stand here",
		"a in b":               "character 3: the operator in is not one of this language",
		"a ?? b":               "character 3: the operator ?? is not one of this language",
		"len(a)":               "character 1: there is no function len",
		"foo(a)":               "character 1: there is no function foo",
		"sqrt(a, b)":           "character 1: sqrt takes 1, not 2",
		"atan2(a)":             "character 1: atan2 takes 2, not 1",
		"min(a)":               "character 1: min takes at least 2 values, not 1",
		"if(a, 1, 0)":          "character 4: a condition is needed here, and this is a number; compare it, as in x != 0",
		"(a > 1) + 1":          "character 4: a number is needed here, and this is a condition; write if(..., 1, 0)",
		"!a > 1":               "character 2: a condition is needed here",
		"1e400":                "invalid float literal",
		"99999999999999999999": "invalid integer literal",
		"a + wrong":            "in wrong: character 3: unexpected token EOF",
		"round_about":          "in round_about: in there: in back: character 1: there uses itself: there uses back uses there",
		"1 + self":             "character 5: self uses itself: self uses self",
		"m7":                   "",
		"m8":                   "more than 8 math channels use one another",
		strings.Repeat("(", 70) + "a" + strings.Repeat(")", 70): "",
		strings.Repeat("-", 70) + "a":                           "character 66: nested deeper than 64",
		strings.Repeat("a+", 300) + "a":                         "maximum allowed nodes",
		strings.Repeat(" ", 5000):                               "longer than 4096 bytes",
		"max(" + strings.Repeat("a, ", 16) + "a)":               "character 1: max takes at most 16 values, not 17",
	} {
		_, err := expression.Parse("self", text, lookup)
		switch {
		case want == "" && err == nil:
		case want == "" || err == nil:
			t.Errorf("%.40q: %v, want %q", text, err, want)
		case !strings.Contains(err.Error(), want) || !fault.Is(err, fault.Invalid) || fault.As(err).Problems[0].Field != "expression":
			t.Errorf("%.40q: %v, want %q of the field expression", text, err, want)
		}
	}
}

// TestBounds holds that what is inlined counts.
func TestBounds(t *testing.T) {
	t.Parallel()
	tripled := func(name string) (string, bool) {
		level := name[1] - '0'
		if level == 0 {
			return "", true
		}
		return fmt.Sprintf("x%[1]d * x%[1]d * x%[1]d", level-1), true
	}
	if _, err := expression.Parse("", "x7", tripled); err == nil || !strings.Contains(err.Error(), "more than 500 operations") {
		t.Errorf("3^7 operations of inlined channels: %v", err)
	}
	anyName := func(string) (string, bool) { return "", true }
	var sum []string
	for i := range 33 {
		sum = append(sum, fmt.Sprintf("c%d", i))
	}
	if _, err := expression.Parse("", strings.Join(sum[:32], "+"), anyName); err != nil {
		t.Errorf("32 channels: %v", err)
	}
	if _, err := expression.Parse("", strings.Join(sum, "+"), anyName); err == nil || !strings.Contains(err.Error(), "more than 32 channels") {
		t.Errorf("33 channels: %v", err)
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a*b + c":              "((a * b) + c)",
		"pow(-a, 2)":           "((-a) ^ 2)",
		"moving == 1":          "if((if((a > 2), 1, 0) == 1), 1, 0)",
		"min(a, b, 1.50)":      "min(a, min(b, 1.5))",
		"clamp(a,0,1)":         "min(max(a, 0), 1)",
		"a > 0 ? nil : g":      "if((a > 0), nil, 9.81)",
		"coalesce(a, 1e30)":    "coalesce(a, 1e+30)",
		"!(a < b) or not(a>b)": "if(((!(a < b)) || (!(a > b))), 1, 0)",
		"abs(a)":               "abs(a)",
	} {
		e := parse(t, text)
		if e.String() != want || parse(t, want).String() != want {
			t.Errorf("%s is %s, and that %s, want %s", text, e, parse(t, e.String()), want)
		}
	}
	if got := parse(t, "c + efficiency").Channels(); fmt.Sprint(got) != "[c a b]" {
		t.Errorf("channels are %v", got)
	}
}

// generator makes random expressions. Those of exact agree in SQL and Go to the
// last bit, so that comparing and subtracting them is safe; rough ones stand on
// top of them, where nothing widens the difference of two libraries.
type generator struct{ *rand.Rand }

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

func (g generator) exact(depth int) string {
	if depth == 0 || g.IntN(8) == 0 {
		return pick(g, "a", "b", "c", "d", "a", "b", "c", "d", "0", "1", "2", "0.5", "1e300", "1e-300", "7e-310", "3", "1e19", "nil")
	}
	x := func() string { return g.exact(depth - 1) }
	switch g.IntN(12) {
	case 0, 1, 2, 3:
		return "(" + x() + pick(g, " + ", " - ", " * ", " / ", " % ", " / ", " * ") + x() + ")"
	case 4:
		return "(-" + x() + ")"
	case 5, 6:
		return pick(g, "abs", "floor", "ceil", "round", "sqrt") + "(" + x() + ")"
	case 7:
		return pick(g, "min", "max", "coalesce") + "(" + x() + ", " + x() + ", " + x() + ")"
	case 8:
		return "clamp(" + x() + ", " + x() + ", " + x() + ")"
	case 9:
		return "(" + x() + " ^ 1)"
	default:
		return "if(" + g.condition(depth-1) + ", " + x() + ", " + x() + ")"
	}
}

func (g generator) condition(depth int) string {
	if depth > 0 && g.IntN(3) == 0 {
		if g.IntN(3) == 0 {
			return "!(" + g.condition(depth-1) + ")"
		}
		return "(" + g.condition(depth-1) + pick(g, " && ", " || ") + g.condition(depth-1) + ")"
	}
	return "(" + g.exact(depth) + pick(g, " < ", " <= ", " > ", " >= ", " == ", " != ") + g.exact(depth) + ")"
}

func (g generator) rough(depth int) string {
	if depth == 0 || g.IntN(3) == 0 {
		x, y := g.exact(2), g.exact(1)
		switch g.IntN(4) {
		case 0:
			return "(" + x + " ^ " + pick(g, y, "2", "3", "-1", "0.5", "8") + ")"
		case 1:
			return "atan2(" + x + ", " + y + ")"
		default:
			return pick(g, "exp", "ln", "log10", "sin", "cos", "tan", "asin", "acos", "atan") + "(" + x + ")"
		}
	}
	x := func() string { return g.rough(depth - 1) }
	switch g.IntN(4) {
	case 0:
		return "(" + x() + pick(g, " * ", " / ") + x() + ")"
	case 1:
		return pick(g, "-", "abs", "sqrt") + "(" + x() + ")"
	case 2:
		return "coalesce(" + x() + ", " + x() + ")"
	default:
		return "if(" + g.condition(1) + ", " + x() + ", " + x() + ")"
	}
}

func (g generator) value() *float64 {
	v := pick(g, 0, math.Copysign(0, -1), 1, -1, 2, 0.5, 10, -10, 1e300, 1e-300, 1e100, 1e-100, 1e154, 1e-154, 5e-324, 1e-310,
		math.MaxFloat64, 0x1p-1022, math.Inf(1), math.Inf(-1), math.NaN(), math.Pi, 1e16, 1e30, 1.3e30, 7e-31, 1e18, 709.5, -708)
	switch g.IntN(6) {
	case 0:
		return nil
	case 1:
		v = float64(g.IntN(2001) - 1000)
	case 2:
		v = g.NormFloat64() * 100
	case 3:
		v = math.Ldexp(g.NormFloat64(), g.IntN(2100)-1070)
	case 4:
		v = -v
	}
	return &v
}

// TestAgreement compares Go with SQL over random expressions and values.
func TestAgreement(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	seed := rand.Uint64()
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	rows := make([]row, 300)
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = g.value()
		}
	}
	store(t, pool, rows)
	values, nulls := 0, 0
	for range 200 {
		text := g.exact(4)
		if g.IntN(2) == 0 {
			text = g.rough(2)
		}
		e := parse(t, text)
		got := ask(t, pool, "SELECT "+e.SQL(column)+" FROM inputs r ORDER BY id", text)
		for i, r := range rows {
			want := eval(e, r)
			if want == nil {
				nulls++
			} else {
				values++
			}
			if !equal(got[i], want) {
				t.Fatalf("seed %d: %s of %s is %s in SQL, %s in Go", seed, text, r, show(got[i]), show(want))
			}
		}
		// Constants are computed when the query is planned.
		r := rows[g.IntN(len(rows))]
		if got := ask(t, pool, "SELECT "+e.SQL(r.literal), text); !equal(got[0], eval(e, r)) {
			t.Fatalf("seed %d: %s of the constants %s is %s in SQL, %s in Go", seed, text, r, show(got[0]), show(eval(e, r)))
		}
	}
	if values < nulls/10 || nulls < values/10 {
		t.Errorf("%d values and %d NULLs do not tell much", values, nulls)
	}
}

// TestModulo compares both sides with what integers of any length come to.
func TestModulo(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	seed := rand.Uint64()
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	rows := make([]row, 3000)
	for i := range rows {
		a, b := g.value(), g.value()
		if g.IntN(2) == 0 && b != nil { // as often as not it goes in a few times
			a = number(*b * math.Ldexp(g.NormFloat64(), g.IntN(56)))
		}
		rows[i] = row{a, b}
	}
	store(t, pool, rows)
	e := parse(t, "a % b")
	got := ask(t, pool, "SELECT "+e.SQL(column)+" FROM inputs r ORDER BY id", "a % b")
	values := 0
	for i, r := range rows {
		want := modulo(r[0], r[1])
		if want != nil {
			values++
		}
		if here := eval(e, r); show(here) != show(want) || show(got[i]) != show(want) {
			t.Fatalf("seed %d: %s is %s in SQL, %s in Go, want %s", seed, r, show(got[i]), show(here), show(want))
		}
	}
	if values < len(rows)/4 {
		t.Errorf("seed %d: only %d values", seed, values)
	}
}

// modulo is what is left of a, by integers.
func modulo(a, b *float64) *float64 {
	const least = 0x1p-1022
	for _, v := range []*float64{a, b} {
		if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
			return nil
		}
	}
	whole := func(v float64) *big.Int { // as so many 2^-1074
		if math.Abs(v) < least {
			return new(big.Int)
		}
		exact, _ := new(big.Float).SetMantExp(big.NewFloat(v), 1074).Int(nil)
		return exact
	}
	x, y := whole(*a), whole(*b)
	if y.Sign() == 0 {
		return nil
	}
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	if q.Abs(q).BitLen() > 53 {
		return nil
	}
	v, _ := new(big.Float).SetMantExp(new(big.Float).SetInt(r), -1074).Float64()
	if math.Abs(v) < least {
		v = 0
	}
	return &v
}

func store(t *testing.T, pool *pgxpool.Pool, rows []row) {
	t.Helper()
	columns := make([][]*float64, 4)
	for _, r := range rows {
		for j, v := range r {
			columns[j] = append(columns[j], v)
		}
	}
	if _, err := pool.Exec(t.Context(), `
		CREATE TABLE inputs AS
		SELECT id, a, b, c, d
		FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) WITH ORDINALITY AS r (a, b, c, d, id)`,
		columns[0], columns[1], columns[2], columns[3]); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, pool *pgxpool.Pool, sql, text string) (values []*float64) {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v *float64
		if err := rows.Scan(&v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return values
}
