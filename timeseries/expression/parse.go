package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Bounds of an expression. Nodes, depth and channels are counted with what was
// inlined; they keep the SQL below about 100 kB.
const (
	maxText     = 4096 // bytes
	maxNodes    = 500
	maxDepth    = 64
	maxChannels = 32
	maxInlined  = 8 // math channels within one another
)

// Lookup tells what a name stands for: a channel that is stored, with an empty
// expression, or a math channel, with its own. ok is false for any other name.
type Lookup func(name string) (expression string, ok bool)

// Parse reads the expression of the math channel name, which may be empty; lookup
// need not know it yet. An error is fault.Invalid about the field expression, and
// says where: by the character, from 1, and by the math channel where that is
// another one.
func Parse(name, text string, lookup Lookup) (*Expression, error) {
	b := builder{lookup: lookup, path: []string{name}}
	root, err := b.parse(text, 0)
	if err != nil {
		return nil, fault.Field("expression", "%s", err.Error())
	}
	e := &Expression{channels: b.channels, root: root, rates: b.rates}
	if !e.Neighbours() {
		e.eval = root.evaluator(nil)
	}
	return e, nil
}

// builder makes our tree of the parser's.
type builder struct {
	lookup   Lookup
	channels []string
	nodes    int
	path     []string // the math channels that are being read, outermost first
	rates    []*node
	inRate   bool
}

// parse returns the tree of a math channel, as a number.
func (b *builder) parse(text string, depth int) (*node, error) {
	switch {
	case len(text) > maxText:
		return nil, fmt.Errorf("longer than %d bytes", maxText)
	case strings.TrimSpace(text) == "":
		return nil, errors.New("empty")
	}
	// In this language, if is a function.
	tree, err := parser.ParseWithConfig(text, &conf.Config{MaxNodes: maxNodes, DisableIfOperator: true})
	var at *file.Error
	if errors.As(err, &at) {
		return nil, refuse(at.Location, "%s", at.Message)
	}
	if err != nil {
		return nil, err
	}
	n, err := b.build(tree.Node, depth)
	if err != nil {
		return nil, err
	}
	if n.kind == truth {
		return &node{form: conditional, args: []*node{n, {value: 1}, {value: 0}}}, nil
	}
	return n, nil
}

func refuse(at file.Location, format string, args ...any) error {
	return fmt.Errorf("character %d: %s", at.From+1, fault.Clip(fmt.Sprintf(format, args...)))
}

func (b *builder) build(source ast.Node, depth int) (*node, error) {
	at := source.Location()
	switch b.nodes++; {
	case b.nodes > maxNodes:
		return nil, refuse(at, "more than %d operations, with what the used math channels do", maxNodes)
	case depth > maxDepth:
		return nil, refuse(at, "nested deeper than %d", maxDepth)
	}
	switch source := source.(type) {
	case *ast.IntegerNode:
		return &node{value: float64(source.Value)}, nil
	case *ast.FloatNode:
		v, _ := settle(source.Value)
		return &node{value: v}, nil
	case *ast.NilNode:
		return &node{form: null}, nil
	case *ast.IdentifierNode:
		return b.name(source, depth)
	case *ast.UnaryNode:
		if source.Operator == "+" {
			return b.operand(source.Node, number, depth)
		}
		if o := unary[source.Operator]; o != nil {
			return b.apply(o, []ast.Node{source.Node}, depth)
		}
		return nil, refuse(at, "the operator %s is not one of this language", source.Operator)
	case *ast.BinaryNode:
		if o := binary[source.Operator]; o != nil {
			return b.apply(o, []ast.Node{source.Left, source.Right}, depth)
		}
		return nil, refuse(at, "the operator %s is not one of this language", source.Operator)
	case *ast.ConditionalNode:
		return b.call("if", source.Cond.Location(), []ast.Node{source.Cond, source.Exp1, source.Exp2}, depth)
	case *ast.BuiltinNode:
		return b.call(source.Name, at, source.Arguments, depth)
	case *ast.CallNode:
		if callee, ok := source.Callee.(*ast.IdentifierNode); ok {
			return b.call(callee.Value, at, source.Arguments, depth)
		}
	}
	return nil, refuse(at, "only numbers, channels, operators and functions can stand here")
}

