package convex

// Rule names what a caller must be allowed to do to run a function.
type Rule = string

// Principal is who calls.
type Principal = any
