package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
	"github.com/ecovolt/telemetryd/timeseries/decode/foreign/number"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// csvColumn says what to do with a column of the file.
type csvColumn struct {
	slot  int
	name  []byte // of the member, for unknown fields
	key   []byte // see extraKey
	label string // header as written
	text  bool   // an unknown field whose numbers are texts
}

// maxColumns bounds what each line of a table costs.
const maxColumns = 16_384

// csvStream decodes tables with a header line; see package foreign. Empty cells
// mean absent.
type csvStream struct {
	src     io.Reader
	now     time.Time
	skipBad bool
	// session and name, when not empty, apply to every record and win over columns.
	session, name []byte
	unnamed       func() (id, name string, err error)
	table         foreign.Options

	rb      rowBuilder
	file    *foreign.Reader
	columns []csvColumn
	count   int
	ranges  bool
	ranged  []int // columns of whose values the file is told
	// powerFromMean fills power_w from avg_power, as the team's importer does
	// for files that have no power_w.
	powerFromMean bool
}

func (d *csvStream) next(b *Batch, most int) error {
	if d.file == nil {
		if err := d.header(); err != nil {
			return err
		}
	}
	for !b.full(most) {
		cells, err := d.file.Read()
		if err == nil {
			d.record(b, cells)
			continue
		}
		var width *foreign.WidthError
		switch {
		case err == io.EOF:
			if d.count == 0 {
				return fault.New(fault.Invalid, "the file holds no record")
			}
			return io.EOF
		case errors.As(err, &width):
			d.bad(b, "%v", err)
		case errors.Is(err, foreign.ErrRecord) && d.skipBad:
			d.bad(b, "after line %d: %v", d.file.Line(), err)
			if err := d.file.SkipLine(); err != nil {
				return d.fault(err)
			}
		default:
			return d.fault(err)
		}
	}
	return nil
}

// bad counts a record that has no cells to speak of.
func (d *csvStream) bad(b *Batch, format string, args ...any) {
	d.rb.begin(b, d.count, d.now)
	d.rb.problem("", format, args...)
	d.rb.end()
	d.count++
}

func (d *csvStream) header() (err error) {
	src, err := refuseOthers(d.src)
	if err == nil {
		d.file, err = foreign.NewReader(src, d.table)
	}
	if err != nil {
		d.file = nil
		return readFault(err)
	}
	columns := d.file.Columns()
	if len(columns) > maxColumns {
		return fault.New(fault.Invalid, "the header names %d columns; at most %d are allowed", len(columns), maxColumns)
	}
	d.powerFromMean = true
	hasSession := len(d.session) > 0
	for i, col := range columns {
		if reason := record.TextProblem([]byte(col.Label)); reason != "" || len(col.Name) > maxSessionID {
			return fault.New(fault.Invalid, "the name of column %d is not a usable text", i+1)
		}
		slot := slotOf([]byte(col.Name))
		switch {
		case col.Name == "":
			slot = slotIgnored
		case col.Name == "extra":
			slot = slotExtra
		case !col.Known && slot != slotIgnored:
			slot = slotUnknown
		}
		hasSession = hasSession || slot == slotSession
		d.powerFromMean = d.powerFromMean && slot != powerField
		if d.ranges && slot >= 0 && foreign.Expected(col.Name) {
			d.ranged = append(d.ranged, i)
		}
		d.columns = append(d.columns, csvColumn{slot, []byte(col.Name), extraKey([]byte(col.Name)), col.Label, col.Text})
	}
	if hasSession {
		return nil
	}
	if d.unnamed == nil {
		return fault.Field("session_id", "the header has no column of that name, and no session was given")
	}
	id, name, err := d.unnamed()
	d.session = []byte(id)
	if len(d.name) == 0 {
		d.name = []byte(name)
	}
	return err
}

func (d *csvStream) record(b *Batch, cells [][]byte) {
	rb := &d.rb
	rb.begin(b, d.count, d.now)
	rb.row.line = int32(d.file.Line())
	d.count++
	said := len(b.problems)
	if len(d.session) > 0 {
		rb.setSession(d.session)
	}
	if len(d.name) > 0 {
		rb.setText(nameField, d.name)
	}
	for i, cell := range cells {
		col := &d.columns[i]
		switch {
		case col.slot == slotSession:
			if len(d.session) == 0 && len(cell) > 0 {
				rb.setSession(cell)
			}
		case len(cell) == 0 || col.slot == slotIgnored:
		case col.slot == slotTime:
			rb.setTime(cell)
		case col.slot == slotUnknown:
			d.unknown(rb, col, cell)
		case col.slot == slotExtra:
			d.extra(rb, col, cell)
		case col.slot == nameField && len(d.name) > 0:
		default:
			d.cell(rb, col.slot, cell)
		}
	}
	for _, i := range d.ranged {
		if slot := d.columns[i].slot; rb.row.present.Has(slot) {
			d.file.Saw(i, math.Float64frombits(rb.values[slot]))
		}
	}
	if d.powerFromMean && rb.row.present.Has(meanPowerField) {
		rb.values[powerField] = rb.values[meanPowerField]
		rb.row.present.Set(powerField)
	}
	rb.end()
	for i := said; i < len(b.problems); i++ {
		b.problems[i].Reason += d.place(b.problems[i].Field)
	}
}

