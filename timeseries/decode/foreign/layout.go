package foreign

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/moment"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const (
	// headRecords and headBytes bound what is looked at before anything is decided.
	headRecords = 1000
	headBytes   = 2 << 20
	// preambleLines is how far down a header is looked for.
	preambleLines = 200
	// cellsAtOnce is for how many cells of the head memory is taken at a time.
	cellsAtOnce = 1000
)

// row is a record of the head.
type row struct {
	cells   [][]byte
	raw     []byte
	line    int // its last line
	end     int // where the next one begins
	comment bool
	broken  bool // cannot be read
	filled  int  // cells up to the last one that says anything
	valued  *bool
}

func (r *row) blank() bool { return !r.broken && r.filled == 0 }

// hasValue reports whether a cell is no word. Any row of the head may be asked for
// each that might be its header.
func (r *row) hasValue() bool {
	if r.valued == nil {
		valued := hasValue(r.cells)
		r.valued = &valued
	}
	return *r.valued
}

// layout says where the parts of a table are.
type layout struct {
	sep        byte
	rows       []row
	header     int // index of the header's row; -1 if there is none
	headerLine int
	names      [][]byte
	heading          // what they stand for
	between    []int // rows of units, sources and the like
	data       int   // index of the first record's row
	width      int   // columns that have a name, or stand before one, but for remarks at the end
	// trailing says that records end in separators that the header has not.
	trailing bool
	fits     int // records that fit it, up to enough
	enough   int // of those, to leave no doubt
	score    int
	other    int // index of an earlier row that heads records of its own; -1 if there is none
	vbo      bool
	quoted   bool // a cell of the head is
	// asked are the headers of the times that somebody named, and isAsked says that
	// this one has them.
	asked   []string
	isAsked bool
}

var sepLine = regexp.MustCompile(`^"?sep=(.)"?$`)

// findLayout tries the separators on the head of a file. Where somebody names the
// columns of the times, the header is the one that has them.
func findLayout(head []byte, whole bool, enough int, asked ...string) *layout {
	if l := vboLayout(head, whole); l != nil {
		return l
	}
	seps := []byte(",;\t|")
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if m := sepLine.FindSubmatch(number.Trim(first)); m != nil {
		seps = m[1]
	} else if m := sepLine.FindSubmatch(first); m != nil { // sep=<tab>
		seps = m[1]
	}
	var best, fallback *layout
	for _, sep := range seps {
		l := scan(head, whole, sep)
		l.asked, l.enough = asked, enough
		l.locate()
		switch {
		case l.header >= 0 && (best == nil || l.score > best.score):
			best = l
		case l.header < 0 && (fallback == nil || l.firstKnown() > fallback.firstKnown()):
			fallback = l
		}
		// A time known by its name, with many records below, leaves no doubt.
		if best == l && l.score > certain && l.fits == l.enough && l.isAsked == (len(asked) > 0) {
			return l
		}
	}
	if best != nil {
		return best
	}
	if first := fallback.first(); first >= 0 {
		fallback.take(first)
	}
	return fallback
}

// scan cuts the head into rows.
func scan(head []byte, whole bool, sep byte) *layout {
	l := &layout{sep: sep, header: -1, other: -1}
	cut := lines{buf: head, atEOF: whole, sep: sep, lenient: true}
	l.rows = make([]row, 0, min(bytes.Count(head, []byte("\n"))+1, headRecords+preambleLines))
	l.quoted = bytes.IndexByte(head, '"') >= 0
	var cells [][]byte // of the next rows, each of which keeps its own
	for len(l.rows) < headRecords+preambleLines {
		if cap(cells)-len(cells) < len(cut.cells) {
			cells = make([][]byte, 0, cellsAtOnce+len(cut.cells))
		}
		cut.cells, cut.quoted = cells[len(cells):], nil
		err := cut.next()
		broken := errors.Is(err, ErrRecord)
		if broken {
			err = cut.skip()
			cut.raw = nil
		}
		if err != nil {
			break
		}
		raw := number.Trim(cut.raw)
		if len(l.rows) == 0 && sepLine.Match(raw) {
			cut.cells = [][]byte{nil}
		}
		if n := len(cut.cells); n <= cap(cells)-len(cells) {
			cells = cells[:len(cells)+n]
		}
		filled := len(cut.cells)
		for filled > 0 && len(number.Trim(cut.cells[filled-1])) == 0 {
			filled--
		}
		l.rows = append(l.rows, row{cells: slices.Clip(cut.cells), raw: cut.raw, line: cut.line, end: cut.pos, comment: isComment(raw), broken: broken, filled: filled})
	}
	return l
}

