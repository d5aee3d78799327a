package rest

import "time"

// NullIfZero is how an answer says that there is nothing.
func NullIfZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// InUTC is how an answer writes a time that may not be there.
func InUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}
