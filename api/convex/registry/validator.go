package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Validator says which values an argument may have.
type Validator interface {
	// check refuses v with an argument error that names path. It may drop null
	// members of v that stand for absent ones.
	check(v any, path string) error
	// String returns the validator as messages show it.
	String() string
}

// argumentError is the failure of a validator. Clients look for its first word.
func argumentError(format string, args ...any) error {
	return fault.New(fault.Invalid, "ArgumentValidationError: "+format, args...)
}

func mismatch(v any, path string, want Validator) error {
	return argumentError("Value does not match validator. Path: %s. Value: %s. Validator: %s", path, typeName(v), want)
}

// typeName names the type of a value. Messages never show the value itself: it
// may be a password.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case float64:
		return "a number"
	case value.BigInt:
		return "a bigint"
	case []byte:
		return "bytes"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

type typeValidator struct {
	name  string
	match func(any) bool
}

func (t typeValidator) String() string { return t.name }

func (t typeValidator) check(v any, path string) error {
	if !t.match(v) {
		return mismatch(v, path, t)
	}
	return nil
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

// String accepts text.
func String() Validator { return typeValidator{"v.string()", is[string]} }

// Number accepts a float64, special values included.
func Number() Validator { return typeValidator{"v.number()", is[float64]} }

// Bool accepts true and false.
func Bool() Validator { return typeValidator{"v.boolean()", is[bool]} }

// Any accepts every value.
func Any() Validator { return typeValidator{"v.any()", func(any) bool { return true }} }

// Literals accepts just these texts.
func Literals(texts ...string) Validator {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return typeValidator{
		"v.union(" + strings.Join(quoted, ", ") + ")",
		func(v any) bool { text, ok := v.(string); return ok && slices.Contains(texts, text) },
	}
}

type nullableValidator struct{ Validator }

// Nullable accepts null and what v does.
func Nullable(v Validator) Validator { return nullableValidator{v} }

func (n nullableValidator) String() string { return "v.union(" + n.Validator.String() + ", v.null())" }

func (n nullableValidator) check(v any, path string) error {
	if v == nil || n.Validator.check(v, path) == nil {
		return nil
	}
	return mismatch(v, path, n)
}

type arrayValidator struct{ item Validator }

// Array accepts a list whose every item does what item wants.
func Array(item Validator) Validator { return arrayValidator{item} }

func (a arrayValidator) String() string { return "v.array(" + a.item.String() + ")" }

func (a arrayValidator) check(v any, path string) error {
	list, ok := v.([]any)
	if !ok {
		return mismatch(v, path, a)
	}
	for i, item := range list {
		if err := a.item.check(item, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}

type rawValidator struct{}

// Raw accepts any JSON and leaves it undecoded, for Args.Raw. It stands for an
// argument of its own, not inside another. It is for bulk: the function decodes
// the bytes by itself, and nobody else does.
func Raw() Validator { return rawValidator{} }

func (rawValidator) String() string          { return "v.any()" }
func (rawValidator) check(any, string) error { return nil }

// ObjectField is one member of an object.
type ObjectField struct {
	name      string
	validator Validator
	optional  bool
}

// Field is a member that must be there.
func Field(name string, v Validator) ObjectField { return ObjectField{name: name, validator: v} }

// Optional is a member that may be absent. Null counts as absent, unless v
// accepts null.
func Optional(name string, v Validator) ObjectField {
	return ObjectField{name: name, validator: v, optional: true}
}

// ObjectValidator accepts an object with these members and no others.
type ObjectValidator struct {
	fields []ObjectField
	index  map[string]int
}

// Object makes an ObjectValidator.
func Object(fields ...ObjectField) *ObjectValidator {
	o := &ObjectValidator{fields: fields, index: make(map[string]int, len(fields))}
	for i, f := range fields {
		o.index[f.name] = i
	}
	return o
}

// Has reports whether the object may have the member.
func (o *ObjectValidator) Has(name string) bool { _, ok := o.index[name]; return ok }

// String returns the validator as messages show it.
func (o *ObjectValidator) String() string {
	var b strings.Builder
	b.WriteString("v.object({")
	for i, f := range o.fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.name)
		if f.optional {
			b.WriteString("?")
		}
		b.WriteString(": " + f.validator.String())
	}
	return b.String() + "})"
}

func (o *ObjectValidator) check(v any, path string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return mismatch(v, path, o)
	}
	for name, member := range object {
		drop, err := o.checkMember(name, member, path)
		if err != nil {
			return err
		}
		if drop {
			delete(object, name)
		}
	}
	return o.checkPresent(path, func(name string) bool { _, ok := object[name]; return ok })
}

// checkMember checks one member and says whether to drop it.
func (o *ObjectValidator) checkMember(name string, member any, path string) (drop bool, err error) {
	i, ok := o.index[name]
	if !ok {
		return false, o.extraField(name, path)
	}
	f := o.fields[i]
	err = f.validator.check(member, path+"."+name)
	if err != nil && f.optional && member == nil {
		return true, nil
	}
	return false, err
}

func (o *ObjectValidator) extraField(name, path string) error {
	return argumentError("Object contains extra field `%.80s` that is not in the validator. Path: %s. Validator: %s", name, orRoot(path), o)
}

func (o *ObjectValidator) checkPresent(path string, has func(string) bool) error {
	for _, f := range o.fields {
		if !f.optional && !has(f.name) {
			return argumentError("Object is missing the required field `%s`. Path: %s. Validator: %s", f.name, orRoot(path), o)
		}
	}
	return nil
}

func orRoot(path string) string {
	if path == "" {
		return "(arguments)"
	}
	return path
}

// decodeArgs decodes and checks the members of the arguments' object. Those that
// the validator leaves raw stay slices of it.
func decodeArgs(members []value.Member, validator *ObjectValidator) (Args, error) {
	args := make(Args, len(validator.fields))
	for _, m := range members {
		i, ok := validator.index[m.Name]
		if !ok {
			return nil, validator.extraField(m.Name, "")
		}
		if _, raw := validator.fields[i].validator.(rawValidator); raw {
			args[m.Name] = json.RawMessage(m.Value)
			continue
		}
		member, err := value.Decode(m.Value)
		if err != nil {
			return nil, argumentError("Path: .%s. %v", m.Name, err)
		}
		drop, err := validator.checkMember(m.Name, member, "")
		if err != nil {
			return nil, err
		}
		delete(args, m.Name) // a repeated member: the last one counts
		if !drop {
			args[m.Name] = member
		}
	}
	return args, validator.checkPresent("", func(name string) bool { _, ok := args[name]; return ok })
}
