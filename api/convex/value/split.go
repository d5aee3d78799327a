package value

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotObject = errors.New("JSON value is not an object")

// next returns the value that follows, as a slice of b, which d reads.
func next(d *jsontext.Decoder, b []byte) ([]byte, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.InputOffset()
	return b[end-int64(len(v)) : end], nil
}

// Members calls visit with the name and the value of each member of the JSON
// object b, in order. The value is a slice of b. The first error of visit ends
// it and is returned; other errors are about b.
func Members(b []byte, visit func(name string, value []byte) error) error {
	d := newDecoder(b)
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return errNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return readable(err)
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return readable(err)
		}
		name := token.String()
		member, err := next(d, b)
		if err != nil {
			return fmt.Errorf("member .%.80s: %w", name, readable(err))
		}
		if err := visit(name, member); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return readable(err)
	}
	return end(d)
}

// SoleObject finds the object in what clients send as arguments: the object
// itself, an array of just that, or nothing. It is a slice of args, and looked
// into only as far as it takes to find its end.
func SoleObject(args []byte) ([]byte, error) {
	d := newDecoder(args)
	none := []byte("{}")
	switch d.PeekKind() {
	case '{':
		return args, nil
	case '[':
		if _, err := d.ReadToken(); err != nil {
			return nil, readable(err)
		}
		object := none
		if kind := d.PeekKind(); kind == '{' {
			var err error
			if object, err = next(d, args); err != nil {
				return nil, readable(err)
			}
		}
		if d.PeekKind() == ']' {
			_, _ = d.ReadToken() // it was seen
			return object, end(d)
		}
	case 0:
		if err := end(d); err == nil {
			return none, nil
		}
	}
	return nil, errors.New("args must be an object, or an array of one object")
}

// Check wants b to be one JSON value that is not nested deeper than values may
// be, so that a decoder that is recursive can be let at it.
func Check(b []byte) error {
	d := newDecoder(b)
	for {
		if _, err := d.ReadToken(); err != nil {
			return readable(err)
		}
		switch depth := d.StackDepth(); {
		case depth > maxNesting:
			return errNesting
		case depth == 0:
			return end(d)
		}
	}
}
