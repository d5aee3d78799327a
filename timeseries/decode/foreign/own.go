package foreign

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/text"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const (
	// ownRecords is how many records are looked at of a file whose header leaves
	// little to find out.
	ownRecords = 12
	// keptPlans and keptHeader bound the plans that are kept: how many, and the bytes
	// of the header of each.
	keptPlans  = 16
	keptHeader = 8 << 10
)

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

// plans keeps what was found out of headers of our own that plain records follow: the
// bridge sends the same one with each upload, and to find it out again costs as much
// as 100 records. A plan is never changed once it is kept.
var plans = struct {
	sync.Mutex
	by map[planKey]*plan
}{by: map[planKey]*plan{}}

type planKey struct {
	header     string
	parameters bool // errors name parameters
}

// asksNothing reports whether a file is read by what it says of itself alone.
func (o *Options) asksNothing() bool {
	return o.Start == "" && o.Decimal == "" && o.DayFirst == nil && o.Timezone == "" && o.TimeColumn == "" &&
		len(o.Map) == 0 && o.Profile == "" && len(o.Profiles) == 0
}

// kept returns the plan of a head, and how long its header is, where both were seen
// before; nil where they were not.
func kept(head []byte, opt *Options) (*plan, int) {
	end := bytes.IndexByte(head, '\n') + 1
	if end == 0 || end > keptHeader || !opt.asksNothing() {
		return nil, 0
	}
	plans.Lock()
	p := plans.by[planKey{string(head[:end]), opt.Parameters}]
	plans.Unlock()
	if p == nil || !p.arePlain(head[end:]) {
		return nil, 0
	}
	own := *p
	return &own, end
}

// keep keeps the plan of a head of our own.
func (p *plan) keep(head []byte, opt *Options) {
	end := bytes.IndexByte(head, '\n') + 1
	isUnknown := func(c Column) bool { return !c.Known }
	if end > keptHeader || !opt.asksNothing() || slices.ContainsFunc(p.columns, isUnknown) || !p.arePlain(head[end:]) {
		return
	}
	own, layout := *p, *p.layout
	layout.names = make([][]byte, len(layout.names)) // they lie in the buffer; their number is all that is asked for
	own.layout = &layout
	plans.Lock()
	defer plans.Unlock()
	if len(plans.by) >= keptPlans {
		clear(plans.by)
	}
	plans.by[planKey{string(head[:end]), opt.Parameters}] = &own
}

// arePlain reports whether the first records say no more than that they fit the
// header: their times are usual ones that name a zone, and their numbers have nothing
// but digits, a sign and a point.
func (p *plan) arePlain(records []byte) bool {
	cut := lines{buf: records, sep: ','}
	for range ownRecords {
		if cut.next() != nil || len(cut.cells) != len(p.columns) || !text.IsASCII(cut.raw) || bytes.IndexByte(cut.raw, '"') >= 0 {
			return false
		}
		for i, cell := range cut.cells {
			switch c := &p.columns[i]; {
			case c.Name == label.Time:
				if _, _, err := record.ParseTimestamp(cell); err != nil || cell[len(cell)-1] != 'Z' && bytes.LastIndexAny(cell, "+-") <= 10 {
					return false
				}
			case c.numeric && !isPlain(cell):
				return false
			}
		}
	}
	return true
}

// isPlain reports whether a cell is empty or a number without signs that part
// thousands, exponents, units and the like.
func isPlain(cell []byte) bool {
	if len(cell) == 0 {
		return true
	}
	if cell[0] == '-' {
		cell = cell[1:]
	}
	digits, points := 0, 0
	for _, c := range cell {
		switch {
		case c-'0' <= 9:
			digits++
		case c == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}
