package registry

import (
	"errors"
	"fmt"
	"strings"
)

// maxFunctionName is the longest function part of a name, in characters.
const maxFunctionName = 64

// maxModulePath bounds the module part of a name, in bytes.
const maxModulePath = 512

var errEmptyName = errors.New("function name is empty")

// ParseName brings the name of a function to its canonical form,
// "module:function". It splits at the last colon, takes "default" for a
// missing function and drops one trailing ".js" of the module.
func ParseName(name string) (string, error) {
	if name == "" {
		return "", errEmptyName
	}
	module, function := name, "default"
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		module, function = name[:i], name[i+1:]
	}
	module = strings.TrimSuffix(module, ".js")
	if !validFunctionName(function) {
		return "", fmt.Errorf("function part of %.80q must be letters, digits and underscores, not starting with a digit, at most %d", name, maxFunctionName)
	}
	if !validModule(module) {
		return "", fmt.Errorf("module part of %.80q must be parts of letters, digits, underscores and dots, separated by slashes", name)
	}
	return module + ":" + function, nil
}

func validFunctionName(s string) bool {
	if s == "" || len(s) > maxFunctionName || isDigit(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

func validModule(s string) bool {
	if s == "" || len(s) > maxModulePath {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		named := false
		for i := range len(part) {
			switch c := part[i]; {
			case isAlphanumeric(c):
				named = true
			case c != '_' && c != '.':
				return false
			}
		}
		if !named {
			return false
		}
	}
	// "a.ts" is a file, not a module: .js, already gone, is the one extension.
	last := s[strings.LastIndexByte(s, '/')+1:]
	return !strings.Contains(strings.TrimLeft(last, "."), ".")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
