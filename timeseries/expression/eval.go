package expression

// evaluator computes a node: a condition is 1 or 0.
type evaluator func(value func(i int) (float64, bool)) (float64, bool)

// evaluator takes rates from the walk, which is nil where there are none.
func (n *node) evaluator(w *Walk) evaluator {
	if n.form == rate {
		r := &w.rates[n.rate]
		return func(func(int) (float64, bool)) (float64, bool) { return r.value, r.known }
	}
	args := make([]evaluator, len(n.args))
	for i, arg := range n.args {
		args[i] = arg.evaluator(w)
	}
	switch n.form {
	case constant:
		v := n.value
		return func(func(int) (float64, bool)) (float64, bool) { return v, true }
	case channel:
		i := n.channel
		return func(value func(int) (float64, bool)) (float64, bool) {
			v, ok := value(i)
			if !ok {
				return 0, false
			}
			return settle(v)
		}
	case apply:
		if one := n.operation.one; len(args) == 1 {
			return func(value func(int) (float64, bool)) (float64, bool) {
				a, ok := args[0](value)
				if !ok {
					return 0, false
				}
				return settle(one(a))
			}
		}
		two := n.operation.two
		return func(value func(int) (float64, bool)) (float64, bool) {
			a, ok := args[0](value)
			if !ok {
				return 0, false
			}
			b, ok := args[1](value)
			if !ok {
				return 0, false
			}
			return settle(two(a, b))
		}
	case conditional:
		return func(value func(int) (float64, bool)) (float64, bool) {
			c, ok := args[0](value)
			switch {
			case !ok:
				return 0, false
			case c != 0:
				return args[1](value)
			}
			return args[2](value)
		}
	case fallback:
		return func(value func(int) (float64, bool)) (float64, bool) {
			if v, ok := args[0](value); ok {
				return v, true
			}
			return args[1](value)
		}
	default: // null
		return func(func(int) (float64, bool)) (float64, bool) { return 0, false }
	}
}
