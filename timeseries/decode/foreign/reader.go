package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/label"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/text"
)

// Options say what a file cannot tell of itself. The zero value asks for
// nothing; what is needed then is an Invalid fault that names the option.
type Options struct {
	Start      string // when a log began, for times that count from there
	Decimal    string // comma or point: what stands before fractions; "" is not said
	DayFirst   *bool  // whether 03.06.2026 is in June; nil: not said
	Timezone   string // of times that name none, such as Europe/Berlin; "" is UTC
	TimeColumn string // which column holds the times; "Date+Time" names two
	// Map says what becomes of columns: header to channel, with the column's unit
	// in brackets where the file does not name it, as in "speed_ms [km/h]".
	Map map[string]string
	// Profile names one of Profiles or of those that come along. Without it the
	// first that knows the header is used.
	Profile  string
	Profiles []Profile // saved ones
	// Unit, when not nil, tells the unit of a member that records have beside the
	// fields of the contract, or "": a column of it that is in another one, as in
	// "Oil (degF)", becomes that member in its own.
	Unit func(member string) string
	// Parameters says that whoever reads what is asked for gives parameters of a
	// request, not options of a command.
	Parameters bool
	// Tally collects what Table tells of the values. Where a column became a
	// channel by another name, that is done in any case.
	Tally bool
}

// timeColumns are the columns that the caller says are the times.
func (o *Options) timeColumns() []string {
	for from, to := range o.Map {
		if to, _, _ = strings.Cut(to, "["); strings.TrimSpace(to) == label.Time {
			return []string{from}
		}
	}
	if o.TimeColumn == "" {
		return nil
	}
	return strings.Split(o.TimeColumn, "+")
}

// Reader reads a table record by record.
type Reader struct {
	lines
	plan  *plan
	out   [][]byte
	tasks []int // columns whose cells are not passed on as they are
	again [][]byte
	// preamble are the lines before the header: a logger that was switched on
	// again writes them again.
	preamble map[string]bool
	encoding string
	ascii    bool // so far: the first other letter may be Latin-1
	asIs     bool // cells need nothing, as in files of the bridge and our own exports
	tally    *tally
	seen     [][]float64 // of each column lowest and highest value; nil of none
	records  int
}

// NewReader looks at the beginning of src and decides what its columns become.
// It returns an Invalid fault where that cannot be known, and src's errors.
func NewReader(src io.Reader, opt Options) (*Reader, error) {
	decoded, encoding, err := text.Open(src)
	if err != nil {
		return nil, err
	}
	r := &Reader{lines: lines{src: decoded}, encoding: encoding}
	head := 0
	for head == len(r.buf) && !r.atEOF && head < headBytes && bytes.Count(r.buf, []byte("\n")) < headRecords {
		if err := r.fill(); err != nil {
			return nil, err
		}
		if plan, header := kept(r.buf, &opt); plan != nil {
			r.plan, r.ascii = plan, true
			r.pos, r.line, r.again = header, 1, [][]byte{bytes.Clone(bytes.TrimRight(r.buf[:header], "\r\n"))}
			r.begin(opt.Tally)
			return r, nil
		}
		head = ownHead(r.buf)
	}
	if r.ascii = text.IsASCII(r.buf[:head]); !r.ascii && encoding == text.UTF8 && !text.IsUTF8(r.buf) && text.IsLatin1(r.buf) {
		r.encoding = text.Latin1
		r.buf = text.FromLatin1(r.buf)
		r.src = text.Latin1Reader(r.src)
		head = len(r.buf)
	}
	enough := manyRecords
	if head < len(r.buf) {
		enough = ownRecords
	}
	layout := findLayout(r.buf[:head], r.atEOF && head == len(r.buf), enough, opt.timeColumns()...)
	if err := r.checkHeader(layout); err != nil {
		return nil, err
	}
	if r.plan, err = newPlan(layout, opt); err != nil {
		return nil, err
	}
	r.start(layout)
	if head < len(r.buf) && r.ascii {
		r.plan.keep(r.buf[:head], &opt)
	}
	r.begin(opt.Tally)
	return r, nil
}

