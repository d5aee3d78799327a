package channel

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// longestName is how long a name may be, in bytes: with the suffixes of the
// rollups it has to be an identifier of PostgreSQL's, which has 63.
const longestName = 56

// reserved are columns of the relations that channels are read from, and members
// that no channel is.
var reserved = map[string]bool{
	"time": true, "session": true, "session_id": true, "timestamp": true, "batch": true, "ord": true, "time_text": true, "extra": true,
	"bucket": true, "records": true, "first_time": true, "last_time": true,
	"tableoid": true, "xmin": true, "cmin": true, "xmax": true, "cmax": true, "ctid": true, "oid": true,
}

// Name returns the name of the channel that a member of records is: "Tyre FL" is
// tyre_fl. It is "" for one that has no letter or digit of English, or too many.
func Name(member string) string {
	var out strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(strings.ToLower(member)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if gap && out.Len() > 0 {
				out.WriteByte('_')
			}
			if out.Len() == 0 && r <= '9' {
				out.WriteString("ch_")
			}
			gap = false
			out.WriteRune(r)
		case !unicode.Is(unicode.Mn, r): // an accent leaves its letter
			gap = true
		}
		if out.Len() > longestName {
			return ""
		}
	}
	return out.String()
}

// Reserved reports whether that is the name of something else in the tables, or in a
// record.
func Reserved(name string) bool { return reserved[name] }

// Valid reports whether a channel may be called so: a name as Name makes it that
// nothing else has in the tables.
func Valid(name string) bool { return name != "" && Name(name) == name && !reserved[name] }
