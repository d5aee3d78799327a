package schema

var ErrLeaseLost = errLeaseLost