// renames reports whether a column becomes a channel by another name than the
// vehicle's own.
func (p *plan) renames() bool {
	for i, c := range p.columns {
		if c.numeric && c.Name != p.labels[i].Text && p.labels[i].Text != "altitude" {
			return true
		}
	}
	return false
}

// checkHeader refuses a file that has no header, that has several, or whose
// first record cannot even be read.
func (r *Reader) checkHeader(l *layout) error {
	switch {
	case l.header < 0:
	case l.other >= 0:
		return anotherTable(l.rows[l.header].line)
	case !l.vbo && l.isRecord():
		return fault.New(fault.Invalid, "line %d looks like a record, and the file has no header: write the names of its columns into a line before it", l.rows[l.header].line)
	default:
		return nil
	}
	r.sep = ','
	// No line of the head says anything. What follows is read only so that a
	// file beyond the caller's limit is refused as that.
	for {
		err := r.next()
		if errors.Is(err, ErrRecord) {
			return fault.New(fault.Invalid, "the header cannot be read: %v", err)
		}
		if err == io.EOF {
			return fault.New(fault.Invalid, "the file holds no record")
		}
		if err != nil {
			return err
		}
	}
}

// start goes to the first record.
func (r *Reader) start(l *layout) {
	r.pos, r.line = 0, 0
	if l.header >= 0 {
		last := &l.rows[l.data-1]
		r.pos, r.line = last.end, last.line
		r.again = append(r.again, l.rows[l.header].raw)
		for _, at := range l.between {
			r.again = append(r.again, l.rows[at].raw)
		}
		r.preamble = map[string]bool{}
		for _, row := range l.rows[:l.header] {
			r.preamble[string(row.raw)] = true
		}
		for i, raw := range r.again {
			r.again[i] = bytes.Clone(raw)
		}
		l.headerLine = l.rows[l.header].line
		if !l.quoted { // else cells are cut in another way, see lenient
			r.ahead = l.rows[l.data:]
		}
		l.rows, r.plan.records = nil, nil // they lie in the buffer that is read on
	}
}

// begin says what there is to do with each record's cells.
func (r *Reader) begin(values bool) {
	r.sep = r.plan.layout.sep
	r.seen = make([][]float64, len(r.plan.columns))
	if values || r.plan.renames() {
		r.tally = &tally{filled: make([]int, len(r.seen)), first: make([][]byte, len(r.seen)), last: make([][]byte, len(r.seen))}
	}
	for i := range r.plan.columns {
		c := &r.plan.columns[i]
		c.plain = c.convert == nil && !c.comma && c.group == 0 && c.hemisphere == nil
		if !c.plain || !c.Known && !c.Text && c.Name != "" && c.Name != label.Time {
			r.tasks = append(r.tasks, i)
		}
	}
	r.asIs = len(r.tasks) == 0 && r.plan.times.asWritten && r.tally == nil
}

// Columns returns what becomes of the file's columns.
func (r *Reader) Columns() []Column { return r.plan.columns }

// Line is the line of the file that the newest record ends in, from 1.
func (r *Reader) Line() int { return r.line }

// SkipLine drops the rest of a line that Read could not read.
func (r *Reader) SkipLine() error { return r.skip() }

// WidthError tells of a record with too few or too many cells. Reading can go on.
type WidthError struct{ Line, Cells, Header int }

func (e *WidthError) Error() string {
	return fmt.Sprintf("line %d has %d cells where the header has %d", e.Line, e.Cells, e.Header)
}

// blanks are what a line holds that says nothing: a logger that loses its power leaves
// zeros, DOS an end of file.
const blanks = " \t\r\x00\x1a\u00a0"

