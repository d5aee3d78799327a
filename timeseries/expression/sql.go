package expression

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SQL returns the expression as SQL of type double precision, immutable and safe
// in parallel. of returns the SQL of a channel, of type double precision and
// immutable. It should be as cheap as a column is, since it is written into the
// text three times, and twice more for each time that the expression names it.
//
// The text has two halves. Where all channels have values as sensors measure
// them (see usual), no operator can overflow, so that they stand there bare, at
// about 30 ns a record over reading it; elsewhere each is a function of the
// schema that looks first, at 200 ns each. Both come to the same.
func (e *Expression) SQL(of func(name string) string) string {
	channels := make([]string, len(e.channels))
	for i, name := range e.channels {
		channels[i] = "(" + of(name) + ")"
	}
	total, _ := e.root.sql(channels, false)
	// Adding 0 takes the sign off a zero, which Go's side does not keep either.
	if len(channels) == 0 {
		return "(" + total + " + 0)"
	}
	var ordinary []string
	for _, c := range channels {
		ordinary = append(ordinary, fmt.Sprintf("(abs(%s) BETWEEN %s AND %s OR %[1]s = 0 OR %[1]s IS NULL)",
			c, literal(math.Ldexp(1, usual.low)), literal(math.Ldexp(1, usual.high-1))))
	}
	plain, _ := e.root.sql(channels, true)
	return fmt.Sprintf("(CASE WHEN %s THEN %s ELSE %s END + 0)", strings.Join(ordinary, " AND "), plain, total)
}

// sql returns the node's SQL and the span of its value. With plain, the channels
// are of the usual span; else they may be anything.
func (n *node) sql(channels []string, plain bool) (string, span) {
	args, spans := make([]string, len(n.args)), make([]span, max(2, len(n.args)))
	for i, arg := range n.args {
		args[i], spans[i] = arg.sql(channels, plain)
	}
	switch n.form {
	case constant:
		return literal(n.value), spanOf(n.value)
	case channel:
		if plain {
			return channels[n.channel], usual
		}
		return "math_value(" + channels[n.channel] + ")", anything
	case conditional:
		// A simple CASE, since it evaluates the condition once.
		return fmt.Sprintf("(CASE %s WHEN true THEN %s WHEN false THEN %s END)", args[0], args[1], args[2]), either(spans[1], spans[2])
	case fallback:
		return fmt.Sprintf("COALESCE(%s, %s)", args[0], args[1]), either(spans[0], spans[1])
	case apply:
		if n.operation == pow && n.args[1].form == constant {
			if text, s := wholePower(args[0], spans[0], n.args[1].value); s.within(reach) {
				return text, s
			}
		}
		operands := []any{args[0]}
		if len(args) == 2 {
			operands = append(operands, args[1])
		}
		if n.operation.span == nil { // a condition
			return fmt.Sprintf(n.operation.plain, operands...), span{}
		}
		if s := n.operation.span(spans[0], spans[1]); s.within(reach) {
			return fmt.Sprintf(n.operation.plain, operands...), s
		}
		if n.operation.total != "" {
			return fmt.Sprintf(n.operation.total, operands...), anything
		}
		return fmt.Sprintf(n.operation.plain, operands...), anything
	default: // null
		return "NULL::float8", span{}
	}
}

// wholePower returns the SQL of a power with a small whole exponent, and its
// span, which is anything for other exponents.
func wholePower(base string, s span, exponent float64) (string, span) {
	n := int(exponent)
	if float64(n) != exponent || n < 1 || n > 16 {
		return "", anything
	}
	return fmt.Sprintf("power(%s, %s)", base, literal(exponent)), span{s.low * n, s.high * n}
}

func literal(v float64) string {
	return "float8 '" + strconv.FormatFloat(v, 'g', -1, 64) + "'"
}