func isComment(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '#' || raw[0] == '%' || bytes.HasPrefix(raw, []byte("//")) || bytes.HasPrefix(raw, []byte("MARK ")))
}

// first is the first row that says anything; -1 if there is none.
func (l *layout) first() int {
	return slices.IndexFunc(l.rows, func(r row) bool { return !r.comment && !r.blank() })
}

// firstKnown counts the known names in that row.
func (l *layout) firstKnown() int {
	if i := l.first(); i >= 0 {
		return readHeading(l.rows[i].cells).known
	}
	return 0
}

const (
	// certain is the score that a header has by the name of its time alone.
	certain     = 100
	manyRecords = 50
	// manyAside is more rows of units, sources and the like than a table has.
	manyAside = 20
)

// locate finds the header: the row of words that the most records fit.
func (l *layout) locate() {
	best := *l
	var tables []layout // that have a time
	for i := range min(len(l.rows), preambleLines) {
		if best.fits >= l.enough && best.score > certain && i > best.data {
			break // the rest are records
		}
		if l.names = headerCells(&l.rows[i]); l.names == nil {
			continue
		}
		l.head(i)
		fits := 0
		for j := l.data; j < len(l.rows) && fits < l.enough; j++ {
			if r := &l.rows[j]; l.fitting(r) && r.hasValue() {
				fits++
			} else if !r.comment && !r.blank() && !bytes.Equal(r.raw, l.rows[i].raw) {
				break
			}
		}
		if fits == 0 || l.width < 2 && len(l.times) == 0 {
			continue
		}
		l.fits, l.score = fits, fits+5*l.known-20*unitCells(l.names)
		if len(l.times) > 0 {
			l.score += certain
			// A line about the run, or a list of its properties, is no table.
			if (fits > 1 || l.known > 1) && hasValue(l.rows[l.data].cells[l.times[0]:][:1]) {
				tables = append(tables, *l)
			}
		}
		if l.isAsked {
			l.score += 10 * certain
		}
		if best.header < 0 || l.score >= best.score && !l.rows[i].comment || l.score > best.score {
			best = *l
		}
	}
	*l = best
	// Records in front of the header are no preamble.
	for _, t := range tables {
		if t.data >= best.header || t.isAsked != best.isAsked {
			continue
		}
		if bytes.Equal(t.rows[t.header].raw, best.rows[best.header].raw) {
			*l = t
		} else {
			l.other = t.header
		}
		break
	}
}

// take makes a row the header, whatever it looks like.
func (l *layout) take(header int) {
	r := &l.rows[header]
	if l.names = headerCells(r); l.names == nil {
		l.names = r.cells
	}
	l.head(header)
}

// head makes a row the header, whose names are set, and finds the first record
// after it.
func (l *layout) head(header int) {
	l.header, l.between = header, nil
	for l.width = len(l.names); l.width > 0 && mayLack(l.names[l.width-1]); {
		l.width--
	}
	l.trailing = false
	l.heading, l.isAsked = readHeading(l.names), len(l.asked) > 0
	for _, name := range l.asked {
		at := slices.IndexFunc(l.names, func(cell []byte) bool { return strings.EqualFold(string(number.Trim(cell)), name) })
		if l.isAsked = l.isAsked && at >= 0; at >= 0 && !slices.Contains(l.times, at) {
			l.times = append(l.times, at)
		}
	}
	for l.data = header + 1; l.data < len(l.rows); l.data++ {
		r := &l.rows[l.data]
		if r.comment && !l.fitting(r) || r.blank() {
			continue
		}
		if len(l.between) == manyAside || !l.isAside(r) {
			break
		}
		l.between = append(l.between, l.data)
	}
	if l.data < len(l.rows) {
		r := &l.rows[l.data]
		l.trailing = len(r.cells) > len(l.names) && r.filled <= len(l.names)
	}
}

// mayLack reports whether records may end before a column of that name: one without,
// or of remarks, as LabVIEW's are.
func mayLack(name []byte) bool {
	switch string(bytes.ToLower(number.Trim(name))) {
	case "", "comment", "comments", "note", "notes", "remark", "remarks", "kommentar", "bemerkung", "notiz":
		return true
	}
	return false
}

// isRecord reports whether what stands for the header is a record: a time is in
// it, or nothing but numbers.
func (l *layout) isRecord() bool {
	if l.known > 0 || len(l.times) > 0 {
		return false
	}
	words, numbers := 0, 0
	for _, c := range l.names {
		if c = number.Trim(c); len(c) == 0 {
			continue
		}
		switch looksLike(c) {
		case aTime:
			return true
		case aNumber:
			numbers++
		default:
			words++
		}
	}
	return words == 0 && numbers > 0
}