// place says where in the file a member of the newest record stands.
func (d *csvStream) place(member string) string {
	for _, col := range d.columns {
		if string(col.name) == member {
			return fmt.Sprintf(" (line %d, column %q)", d.file.Line(), fault.Clip(col.label))
		}
	}
	return fmt.Sprintf(" (line %d)", d.file.Line())
}

var (
	nameField, _      = channel.Index("session_name")
	powerField, _     = channel.Index("power_w")
	meanPowerField, _ = channel.Index("avg_power")
)

func (d *csvStream) cell(rb *rowBuilder, slot int, cell []byte) {
	f := &channel.All[slot]
	switch f.Type {
	case channel.Text:
		rb.setText(slot, cell)
	case channel.JSON:
		s := scanner{buf: cell}
		raw, reason, err := s.value()
		rb.grown += s.grown
		if err == nil && s.pos != len(cell) && len(bytes.TrimSpace(cell[s.pos:])) > 0 {
			err = errSyntax
		}
		if errors.Is(err, errShort) && isNumberText(cell) {
			raw, err = cell, nil
		}
		switch {
		case err != nil: // a text that a spreadsheet or a page made of the value
			if rb.checkText(f.Name, cell) {
				rb.setJSON(slot, record.AppendJSONString(nil, cell))
			}
		case reason != "":
			rb.problem(f.Name, "%s", reason)
		default:
			rb.setJSON(slot, raw)
		}
	default:
		v, ok := parseCell(cell)
		switch {
		case (!ok || math.IsNaN(v)) && number.IsMissing(cell):
		case !ok:
			rb.problem(f.Name, "%q is not %s", fault.Clip(string(cell)), article(f.Type))
		case f.Type == channel.Int:
			rb.setInt(slot, v)
		default:
			rb.setFloat(slot, v)
		}
	}
}

// extra takes the members of the object that our own exports have in their last
// column, and anything else as a field of that name.
func (d *csvStream) extra(rb *rowBuilder, col *csvColumn, cell []byte) {
	s := scanner{buf: cell}
	_, reason, err := s.value()
	rb.grown += s.grown
	if cell[0] != '{' || err != nil || reason != "" || s.space() != 0 || s.pos < len(cell) {
		d.unknown(rb, col, cell)
		return
	}
	s.pos = 1
	if s.space() == '}' {
		return
	}
	for more := true; more; {
		member, err := s.str()
		if err != nil {
			return // not reached: the text was read once already
		}
		member = append([]byte(nil), member...)
		_ = s.expect(':')
		raw, _, _ := s.value()
		if slotOf(member) != slotUnknown || len(member) > maxSessionID {
			rb.problem("extra", "holds a member %q, which is not an unknown field", fault.Clip(string(member)))
			return
		}
		rb.addExtra(extraKey(member), raw)
		more, _ = s.more('}')
	}
}

// unknown keeps a cell of a column that has no field: a number as a number,
// anything else as text.
func (d *csvStream) unknown(rb *rowBuilder, col *csvColumn, cell []byte) {
	if !col.text && (number.Plain(cell) || number.Is(cell) && isNumberText(cell)) {
		rb.addExtra(col.key, cell)
		return
	}
	if rb.checkText(string(col.name), cell) {
		rb.addExtra(col.key, record.AppendJSONString(nil, cell))
	}
}

// isNumberText reports whether cell is a JSON number, finite as a float64.
func isNumberText(cell []byte) bool {
	if c := cell[0]; c != '-' && c-'0' > 9 {
		return false
	}
	s := scanner{buf: append(cell[:len(cell):len(cell)], ' ')}
	_, ok, err := s.number()
	_, storable := storableNumber(cell)
	return err == nil && ok && s.pos == len(cell) && storable
}

// parseCell reads a number as Python and spreadsheets write it.
func parseCell(cell []byte) (float64, bool) {
	if len(cell) <= 17 {
		digits := cell
		if cell[0] == '-' {
			digits = cell[1:]
		}
		var mantissa uint64
		scale, i := 0, 0
		for ; i < len(digits) && digits[i]-'0' <= 9; i++ {
			mantissa = mantissa*10 + uint64(digits[i]-'0')
		}
		if i < len(digits) && digits[i] == '.' {
			digits, i = digits[i+1:], 0
			for ; i < len(digits) && digits[i]-'0' <= 9; i++ {
				mantissa = mantissa*10 + uint64(digits[i]-'0')
			}
			scale = i
		}
		if i == len(digits) && i > 0 && mantissa < 1e15 && scale <= 15 {
			v := float64(mantissa) / powersOfTen[scale]
			if cell[0] == '-' {
				v = -v
			}
			return v, true
		}
	}
	text := strings.TrimSpace(unsafe.String(&cell[0], len(cell)))
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0) && !strings.ContainsAny(text, "xX_")
}

func (d *csvStream) fault(err error) error {
	if fault.As(err) != nil {
		return err
	}
	index := d.count
	return &fault.Error{Kind: fault.Invalid, Message: "the body cannot be read", Err: err,
		Problems: []fault.Problem{{Index: &index, Reason: fmt.Sprintf("after line %d: %v", d.file.Line(), err)}}}
}
