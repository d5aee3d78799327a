package value

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotObject = errors.New("JSON value is not an object")

// maxParts is how many members an object of arguments may have. No function takes
// a tenth as many.
const maxParts = 1_000

// Member is one of an object's, undecoded. Its value is a slice of the object.
type Member struct {
	Name  string
	Value []byte
}

// next returns the value that follows, as a slice of b, which d reads.
func next(d *jsontext.Decoder, b []byte) ([]byte, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.InputOffset()
	return b[end-int64(len(v)) : end], nil
}

// each reads the object that follows. It calls visit with the name of each member,
// in order, which reads the value. The first error of visit ends it.
func each(d *jsontext.Decoder, visit func(name string) error) error {
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return errNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return readable(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return readable(err)
		}
		if err := visit(name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return readable(err)
	}
	return nil
}

// Members calls visit with each member of the JSON object b, in order, and with
// the members of the one called inside, where that is an object itself: it is not
// read a second time for them. The first error of visit ends it and is returned;
// other errors are about b.
func Members(b []byte, inside string, visit func(m Member, parts []Member) error) error {
	d := newDecoder(b)
	err := each(d, func(name string) (err error) {
		m, parts := Member{Name: name}, []Member(nil)
		if from := d.InputOffset(); name == inside && d.PeekKind() == '{' {
			if parts, err = split(d, b); err == nil {
				m.Value = b[from:d.InputOffset()]
				m.Value = m.Value[bytes.IndexByte(m.Value, '{'):] // behind a colon and white space
			}
		} else {
			m.Value, err = next(d, b)
		}
		if err != nil {
			return fmt.Errorf("member .%.80s: %w", name, readable(err))
		}
		return visit(m, parts)
	})
	if err != nil {
		return err
	}
	return end(d)
}

// Split returns the members of the JSON object b, in order. Its errors are about b.
func Split(b []byte) ([]Member, error) {
	d := newDecoder(b)
	members, err := split(d, b)
	if err != nil {
		return nil, err
	}
	return members, end(d)
}

// split reads the object that follows in b, which d reads.
func split(d *jsontext.Decoder, b []byte) ([]Member, error) {
	members := []Member{}
	err := each(d, func(name string) error {
		v, err := next(d, b)
		if err != nil {
			return fmt.Errorf("member .%.80s: %w", name, readable(err))
		}
		if len(members) == maxParts {
			return fmt.Errorf("there are more than %d members", maxParts)
		}
		members = append(members, Member{name, v})
		return nil
	})
	return members, err
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
