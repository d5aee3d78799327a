package expression_test

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/expression"
)

var (
	token = regexp.MustCompile(`r\."[abcd]"|float8 '[0-9.e+-]+'|[A-Za-z_][A-Za-z_0-9]*|::|<=|>=|<>|[-+*/<>=&|(),0]`)
	words = strings.Fields(`CASE WHEN THEN ELSE END AND OR NOT IS NULL BETWEEN true false COALESCE NULLIF LEAST GREATEST
		int bool float8 float8smaller float8larger abs floor ceil round sqrt ln log10 sin cos tan asin acos atan atan2 power
		math_value math_add math_multiply math_divide math_modulo math_exp math_power`)
)

// FuzzParse holds that no text makes a panic, that the SQL of what is parsed
// consists of our own words, and that its values are finite.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a * b", "if(a < 2 && b > 2, 1, 0)", "sqrt(a^2 + b^2)", "clamp(a, -1, 1)", "a > 0 ? b : nil", "1 < a < 3", "efficiency",
		"round_about", `a"; DROP TABLE telemetry; --`, "a || 'x'", "`a`", "a /* b */", "a # b", "a | abs()", "::abs(a)", "a?.b[1:2]",
		"filter(a, # > 1)", "{a: 1}", "let x = a; x", "0x1F ** -1e-5", "not a in b", "m7", "-(-a)", "b'\\x00'", "$env", "é", "\xff",
		"rate(a)", "rate(a * b) / rate(c) + rate(power)", "rate(rate(a))", "rate(slope)", "rate(moving) > 1 ? rate(b) : nil", "rate()", "rate(a, b)", "a % b",
		"atan2(ln(a), log10(b)) + min(a, b, c, d) - coalesce(exp(a), tan(b), pow(c, d))",
	} {
		f.Add(text)
	}
	samples := []float64{0, math.Copysign(0, -1), 1, -2.5, 1e300, -1e-300, 5e-324, math.Inf(1), math.NaN()}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expression.Parse("self", text, lookup)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		sql := e.SQL(column)
		if len(sql) > 200_000 {
			t.Errorf("%q is %d bytes of SQL", text, len(sql))
		}
		for _, word := range token.FindAllString(sql, -1) {
			if (word[0] >= 'A' && word[0] <= 'Z' || word[0] >= 'a' && word[0] <= 'z') && !strings.ContainsAny(word, `"'`) && !slices.Contains(words, word) {
				t.Fatalf("%q: %s in %s", text, word, sql)
			}
		}
		if rest := strings.TrimSpace(token.ReplaceAllString(sql, "")); rest != "" || strings.Contains(sql, "--") {
			t.Fatalf("%q: %q in %s", text, rest, sql)
		}
		again, err := expression.Parse("", e.String(), lookup)
		if err == nil && again.String() != e.String() {
			t.Fatalf("%q is %s, and that %s", text, e, again)
		}
		compute := e.Eval
		if e.Neighbours() {
			walk, micros := e.Walk(), int64(0)
			compute = func(value func(int) (float64, bool)) (float64, bool) {
				micros += 1
				return walk.Step(micros, value)
			}
		}
		for _, v := range samples {
			got, ok := compute(func(i int) (float64, bool) { return v + float64(i), i < 3 })
			if math.IsNaN(got) || math.IsInf(got, 0) || !ok && got != 0 {
				t.Fatalf("%q of %v is %v, %v", text, v, got, ok)
			}
		}
	})
}
