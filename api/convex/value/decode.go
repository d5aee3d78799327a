package value

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting is how many arrays and objects may stand inside each other in a
// value.
const maxNesting = 64

var (
	errNesting   = fmt.Errorf("JSON is nested more than %d levels deep", maxNesting)
	errTruncated = errors.New("JSON ends too early")
)

// newDecoder reads b in place. A repeated member and text that is not UTF-8 are
// taken, as every browser's JSON.parse takes them.
func newDecoder(b []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// readable replaces the decoder's error by one without the path to the place,
// which is as long as the caller made it.
func readable(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errTruncated
	}
	if errors.As(err, &syntactic) {
		if syntactic.Err.Error() == "exceeded max depth" { // the library has no name for it
			return errNesting
		}
		return fmt.Errorf("JSON is not valid at byte %d: %w", syntactic.ByteOffset, syntactic.Err)
	}
	return err
}

// end wants nothing but white space to follow.
func end(d *jsontext.Decoder) error {
	_, err := d.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return readable(err)
	}
	return errors.New("JSON is not valid: more follows the first value")
}

// Decode decodes one value. It returns nil, bool, string, float64, BigInt,
// []byte, []any or map[string]any. Its errors are about b and may be shown to
// whoever sent it.
func Decode(b []byte) (any, error) {
	d := newDecoder(b)
	v, err := decode(d)
	if err == nil {
		err = end(d)
	}
	if err != nil {
		return nil, readable(err)
	}
	return v, nil
}

func decode(d *jsontext.Decoder) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if d.StackDepth() > maxNesting {
		return nil, errNesting
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return strconv.ParseFloat(token.String(), 64)
	case '[':
		return decodeArray(d)
	}
	return decodeObject(d) // the decoder allows no closing bracket here
}

func decodeArray(d *jsontext.Decoder) (any, error) {
	list := []any{}
	for d.PeekKind() != ']' {
		item, err := decode(d)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := d.ReadToken()
	return list, err
}

// decodeObject decodes an object, or what it stands for if it is tagged.
func decodeObject(d *jsontext.Decoder) (any, error) {
	object := map[string]any{}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if object[name], err = decode(d); err != nil {
			return nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for name, member := range object {
		if len(object) == 1 && len(name) > 0 && name[0] == '$' {
			return untag(name, member)
		}
		if err := checkFieldName(name); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// checkFieldName refuses the names that the client would throw on.
func checkFieldName(name string) error {
	if len(name) > 1024 {
		return fmt.Errorf("field name %.80q is longer than 1024 characters", name)
	}
	if len(name) > 0 && name[0] == '$' {
		return fmt.Errorf("field name %.80q starts with $", name)
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] > 0x7e {
			return fmt.Errorf("field name %.80q is not printable ASCII", name)
		}
	}
	return nil
}

func untag(tag string, member any) (any, error) {
	text, ok := member.(string)
	if !ok {
		return nil, fmt.Errorf("%.80q needs a base64 string", tag)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%.80q needs a base64 string: %w", tag, err)
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
	return nil, fmt.Errorf("value tag %.80q is not known", tag)
}

// isSpecial reports whether f has no plain JSON form.
func isSpecial(f float64) bool {
	return math.IsNaN(f) || math.IsInf(f, 0) || f == 0 && math.Signbit(f)
}
