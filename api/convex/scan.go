package convex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxNesting is how many arrays and objects may stand inside each other in
// what a caller sends.
const maxNesting = 64

var (
	errNesting   = fmt.Errorf("JSON is nested more than %d levels deep", maxNesting)
	errTruncated = errors.New("JSON ends too early")
	errNotObject = errors.New("JSON value is not an object")
)

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString gives the place after the string that begins at b[i].
func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return 0, errTruncated
}

// skipValue gives the place after the JSON value that begins at b[i]. It finds
// the end without decoding: strings and brackets are matched, the rest is left
// to whoever decodes the value.
func skipValue(b []byte, i int) (int, error) {
	var stack [maxNesting]byte
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			end, err := skipString(b, i)
			if err != nil {
				return 0, err
			}
			i = end
		case '{', '[':
			if depth == maxNesting {
				return 0, errNesting
			}
			stack[depth] = c + 2 // the closing bracket, in ASCII
			depth++
			i++
			continue
		case '}', ']':
			if depth == 0 || stack[depth-1] != c {
				return 0, fmt.Errorf("unexpected %q in JSON", c)
			}
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return 0, fmt.Errorf("unexpected %q in JSON", c)
			}
			i++
			continue
		default:
			start := i
			for i < len(b) && !isDelimiter(b[i]) {
				i++
			}
			if i == start {
				return 0, fmt.Errorf("unexpected %q in JSON", c)
			}
		}
		if depth == 0 {
			return i, nil
		}
	}
	return 0, errTruncated
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', ':', '{', '}', '[', ']', '"', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

// eachMember calls visit with each member of the JSON object b, whose value is
// a slice of b. Only the names are decoded.
func eachMember(b []byte, visit func(name string, value []byte) error) error {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' {
		return errNotObject
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return atEnd(b, i+1)
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return errors.New("JSON object lacks a member name")
		}
		end, err := skipString(b, i)
		if err != nil {
			return err
		}
		name, err := memberName(b[i:end])
		if err != nil {
			return err
		}
		i = skipSpace(b, end)
		if i >= len(b) || b[i] != ':' {
			return errors.New("JSON object lacks a colon")
		}
		i = skipSpace(b, i+1)
		end, err = skipValue(b, i)
		if err != nil {
			return err
		}
		if err := visit(name, b[i:end]); err != nil {
			return err
		}
		i = skipSpace(b, end)
		switch {
		case i >= len(b):
			return errTruncated
		case b[i] == ',':
			i = skipSpace(b, i+1)
		case b[i] == '}':
			return atEnd(b, i+1)
		default:
			return fmt.Errorf("unexpected %q in JSON", b[i])
		}
	}
}

func atEnd(b []byte, i int) error {
	if i = skipSpace(b, i); i < len(b) {
		return fmt.Errorf("unexpected %q after JSON", b[i])
	}
	return nil
}

func memberName(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		return "", fmt.Errorf("JSON member name: %w", err)
	}
	return name, nil
}

// argsObject finds the arguments' object in what a caller sent as args: the
// object itself, an array of just that, or nothing.
func argsObject(args []byte) (json.RawMessage, error) {
	i := skipSpace(args, 0)
	if i == len(args) {
		return json.RawMessage("{}"), nil
	}
	if args[i] == '{' {
		return args[i:], nil
	}
	if args[i] != '[' {
		return nil, errors.New("args must be an object, or an array of one object")
	}
	start := skipSpace(args, i+1)
	if start < len(args) && args[start] == ']' {
		return json.RawMessage("{}"), atEnd(args, start+1)
	}
	end, err := skipValue(args, start)
	if err != nil {
		return nil, err
	}
	i = skipSpace(args, end)
	if i == len(args) || args[i] != ']' || args[start] != '{' {
		return nil, errors.New("args must be an object, or an array of one object")
	}
	return args[start:end], atEnd(args, i+1)
}