// fitting reports whether a row has as many cells as the header.
func (l *layout) fitting(r *row) bool {
	n := len(r.cells)
	return n >= l.width && (n <= len(l.names) || l.trailing && r.filled <= len(l.names))
}

// records are the head's rows that fit the header and are no repetition of it.
func (l *layout) records() []*row {
	list := make([]*row, 0, min(headRecords, len(l.rows)))
	for at := l.data; at < len(l.rows) && len(list) < headRecords; at++ {
		if r := &l.rows[at]; l.fitting(r) && !r.blank() && !bytes.Equal(r.raw, l.rows[l.header].raw) {
			list = append(list, r)
		}
	}
	return list
}

func allBlank(cells [][]byte) bool {
	return !slices.ContainsFunc(cells, func(c []byte) bool { return len(number.Trim(c)) > 0 })
}

// headerCells returns the cells of a row that may be a header, even one behind
// a comment's mark, and nil for others.
func headerCells(r *row) [][]byte {
	cells := r.cells
	if r.comment {
		cells = slices.Clone(cells)
		cells[0] = number.Trim(bytes.TrimLeft(number.Trim(cells[0]), "#%/"))
	}
	words, filled := 0, 0
	for _, c := range cells {
		if c = number.Trim(c); len(c) == 0 {
			continue
		}
		filled++
		if looksLike(c) == aWord {
			words++
		} else if (filled-words)*5 > len(cells) {
			return nil
		}
	}
	if words == 0 || words*5 < filled*4 {
		return nil
	}
	return cells
}

const (
	aWord = iota
	aNumber
	aTime
)

// looksLike tells a word from a number and a time.
func looksLike(cell []byte) int {
	if number.IsLoose(cell) || number.HasComma(cell) {
		return aNumber
	}
	if c := cell[0]; c-'0' > 9 && bytes.IndexByte(cell, ':') < 0 {
		return aWord
	}
	if _, _, err := record.ParseTimestamp(cell); err == nil {
		return aTime
	}
	if _, ok := moment.Parse(string(cell)); ok {
		return aTime
	}
	return aWord
}

func hasValue(cells [][]byte) bool {
	return slices.ContainsFunc(cells, func(c []byte) bool {
		c = number.Trim(c)
		return len(c) > 0 && looksLike(c) != aWord
	})
}

// isAside reports whether a row after the header tells units or sources rather
// than values: it has no value, and its time is empty or a unit.
func (l *layout) isAside(r *row) bool {
	if r.filled > len(l.names) || r.hasValue() {
		return false
	}
	for _, i := range l.sessions {
		if i < r.filled && len(number.Trim(r.cells[i])) > 0 {
			return false // a record without its time
		}
	}
	for _, i := range l.times[:min(len(l.times), 4)] { // of more, these tell
		if i < r.filled {
			if c := number.Trim(r.cells[i]); len(c) > 0 && !label.IsTimeUnit(string(c)) {
				return false
			}
		}
	}
	return len(r.cells) > 1 || len(l.names) == 1
}

// heading is what the names of columns stand for.
type heading struct {
	known    int   // names that stand for members of a record
	times    []int // columns with a usual name of a time
	sessions []int // columns of the run's id
}

func readHeading(names [][]byte) (h heading) {
	for i, cell := range names {
		if len(cell) == 0 {
			continue
		}
		name := label.Read(string(cell)).Name
		if label.TimeRank(name) > 0 {
			h.times = append(h.times, i)
		}
		to, _, ok := label.Target(name)
		if ok {
			h.known++
		}
		if to == label.Session {
			h.sessions = append(h.sessions, i)
		}
	}
	return h
}

// unitCells counts the cells that are units.
func unitCells(cells [][]byte) (n int) {
	for _, c := range cells {
		if len(number.Trim(c)) > 0 {
			if _, ok := unit.Lookup(string(c)); ok {
				n++
			}
		}
	}
	return n
}

// vboLayout reads Racelogic's .vbo: sections in brackets, values parted by
// blanks, and the units of some columns in the section [header].
func vboLayout(head []byte, whole bool) *layout {
	if !bytes.Contains(head, []byte("[column names]")) || !bytes.Contains(head, []byte("[data]")) {
		return nil
	}
	l := scan(head, whole, ' ')
	l.vbo = true
	section := ""
	for i, r := range l.rows {
		text := string(number.Trim(r.raw))
		switch {
		case strings.HasPrefix(text, "["):
			section = strings.ToLower(text)
			if section == "[data]" {
				l.data = i + 1
				l.width = len(l.names)
				return l
			}
		case section == "[column names]" && !r.blank():
			l.names = append(l.names, r.cells...)
			l.header = i
		}
	}
	return nil
}
