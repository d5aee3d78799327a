package api

import (
	"regexp"
	"strings"
)

// Origins decides which web origins may call. An entry is matched exactly, or
// holds "*", which stands for one or more letters, digits and hyphens, as the
// function contract's ALLOWED_WEB_ORIGINS has it.
type Origins struct {
	entries  []string
	patterns []*regexp.Regexp
}

// NewOrigins takes the entries; none of them means that all origins may call.
func NewOrigins(entries []string) Origins {
	var o Origins
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(entry), `\*`, `[A-Za-z0-9-]+`)
		o.entries = append(o.entries, entry)
		o.patterns = append(o.patterns, regexp.MustCompile(`^`+quoted+`$`))
	}
	return o
}

// Match gives the value of Access-Control-Allow-Origin for a request's Origin
// header, and whether it may call. Without an Origin the first entry is given.
func (o Origins) Match(origin string) (allow string, ok bool) {
	if len(o.entries) == 0 {
		return "*", true
	}
	if origin == "" {
		return o.entries[0], true
	}
	for _, p := range o.patterns {
		if p.MatchString(origin) {
			return origin, true
		}
	}
	return "", false
}

// Allows reports whether the origin may call.
func (o Origins) Allows(origin string) bool { _, ok := o.Match(origin); return ok }
