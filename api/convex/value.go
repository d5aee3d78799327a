package convex

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// DecodeValue decodes one value in Convex's JSON encoding. It gives nil, bool,
// string, float64, BigInt, []byte, []any and map[string]any.
func DecodeValue(b []byte) (any, error) {
	// Measuring first keeps hostile nesting away from the recursive decoder.
	start := skipSpace(b, 0)
	end, err := skipValue(b, start)
	if err != nil {
		return nil, err
	}
	if err := atEnd(b, end); err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	return fromJSON(v)
}

// fromJSON replaces the tagged objects by what they stand for.
func fromJSON(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case []any:
		for i := range v {
			if v[i], err = fromJSON(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name, member := range v {
			if len(name) > 0 && name[0] == '$' {
				if len(v) == 1 {
					return untag(name, member)
				}
				return nil, fmt.Errorf("field name %q starts with $", shorten(name))
			}
			if err := checkFieldName(name); err != nil {
				return nil, err
			}
			if v[name], err = fromJSON(member); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// checkFieldName refuses the names that the client would throw on.
func checkFieldName(name string) error {
	if len(name) > 1024 {
		return fmt.Errorf("field name %q is longer than 1024 characters", shorten(name))
	}
	if len(name) > 0 && name[0] == '$' {
		return fmt.Errorf("field name %q starts with $", shorten(name))
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] > 0x7e {
			return fmt.Errorf("field name %q is not printable ASCII", shorten(name))
		}
	}
	return nil
}

func untag(tag string, member any) (any, error) {
	text, ok := member.(string)
	if !ok {
		return nil, fmt.Errorf("%q needs a base64 string", shorten(tag))
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%q needs a base64 string: %w", shorten(tag), err)
	}
	switch tag {
	case "$bytes":
		return b, nil
	case "$integer":
		if len(b) != 8 {
			return nil, fmt.Errorf("$integer needs 8 bytes, has %d", len(b))
		}
		return BigInt(binary.LittleEndian.Uint64(b)), nil
	case "$float":
		if len(b) != 8 {
			return nil, fmt.Errorf("$float needs 8 bytes, has %d", len(b))
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		if !isSpecial(f) {
			return nil, fmt.Errorf("$float is for NaN, infinities and -0, not for %v", f)
		}
		return f, nil
	}
	return nil, fmt.Errorf("value tag %q is not known", shorten(tag))
}

// isSpecial reports whether f has no plain JSON form.
func isSpecial(f float64) bool {
	return math.IsNaN(f) || math.IsInf(f, 0) || f == 0 && math.Signbit(f)
}
