package expression

import "math"

// kind is the type of a node.
type kind int

const (
	number kind = iota
	truth
)

func (k kind) String() string {
	if k == truth {
		return "a condition"
	}
	return "a number"
}

// operation is a function of one or two values, neither of them NULL. Its Go
// side may return NaN or an infinity, which stand for NULL.
type operation struct {
	name    string
	infix   bool
	in, out kind
	one     func(a float64) float64
	two     func(a, b float64) float64
	// plain is the SQL, in which %[1]s and %[2]s are the operands. It must raise no
	// error where span says that the result is within reach.
	plain string
	// total is the SQL for any operands; empty: plain is that already.
	total string
	span  func(a, b span) span
}

func truthOf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// The arithmetic of the tree. What a template guards against, it guards against
// without naming an operand twice, so that the SQL grows with the tree only:
// LEAST and GREATEST move what is out of the domain onto a value next to it, which
// NULLIF makes NULL.
var (
	negate = &operation{name: "-", infix: true, one: func(a float64) float64 { return -a }, plain: "(- %[1]s)", span: same}
	add    = &operation{name: "+", infix: true, two: func(a, b float64) float64 { return a + b },
		plain: "(%[1]s + %[2]s)", total: "math_add(%[1]s, %[2]s)", span: sum}
	subtract = &operation{name: "-", infix: true, two: func(a, b float64) float64 { return a - b },
		plain: "(%[1]s - %[2]s)", total: "math_add(%[1]s, - %[2]s)", span: sum}
	multiply = &operation{name: "*", infix: true, two: func(a, b float64) float64 { return a * b },
		plain: "(%[1]s * %[2]s)", total: "math_multiply(%[1]s, %[2]s)",
		span: func(a, b span) span { return span{a.low + b.low, a.high + b.high} }}
	divide = &operation{name: "/", infix: true, two: quotient,
		plain: "(%[1]s / NULLIF(%[2]s, 0))", total: "math_divide(%[1]s, %[2]s)",
		span: func(a, b span) span { return span{a.low - b.high, a.high - b.low} }}
	// What is left is a multiple of the lesser operand's last place.
	modulo = &operation{name: "%", infix: true, two: remainder, plain: "math_modulo(%[1]s, %[2]s)",
		span: func(a, b span) span { return span{min(a.low, b.low) - 52, min(a.high, b.high)} }}
	pow = &operation{name: "^", infix: true, two: power, total: "math_power(%[1]s, %[2]s)", span: unknown}

	not = &operation{name: "!", infix: true, in: truth, out: truth, one: func(a float64) float64 { return 1 - a }, plain: "(NOT %[1]s)"}
	// SQL's AND and OR know an answer although one side is NULL; these do not.
	and = &operation{name: "&&", infix: true, in: truth, out: truth, two: math.Min, plain: "(%[1]s::int & %[2]s::int)::bool"}
	or  = &operation{name: "||", infix: true, in: truth, out: truth, two: math.Max, plain: "(%[1]s::int | %[2]s::int)::bool"}
)

var unary = map[string]*operation{"-": negate, "!": not, "not": not}

var binary = map[string]*operation{
	"+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo, "^": pow, "**": pow,
	"&&": and, "and": and, "||": or, "or": or,
	"<":  compare("<", "<", func(a, b float64) bool { return a < b }),
	"<=": compare("<=", "<=", func(a, b float64) bool { return a <= b }),
	">":  compare(">", ">", func(a, b float64) bool { return a > b }),
	">=": compare(">=", ">=", func(a, b float64) bool { return a >= b }),
	"==": compare("==", "=", func(a, b float64) bool { return a == b }),
	"!=": compare("!=", "<>", func(a, b float64) bool { return a != b }),
}

func compare(name, sql string, holds func(a, b float64) bool) *operation {
	return &operation{name: name, infix: true, out: truth,
		two:   func(a, b float64) float64 { return truthOf(holds(a, b)) },
		plain: "(%[1]s " + sql + " %[2]s)"}
}

// functions are those of one or two numbers. min, max, clamp, if and coalesce
// take more and are made of nodes by the parser.
var functions = map[string]*operation{}

