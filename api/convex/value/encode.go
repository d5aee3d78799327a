package value

import (
	"cmp"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Format is how a result is written.
type Format int

// The formats.
const (
	// Encoded keeps every type apart: bigints, bytes and special floats are
	// tagged objects. It is what Convex clients ask for.
	Encoded Format = iota
	// Clean is plain readable JSON; bigints become decimal strings, bytes
	// base64, and the special floats their names.
	Clean
)

// BigInt is a bigint: an argument that the client sent as one, or a result that
// must reach it as one whatever its size.
type BigInt int64

// maxSafeInteger is the largest whole number that a float64 holds exactly with
// all its neighbours.
const maxSafeInteger = 1 << 53

// Append appends a result to dst. It writes what encoding/json can, by
// the same struct tags, and also Appender, json.RawMessage (both passed
// through as they are), []byte, BigInt, NaN and infinities. Whole numbers
// beyond 2^53 become bigints.
func Append(dst []byte, v any, format Format) ([]byte, error) {
	switch v := v.(type) { // the common forms, without reflection
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return AppendString(dst, v), nil
	case float64:
		return appendFloat(dst, v, format), nil
	case json.RawMessage:
		if dst == nil && len(v) > 0 { // records of a whole run are not copied
			return v, nil
		}
	}
	return appendReflect(dst, reflect.ValueOf(v), format, 0)
}

func appendReflect(dst []byte, v reflect.Value, format Format, depth int) ([]byte, error) {
	if depth > maxNesting*2 {
		return nil, errNesting
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
	}
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case json.RawMessage:
			if len(x) == 0 {
				return append(dst, "null"...), nil
			}
			return append(dst, x...), nil
		case BigInt:
			return appendBigInt(dst, int64(x), format), nil
		case json.Marshaler:
			b, err := x.MarshalJSON()
			if err != nil {
				return nil, fmt.Errorf("encode %T: %w", x, err)
			}
			return append(dst, b...), nil
		case encoding.TextMarshaler:
			b, err := x.MarshalText()
			if err != nil {
				return nil, fmt.Errorf("encode %T: %w", x, err)
			}
			return AppendString(dst, string(b)), nil
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return appendReflect(dst, v.Elem(), format, depth+1)
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.String:
		return AppendString(dst, v.String()), nil
	case reflect.Float32, reflect.Float64:
		return appendFloat(dst, v.Float(), format), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := v.Int()
		if n > maxSafeInteger || n < -maxSafeInteger {
			return appendBigInt(dst, n, format), nil
		}
		return strconv.AppendInt(dst, n, 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := v.Uint()
		switch {
		case n > math.MaxInt64:
			return nil, fmt.Errorf("encode %d: beyond 64-bit integers", n)
		case n > maxSafeInteger:
			return appendBigInt(dst, int64(n), format), nil
		}
		return strconv.AppendUint(dst, n, 10), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return appendBytes(dst, v.Bytes(), format), nil
		}
		return appendArray(dst, v, format, depth)
	case reflect.Array:
		return appendArray(dst, v, format, depth)
	case reflect.Map:
		return appendMap(dst, v, format, depth)
	case reflect.Struct:
		return appendStruct(dst, v, format, depth)
	}
	return nil, fmt.Errorf("encode %s: no such value in Convex", v.Type())
}

// appendArray writes a nil slice as an empty array: a list that is empty is
// never null for a client.
func appendArray(dst []byte, v reflect.Value, format Format, depth int) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendReflect(dst, v.Index(i), format, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, v reflect.Value, format Format, depth int) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("encode %s: only text can be a field name", v.Type())
	}
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	var err error
	dst = append(dst, '{')
	for i, key := range keys {
		if err := checkFieldName(key.String()); err != nil {
			return nil, fmt.Errorf("encode %s: %w", v.Type(), err)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, key.String()), ':')
		if dst, err = appendReflect(dst, v.MapIndex(key), format, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendStruct(dst []byte, v reflect.Value, format Format, depth int) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	first := true
	for _, f := range fieldsOf(v.Type()) {
		member, ok := fieldByIndex(v, f.index)
		if !ok || f.omitEmpty && isEmpty(member) || f.omitZero && member.IsZero() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.quoted...)
		if dst, err = appendReflect(dst, member, format, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

type structField struct {
	quoted    []byte // the name, quoted, and its colon
	index     []int
	omitEmpty bool
	omitZero  bool
}

var fieldCache sync.Map // reflect.Type -> []structField

// fieldsOf lists the exported fields by their json tags. Fields of embedded
// structs count as the outer struct's own.
func fieldsOf(t reflect.Type) []structField {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]structField)
	}
	var fields []structField
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() || f.Anonymous && tag == "" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		fields = append(fields, structField{
			quoted:    append(AppendString(nil, name), ':'),
			index:     f.Index,
			omitEmpty: hasOption(options, "omitempty"),
			omitZero:  hasOption(options, "omitzero"),
		})
	}
	fieldCache.Store(t, fields)
	return fields
}

func hasOption(options, name string) bool {
	return slices.Contains(strings.Split(options, ","), name)
}

// fieldByIndex is reflect's, but a nil embedded pointer means no field.
func fieldByIndex(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func appendBytes(dst []byte, b []byte, format Format) []byte {
	if format == Encoded {
		dst = append(dst, `{"$bytes":`...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	dst = append(dst, '"')
	if format == Encoded {
		dst = append(dst, '}')
	}
	return dst
}

func appendBigInt(dst []byte, n int64, format Format) []byte {
	if format == Clean {
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, n, 10)
		return append(dst, '"')
	}
	return appendTagged(dst, `{"$integer":"`, uint64(n))
}

func appendTagged(dst []byte, open string, bits uint64) []byte {
	dst = append(dst, open...)
	dst = base64.StdEncoding.AppendEncode(dst, binary.LittleEndian.AppendUint64(nil, bits))
	return append(dst, `"}`...)
}

func appendFloat(dst []byte, f float64, format Format) []byte {
	if !isSpecial(f) {
		return appendFinite(dst, f)
	}
	if format == Encoded {
		bits := math.Float64bits(f)
		if math.IsNaN(f) {
			bits = 0x7ff8000000000000 // the one pattern that clients know
		}
		return appendTagged(dst, `{"$float":"`, bits)
	}
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return append(dst, "-0"...)
}

// appendFinite writes numbers as JavaScript does, exponents only where it does.
func appendFinite(dst []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
