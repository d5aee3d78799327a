package convex

import "context"

// echo makes a function that returns its "value" argument.
func echo(name string, kind Kind) Function {
	return Function{Name: name, Kind: kind, Args: Object(Optional("value", Any())),
		Run: func(_ context.Context, c *Call) (any, error) { return c.Args["value"], nil }}
}
