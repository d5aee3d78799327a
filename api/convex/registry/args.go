package registry

import (
	"encoding/json"
	"math"
)

// Args are the checked arguments of a call, or one object inside them. The
// accessors return the zero value for an absent argument.
type Args map[string]any

// Has reports whether the argument was given.
func (a Args) Has(name string) bool { _, ok := a[name]; return ok }

// String returns a text, or "".
func (a Args) String(name string) string { s, _ := a[name].(string); return s }

// Number returns a number, or otherwise when it is absent.
func (a Args) Number(name string, otherwise float64) float64 {
	if f, ok := a[name].(float64); ok {
		return f
	}
	return otherwise
}

// Clamp returns a whole number, rounded down, between low and high; otherwise
// when it is absent or not a number.
func (a Args) Clamp(name string, low, high, otherwise int) int {
	f, ok := a[name].(float64)
	if !ok || math.IsNaN(f) {
		return otherwise
	}
	return int(math.Min(math.Max(math.Floor(f), float64(low)), float64(high)))
}

// Bool returns a boolean, or false.
func (a Args) Bool(name string) bool { b, _ := a[name].(bool); return b }

// Object returns an object, or nil.
func (a Args) Object(name string) Args { m, _ := a[name].(map[string]any); return m }

// List returns a list, or nil.
func (a Args) List(name string) []any { l, _ := a[name].([]any); return l }

// Objects returns a list of objects.
func (a Args) Objects(name string) []Args {
	list := a.List(name)
	objects := make([]Args, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		objects = append(objects, m)
	}
	return objects
}

// Raw returns the bytes of an argument declared with Raw. They are part of the
// request's buffer: do not keep them after Run has returned.
func (a Args) Raw(name string) json.RawMessage { r, _ := a[name].(json.RawMessage); return r }
