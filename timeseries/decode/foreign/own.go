package foreign

import (
	"bytes"

	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
)

// ownRecords is how many records are looked at of a file whose header leaves little
// to find out.
const ownRecords = 12

// ownHead returns how much of a head tells everything: all of it, as a rule. Where
// the header has only members of records, by names without units, and ownRecords
// lines follow that fit it and begin their times as RFC 3339 has them, there is
// nothing left to find out, as in uploads of the bridge and in our own exports.
func ownHead(head []byte) int {
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	commas, at := bytes.Count(line, []byte(",")), -1
	for i, cell := range bytes.Split(bytes.TrimSuffix(line, []byte("\r")), []byte(",")) {
		name := string(cell)
		switch to, in, ok := label.Target(name); {
		case name == label.Time:
			at = i
		case !ok || in != "" || to == label.Time || to == label.Extra || to == label.Session && name != label.Session:
			return len(head)
		}
	}
	if at < 0 || bytes.IndexByte(head, '"') >= 0 {
		return len(head)
	}
	for range ownRecords {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if len(rest) == 0 || bytes.Count(line, []byte(",")) != commas {
			return len(head)
		}
		for range at {
			_, line, _ = bytes.Cut(line, []byte(","))
		}
		if !beginsWithDate(line) {
			return len(head)
		}
	}
	return len(head) - len(rest)
}

// beginsWithDate reports whether text begins as RFC 3339 has it.
func beginsWithDate(text []byte) bool {
	return len(text) > 10 && text[0]-'0' <= 9 && text[4] == '-' && text[7] == '-' && (text[10] == 'T' || text[10] == ' ')
}