func init() {
	for _, o := range []*operation{
		{name: "abs", one: math.Abs, plain: "abs(%[1]s)", span: same},
		{name: "floor", one: math.Floor, plain: "floor(%[1]s)", span: whole},
		{name: "ceil", one: math.Ceil, plain: "ceil(%[1]s)", span: whole},
		{name: "round", one: math.RoundToEven, plain: "round(%[1]s)", span: whole},
		{name: "sqrt", one: math.Sqrt, plain: "sqrt(NULLIF(GREATEST(%[1]s, float8 '-5e-324'), float8 '-5e-324'))",
			span: func(a, _ span) span { return span{a.low/2 - 1, a.high/2 + 1} }},
		{name: "exp", one: exponential, total: "math_exp(%[1]s)", span: unknown},
		{name: "ln", one: math.Log, plain: "ln(NULLIF(GREATEST(%[1]s, 0), 0))", span: within(-54, 10)},
		{name: "log10", one: log10, plain: "log10(NULLIF(GREATEST(%[1]s, 0), 0))", span: within(-55, 9)},
		// The least sine of a double that is not near 0 itself is about 2^-61.
		{name: "sin", one: math.Sin, plain: "sin(%[1]s)", span: wave(1)},
		{name: "cos", one: math.Cos, plain: "cos(%[1]s)", span: within(-70, 1)},
		{name: "tan", one: math.Tan, plain: "tan(%[1]s)", span: wave(70)},
		{name: "asin", one: asin, plain: "asin(" + unit + ")", span: func(a, _ span) span { return span{a.low - 1, 1} }},
		{name: "acos", one: acos, plain: "acos(" + unit + ")", span: within(-28, 2)},
		{name: "atan", one: math.Atan, plain: "atan(%[1]s)", span: func(a, _ span) span { return span{min(a.low, 0) - 1, 1} }},
		// Adding 0 takes the sign off a zero.
		{name: "atan2", two: atan2, plain: "atan2(%[1]s + 0, %[2]s + 0)", total: "math_value(atan2(%[1]s + 0, %[2]s + 0))",
			span: func(a, b span) span { return span{min(a.low-b.high, 0) - 2, 2} }},
		{name: "min", two: math.Min, plain: "float8smaller(%[1]s, %[2]s)", span: either},
		{name: "max", two: math.Max, plain: "float8larger(%[1]s, %[2]s)", span: either},
	} {
		functions[o.name] = o
	}
	functions["pow"] = pow
}

const (
	below = "float8 '-1.0000000000000002'" // the double next to -1
	above = "float8 '1.0000000000000002'"
	unit  = "NULLIF(NULLIF(LEAST(GREATEST(%[1]s, " + below + "), " + above + "), " + below + "), " + above + ")"
)

// What follows is done by math_exp and its like in the migrations as well; the
// bounds are the same there.
const (
	leastNormal = 0x1p-1022
	leastLog    = -708.39 // next above the logarithm of leastNormal
	mostLog     = 709.78  // next below that of the greatest double
	mostPower   = 1e6
)

// settle returns the value of a node from what its arithmetic came to.
func settle(v float64) (float64, bool) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, false
	case math.Abs(v) < leastNormal:
		return 0, true
	}
	return v, true
}

func quotient(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

// remainder is exact, as math.Mod is; see math_modulo.
func remainder(a, b float64) float64 {
	if b == 0 || math.Abs(a) >= math.Abs(b)*(1<<53) {
		return math.NaN()
	}
	return math.Mod(a, b)
}

func exponential(a float64) float64 {
	switch {
	case a > mostLog:
		return math.NaN()
	case a < leastLog:
		return 0
	}
	// At its very edges math.Exp is infinite, and less than exact.
	half := math.Exp(a / 2)
	return half * half
}

func power(a, b float64) float64 {
	switch {
	case math.Abs(b) > mostPower, a == 0 && b < 0, a < 0 && b != math.Trunc(b):
		return math.NaN()
	case a == 0:
		return truthOf(b == 0)
	case math.Abs(b) < 1e-300: // would multiply to less than there are numbers for
		return 1
	}
	switch l := b * math.Log(math.Abs(a)); {
	case l > mostLog:
		return math.NaN()
	case l < leastLog:
		return 0
	}
	return math.Pow(a, b)
}

// log10 is exact for powers of ten, as C's is, and near 1, where math.Log10 loses
// its digits.
func log10(a float64) float64 {
	l := math.Log(a) / math.Ln10
	if n := math.Round(l); math.Pow10(int(n)) == a {
		return n
	}
	return l
}

// asin and acos keep their digits near 1, where those of math do not.
func asin(a float64) float64 { return math.Atan2(a, math.Sqrt((1-a)*(1+a))) }
func acos(a float64) float64 { return 2 * math.Atan2(math.Sqrt(1-a), math.Sqrt(1+a)) }

// atan2 has the sign of a, which math.Atan2 loses where a / b is too small for a
// double.
func atan2(a, b float64) float64 {
	v := math.Atan2(math.Abs(a), b)
	if a < 0 {
		return -v
	}
	return v
}
