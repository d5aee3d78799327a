// Package expression is the language of math channels: what
// power = voltage_v * current_a may say, and what it comes to.
//
//	text ── expr-lang's parser ── whitelist, types, bounds ──> tree ─┬─ SQL(of)     ──> text of ours over columns
//	           other math channels ── inlined, no circles ──┘        ├─ Eval(value) ──> number or NULL
//	                                                       with rates: └─ Walk: Step(time, value), record by record
//
// It owns no table and reads none: who parses says what a name is, and who
// evaluates says what a channel's value is. An Expression does not change and is
// safe for concurrent use.
//
// # Meaning
//
// Values are double precision or NULL. NULL in, NULL out, but for coalesce and
// the branch of an if that is not taken. Every node is total: what has no finite
// value (a division by zero, an overflow, a root of -1, a logarithm of 0, an
// input that is NaN or infinite) is NULL, and what is nearer to zero than 2^-1022,
// the least normal number, is 0. So the SQL raises no error for any input.
//
//	x + y  x - y  x * y  x / y  x % y  x ^ y  -x    numbers; x ^ y is also pow(x, y)
//	x < y  <=  >  >=  ==  !=  && || !                truth; 1 or 0 as a result
//	if(c, x, y)  c ? x : y  coalesce(x, y, ...)  nil
//	min(x, y, ...)  max(x, y, ...)  clamp(x, lo, hi)  abs  floor  ceil  round
//	sqrt  exp  ln  log10  sin  cos  tan  asin  acos  atan  atan2(y, x)
//
// Angles are radians. round takes ties to the even neighbour, as PostgreSQL does.
// x % y has the sign of x, and is NULL where y goes into x 2^53 times or more.
// An exponent beyond ±1,000,000 is NULL: beyond it the two sides would no longer
// agree.
//
// # Rates
//
// rate(x) is the change of x per second: (x - previous x) / (seconds between the two
// records), where the previous one is the last before, in the order of time, batch and
// ord, in which x has a value. It is NULL where x is, where there is none within Reach,
// and where the two are of one time. x has no rate in it. An Expression with a rate has
// no value of a record alone: no SQL, and no Eval, but Walks over records in that order.
//
// # SQL and Go
//
// Arithmetic, sqrt, rounding and comparisons agree to the last bit. exp, pow,
// logarithms and trigonometry come from two libraries and agree to a relative
// 1e-9 of the node (in practice 1e-15; pow with an exponent of n to n * 2e-16).
// What follows can widen that, as subtracting near-equals or comparing at the
// very edge does anywhere.
package expression
