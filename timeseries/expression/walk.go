package expression

import "time"

// Reach is how far before a record rate(x) looks for an earlier x. The change over a
// longer silence says nothing of the record's own moment.
const Reach = time.Minute

// Walk computes an Expression over records of one run, each of which is given once, in
// the order of time, batch and ord. It is for use by one goroutine.
type Walk struct {
	rates []rateOf
	eval  evaluator
}

// rateOf is where a walk stands with one rate.
type rateOf struct {
	of     evaluator
	before float64 // the newest value so far
	at     int64   // and when that was, µs
	any    bool    // there was one

	value float64 // of the record
	known bool
}

// Walk begins one. A record that begins a page, or is looked at alone, has its value
// when all records of the Reach before it went by.
func (e *Expression) Walk() *Walk {
	w := &Walk{rates: make([]rateOf, len(e.rates))}
	for i, n := range e.rates {
		w.rates[i].of = n.args[0].evaluator(nil)
	}
	w.eval = e.root.evaluator(w)
	return w
}

// Step returns the value in the next record, which was measured so many microseconds
// after 1970; its channels and ok are as with Eval.
func (w *Walk) Step(micros int64, value func(i int) (v float64, ok bool)) (v float64, ok bool) {
	for i := range w.rates { // those in a branch that is not taken as well
		w.rates[i].step(micros, value)
	}
	return w.eval(value)
}

func (r *rateOf) step(micros int64, value func(i int) (float64, bool)) {
	r.value, r.known = 0, false
	v, ok := r.of(value)
	if !ok {
		return
	}
	if since := micros - r.at; r.any && since > 0 && since <= Reach.Microseconds() {
		if change, ok := settle(v - r.before); ok {
			r.value, r.known = settle(change / (float64(since) / 1e6))
		}
	}
	r.before, r.at, r.any = v, micros, true
}

// Primed reports whether each of its rates has an earlier value to go by already, so
// that no older record matters.
func (w *Walk) Primed() bool {
	for i := range w.rates {
		if !w.rates[i].any {
			return false
		}
	}
	return true
}
