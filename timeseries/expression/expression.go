package expression

import (
	"strconv"
	"strings"
)

// Expression is a parsed one, with the math channels that it uses inlined.
type Expression struct {
	channels []string
	root     *node
	rates    []*node   // in the tree
	eval     evaluator // nil with rates
}

// Channels returns the names of the stored channels that it reads, each once, in
// the order in which they come. It may be empty.
func (e *Expression) Channels() []string { return e.channels }

// Neighbours reports whether the value in a record depends on those before it, which a
// Walk knows; Eval and SQL are only of an Expression without.
func (e *Expression) Neighbours() bool { return len(e.rates) > 0 }

// Eval computes the value in Go. value returns that of channel i of Channels, and
// false where it is NULL; ok is false where the result is NULL.
func (e *Expression) Eval(value func(i int) (v float64, ok bool)) (v float64, ok bool) {
	return e.eval(value)
}

// String returns the canonical form, which parses to the same: every operation
// in brackets, what was inlined written out. Two expressions of one form have
// the same values.
func (e *Expression) String() string {
	var b strings.Builder
	e.write(&b, e.root)
	return b.String()
}

func (e *Expression) write(b *strings.Builder, n *node) {
	switch {
	case n.form == constant:
		b.WriteString(strconv.FormatFloat(n.value, 'g', -1, 64))
		return
	case n.form == null:
		b.WriteString("nil")
		return
	case n.form == channel:
		b.WriteString(e.channels[n.channel])
		return
	case n.form == conditional:
		b.WriteString("if")
	case n.form == fallback:
		b.WriteString("coalesce")
	case n.form == rate:
		b.WriteString("rate")
	case !n.operation.infix:
		b.WriteString(n.operation.name)
	}
	b.WriteByte('(')
	separator := ", "
	if n.form == apply && n.operation.infix {
		separator = " " + n.operation.name + " "
		if len(n.args) == 1 {
			b.WriteString(n.operation.name)
		}
	}
	for i, arg := range n.args {
		if i > 0 {
			b.WriteString(separator)
		}
		e.write(b, arg)
	}
	b.WriteByte(')')
}

// form tells what a node is.
type form int

const (
	constant    form = iota // value
	null                    // NULL
	channel                 // channel
	apply                   // operation over one or two args, NULL where one is
	conditional             // the second arg where the first holds, else the third
	fallback                // the first arg, or the second where that is NULL
	rate                    // the change of the arg per second
)

type node struct {
	form      form
	kind      kind
	value     float64
	channel   int // of Expression.channels
	rate      int // of Expression.rates
	operation *operation
	args      []*node
}