// name returns the node of a channel, or what a math channel is made of.
func (b *builder) name(source *ast.IdentifierNode, depth int) (*node, error) {
	name, at := source.Value, source.Location()
	if i := slices.Index(b.path, name); i >= 0 {
		return nil, refuse(at, "%s uses itself: %s", name, strings.Join(append(b.path[i:], name), " uses "))
	}
	text, ok := b.lookup(name)
	switch {
	case !ok:
		return nil, refuse(at, "there is no channel %s", name)
	case text != "":
		if len(b.path) > maxInlined {
			return nil, refuse(at, "more than %d math channels use one another", maxInlined)
		}
		b.path = append(b.path, name)
		defer func() { b.path = b.path[:len(b.path)-1] }()
		n, err := b.parse(text, depth+1)
		if err != nil {
			return nil, fmt.Errorf("in %s: %w", name, err)
		}
		return n, nil
	}
	i := slices.Index(b.channels, name)
	if i < 0 {
		if i = len(b.channels); i == maxChannels {
			return nil, refuse(at, "more than %d channels", maxChannels)
		}
		b.channels = append(b.channels, name)
	}
	return &node{form: channel, channel: i}, nil
}

// operand returns the node of what has to be of the kind.
func (b *builder) operand(source ast.Node, want kind, depth int) (*node, error) {
	n, err := b.build(source, depth+1)
	if err != nil {
		return nil, err
	}
	if n.kind != want {
		hint := "write if(..., 1, 0)"
		if want == truth {
			hint = "compare it, as in x != 0"
		}
		return nil, refuse(source.Location(), "%s is needed here, and this is %s; %s", want, n.kind, hint)
	}
	return n, nil
}

func (b *builder) operands(sources []ast.Node, want kind, depth int) (nodes []*node, err error) {
	nodes = make([]*node, len(sources))
	for i, source := range sources {
		if nodes[i], err = b.operand(source, want, depth); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (b *builder) apply(o *operation, sources []ast.Node, depth int) (*node, error) {
	args, err := b.operands(sources, o.in, depth)
	if err != nil {
		return nil, err
	}
	return &node{form: apply, kind: o.out, operation: o, args: args}, nil
}

func (b *builder) call(name string, at file.Location, sources []ast.Node, depth int) (*node, error) {
	takes := func(least, most int) error {
		switch got := len(sources); {
		case got < least && least < most:
			return refuse(at, "%s takes at least %d values, not %d", name, least, got)
		case got > most && least < most:
			return refuse(at, "%s takes at most %d values, not %d", name, most, got)
		case got != least && least == most:
			return refuse(at, "%s takes %d, not %d", name, least, got)
		}
		return nil
	}
	if name == "if" {
		if err := takes(3, 3); err != nil {
			return nil, err
		}
		condition, err := b.operand(sources[0], truth, depth)
		if err != nil {
			return nil, err
		}
		branches, err := b.operands(sources[1:], number, depth)
		if err != nil {
			return nil, err
		}
		return &node{form: conditional, args: append([]*node{condition}, branches...)}, nil
	}
	if name == "rate" {
		if err := takes(1, 1); err != nil {
			return nil, err
		}
		if b.inRate {
			return nil, refuse(at, "a rate cannot be of another rate")
		}
		b.inRate = true
		defer func() { b.inRate = false }()
		args, err := b.operands(sources, number, depth)
		if err != nil {
			return nil, err
		}
		n := &node{form: rate, rate: len(b.rates), args: args}
		b.rates = append(b.rates, n)
		return n, nil
	}
	least, most := 2, 2
	switch o := functions[name]; {
	case o != nil && o.one != nil:
		least, most = 1, 1
	case name == "clamp":
		least, most = 3, 3
	case name == "min", name == "max", name == "coalesce":
		most = 16
	case o == nil:
		return nil, refuse(at, "there is no function %s", name)
	}
	if err := takes(least, most); err != nil {
		return nil, err
	}
	args, err := b.operands(sources, number, depth)
	if err != nil {
		return nil, err
	}
	return combine(name, args), nil
}

// combine returns the node of a function of numbers. Those of many are made of
// ones of two, in a tree as flat as can be.
func combine(name string, args []*node) *node {
	switch half := len(args) / 2; {
	case name == "clamp":
		return combine("min", []*node{combine("max", args[:2]), args[2]})
	case len(args) > 2:
		return combine(name, []*node{combine(name, args[:half]), combine(name, args[half:])})
	case len(args) == 1 && (functions[name] == nil || functions[name].two != nil):
		return args[0] // the odd one of three
	case functions[name] != nil:
		return &node{form: apply, operation: functions[name], args: args}
	default:
		return &node{form: fallback, args: args}
	}
}