// Read returns the cells of the next record, one for each of Columns, and
// io.EOF after the last one. Numbers are in the channel's own unit, times in the
// usual form; empty cells are missing values. The cells are valid until the next
// call. After a *WidthError the next record can be read, after an error that
// wraps ErrRecord once SkipLine was called.
func (r *Reader) Read() ([][]byte, error) {
	for {
		if err := r.next(); err != nil {
			return nil, err
		}
		if len(r.cells) == 1 && len(bytes.Trim(r.cells[0], blanks)) == 0 || r.isAgain() {
			continue
		}
		l := r.plan.layout
		now := row{cells: r.cells, raw: r.raw}
		if !l.fitting(&now) {
			if isComment(r.raw) || r.preamble[string(r.raw)] || allBlank(r.cells) {
				continue
			}
			if err := r.otherHeader(); err != nil {
				return nil, err
			}
			return nil, &WidthError{Line: r.line, Cells: len(r.cells), Header: len(l.names)}
		}
		if isComment(r.raw) && !r.plan.columns[0].Text && r.plan.columns[0].Name != label.Session {
			continue
		}
		if err := r.otherHeader(); err != nil {
			return nil, err
		}
		r.records++
		return r.convert(), nil
	}
}

// isAgain reports whether the newest line is the header, or a row of units, that
// the file has had before.
func (r *Reader) isAgain() bool {
	for _, raw := range r.again {
		if len(raw) == len(r.raw) && bytes.Equal(raw, r.raw) {
			return true
		}
	}
	return false
}

// otherHeader finds the header of another table in the middle of the file.
func (r *Reader) otherHeader() error {
	if len(r.plan.times.columns) == 0 || r.plan.times.columns[0] >= len(r.cells) {
		return nil
	}
	cell := r.cells[r.plan.times.columns[0]]
	if len(cell) == 0 || cell[0]-'0' <= 9 || label.TimeRank(label.Normal(string(cell))) == 0 {
		return nil
	}
	return anotherTable(r.line)
}

func anotherTable(line int) error {
	return fault.New(fault.Invalid, "line %d begins another table, with other columns: split the file there", line)
}

func (r *Reader) convert() [][]byte {
	columns := r.plan.columns
	if r.ascii && !utf8.Valid(r.raw) {
		for i, cell := range r.cells {
			if !utf8.Valid(cell) && text.IsLatin1(cell) {
				r.cells[i] = text.FromLatin1(cell)
			}
		}
	}
	if r.asIs && len(r.cells) == len(columns) && beginsWithDate(r.cells[r.plan.times.columns[0]]) {
		return r.cells
	}
	r.out = append(r.out[:0], r.cells[:min(len(r.cells), len(columns))]...)
	for len(r.out) < len(columns) {
		r.out = append(r.out, nil)
	}
	if t := &r.plan.times; len(t.columns) > 0 {
		text := t.text(r.cells)
		for _, i := range t.columns {
			r.out[i] = nil
		}
		r.out[t.columns[0]] = text
	}
	for _, i := range r.tasks {
		c := &columns[i]
		cell := r.out[i]
		var letter []byte
		if h := c.hemisphere; h != nil {
			if letter = r.out[h.column]; h.column == i && !number.IsMissing(cell) {
				cell, letter = number.SplitLetter(cell)
			}
		}
		switch {
		case len(cell) == 0 || c.plain && number.Plain(cell):
		case number.IsMissing(cell):
			r.out[i] = nil
		default:
			n, ok := number.Parse(c.ungroup(cell), c.comma, c.numeric)
			switch {
			case !ok && c.comma:
				if n, ok = number.Parse(cell, false, c.numeric); ok {
					r.out[i] = n
				}
			case !ok: // a later misfit stays a text
			case c.convert != nil:
				v, _ := strconv.ParseFloat(string(n), 64)
				r.out[i] = c.convert.AppendTo(nil, v)
			default:
				r.out[i] = n
			}
			if h := c.hemisphere; h != nil {
				r.out[i] = h.signed(number.Trim(r.out[i]), letter)
			}
		}
	}
	if r.tally != nil {
		r.tally.add(columns, r.out, r.Saw)
	}
	return r.out
}
