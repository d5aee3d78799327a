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
	"unicode"
	"unsafe"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// csvAliases are other names of fields in headers of CSV files, after the team's
// importer and the labels of the live page's download ("Speed (m/s)").
var csvAliases = map[string]string{
	"session": "session_id", "time": "timestamp", "datetime": "timestamp",
	"speed": "speed_ms", "voltage": "voltage_v", "current": "current_a", "power": "power_w",
	"energy": "energy_j", "distance": "distance_m",
	"lat": "latitude", "lon": "longitude", "lng": "longitude",
	"altitude": "altitude_m", "alt": "altitude_m",
	"s_gyro_x": "steering_gyro_x", "s_gyro_y": "steering_gyro_y", "s_gyro_z": "steering_gyro_z",
	"s_accel_x": "steering_accel_x", "s_accel_y": "steering_accel_y", "s_accel_z": "steering_accel_z",
	"total_accel": "total_acceleration",
	"msg_id":      "message_id", "uptime": "uptime_seconds",
	"max_current": "max_current_a", "heading": "vehicle_heading",
}

// csvColumn says what to do with a column of the file.
type csvColumn struct {
	slot int
	name []byte // header as written, for unknown fields
}

// csvStream decodes CSV with a header line (RFC 4180; quoted cells may hold
// commas, quotes and line breaks). Empty cells mean absent.
type csvStream struct {
	src     io.Reader
	step    int // how much is asked of src at once; 0 is readSize
	now     time.Time
	skipBad bool
	// session and name, when not empty, apply to every record and win over columns.
	session, name []byte

	rb      rowBuilder
	columns []csvColumn
	buf     []byte
	pos     int
	atEOF   bool
	cells   [][]byte
	quoted  []byte // unescaped text of quoted cells
	count   int
	line    int
	// powerFromMean fills power_w from avg_power, as the team's importer does
	// for files that have no power_w.
	powerFromMean bool
}

// errCSV is wrapped by what makes the rest of a CSV stream unreadable.
var errCSV = errors.New("not valid CSV")

func (d *csvStream) next(b *Batch, most int) error {
	if d.columns == nil {
		if err := d.header(); err != nil {
			return err
		}
	}
	for !b.full(most) {
		err := d.readLine()
		if err == io.EOF {
			return io.EOF
		}
		if errors.Is(err, errCSV) && d.skipBad {
			d.rb.begin(b, d.count, d.now)
			d.rb.problem("", "after line %d: %v", d.line, err)
			d.rb.end()
			d.count++
			if err = d.nextLine(); err == nil {
				continue
			}
		}
		if err != nil {
			return d.fault(err)
		}
		if len(d.cells) == 1 && len(d.cells[0]) == 0 {
			continue // blank line
		}
		d.record(b)
	}
	return nil
}

func (d *csvStream) header() error {
	err := d.readLine()
	for err == nil && len(d.cells) == 1 && len(d.cells[0]) == 0 {
		err = d.readLine()
	}
	if err == io.EOF {
		d.columns = []csvColumn{}
		return nil
	}
	if err != nil {
		return d.fault(err)
	}
	if len(d.cells) > len(channel.All)+maxUnknownFields {
		return fault.New(fault.Invalid, "the header names %d columns; at most %d are allowed", len(d.cells), len(channel.All)+maxUnknownFields)
	}
	d.columns = make([]csvColumn, len(d.cells))
	taken := map[int]bool{}
	extras := map[string]bool{}
	for i, cell := range d.cells {
		if i == 0 {
			cell = bytes.TrimPrefix(cell, []byte("\xef\xbb\xbf")) // spreadsheets write a byte order mark
		}
		if reason := record.TextProblem(cell); reason != "" || len(cell) > maxSessionID {
			return fault.New(fault.Invalid, "the name of column %d is not a usable text", i+1)
		}
		name := normalHeader(string(cell))
		slot := slotOf([]byte(name))
		if name == "extra" {
			slot = slotExtra
		}
		if slot == slotUnknown || slot == slotAltitude {
			if alias, ok := csvAliases[name]; ok {
				slot = slotOf([]byte(alias))
			}
		}
		if slot == slotUnknown && name == "" {
			slot = slotIgnored // a nameless column, such as a spreadsheet's row number
		}
		// Of two columns for one field the field's own name wins over an alias,
		// else the first; the other one is kept like an unknown field.
		if slot >= 0 || slot == slotSession || slot == slotTime {
			if taken[slot] {
				if slot >= 0 && channel.All[slot].Name == name {
					for j := range i {
						if d.columns[j].slot == slot {
							d.columns[j] = csvColumn{slotUnknown, d.columns[j].name}
						}
					}
				} else {
					slot = slotUnknown
				}
			} else {
				taken[slot] = true
			}
		}
		d.columns[i] = csvColumn{slot, []byte(strings.TrimSpace(string(cell)))}
	}
	for i, col := range d.columns {
		if col.slot != slotUnknown {
			continue
		}
		// Unknown fields must not hide each other, nor known ones.
		if extras[string(col.name)] || slotOf(col.name) != slotUnknown && slotOf(col.name) != slotAltitude {
			return fault.New(fault.Invalid, "the header names %q twice (column %d)", fault.Clip(string(col.name)), i+1)
		}
		extras[string(col.name)] = true
	}
	d.powerFromMean = !taken[powerField]
	if !taken[slotTime] {
		return fault.Field("timestamp", "the header has no column of that name")
	}
	if !taken[slotSession] && len(d.session) == 0 {
		return fault.Field("session_id", "the header has no column of that name, and no session was given")
	}
	return nil
}

// normalHeader turns a label such as "Speed (m/s)" into speed.
func normalHeader(label string) string {
	label, _, _ = strings.Cut(label, "(")
	label, _, _ = strings.Cut(label, "[")
	var out strings.Builder
	gap := false
	for _, r := range strings.ToLower(label) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = out.Len() > 0
			continue
		}
		if gap {
			out.WriteByte('_')
			gap = false
		}
		out.WriteRune(r)
	}
	name := out.String()
	if strings.HasPrefix(label, "_") { // _id and _creationTime keep their mark
		return strings.TrimSpace(label)
	}
	return name
}

func (d *csvStream) record(b *Batch) {
	rb := &d.rb
	rb.begin(b, d.count, d.now)
	d.count++
	defer rb.end()
	if len(d.cells) != len(d.columns) {
		rb.problem("", "line %d has %d cells where the header has %d", d.line, len(d.cells), len(d.columns))
		return
	}
	if len(d.session) > 0 {
		rb.setSession(d.session)
	}
	if len(d.name) > 0 {
		rb.setText(nameField, d.name)
	}
	for i, cell := range d.cells {
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
			d.unknown(rb, col.name, cell)
		case col.slot == slotExtra:
			d.extra(rb, col.name, cell)
		case col.slot == nameField && len(d.name) > 0:
		default:
			d.cell(rb, col.slot, cell)
		}
	}
	if d.powerFromMean && rb.row.present.Has(meanPowerField) {
		rb.values[powerField] = rb.values[meanPowerField]
		rb.row.present.Set(powerField)
	}
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
func (d *csvStream) extra(rb *rowBuilder, name, cell []byte) {
	s := scanner{buf: cell}
	_, reason, err := s.value()
	if cell[0] != '{' || err != nil || reason != "" || s.space() != 0 || s.pos < len(cell) {
		d.unknown(rb, name, cell)
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
			rb.problem(string(name), "holds a member %q, which is not an unknown field", fault.Clip(string(member)))
			return
		}
		rb.addExtra(member, raw)
		more, _ = s.more('}')
	}
}

// unknown keeps a cell of a column that has no field: a number as a number,
// anything else as text.
func (d *csvStream) unknown(rb *rowBuilder, name, cell []byte) {
	if isNumberText(cell) {
		rb.addExtra(name, cell)
		return
	}
	if rb.checkText(string(name), cell) {
		rb.addExtra(name, record.AppendJSONString(nil, cell))
	}
}

// isNumberText reports whether cell is a JSON number, finite as a float64.
func isNumberText(cell []byte) bool {
	if c := cell[0]; c != '-' && c-'0' > 9 {
		return false
	}
	s := scanner{buf: append(cell[:len(cell):len(cell)], ' ')}
	_, ok, err := s.number()
	return err == nil && ok && s.pos == len(cell) && storableNumber(cell)
}

// parseCell reads a number as Python and spreadsheets write it.
func parseCell(cell []byte) (float64, bool) {
	var mantissa uint64
	i, point := 0, -1
	if cell[0] == '-' {
		i = 1
	}
	for ; i < len(cell) && len(cell) <= 17; i++ {
		if c := cell[i]; c-'0' <= 9 {
			mantissa = mantissa*10 + uint64(c-'0')
		} else if c == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	scale := 0
	if point >= 0 {
		scale = i - point - 1
	}
	if i == len(cell) && mantissa < 1e15 && scale <= 15 && cell[len(cell)-1]-'0' <= 9 {
		v := float64(mantissa) / powersOfTen[scale]
		if cell[0] == '-' {
			v = -v
		}
		return v, true
	}
	text := strings.TrimSpace(unsafe.String(&cell[0], len(cell)))
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0) && !strings.ContainsAny(text, "xX_")
}

// readLine fills cells with the cells of the next record. They are valid until
// the next call.
func (d *csvStream) readLine() error {
	for {
		n, err := d.split(d.buf[d.pos:])
		if err == nil {
			d.pos += n
			return nil
		}
		if !errors.Is(err, errShort) {
			return err
		}
		if d.atEOF {
			return io.EOF
		}
		if len(d.buf)-d.pos > MaxRecordBytes {
			return fmt.Errorf("%w: a record is longer than %d bytes", errCSV, MaxRecordBytes)
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

func (d *csvStream) fill() (err error) {
	rest := copy(d.buf, d.buf[d.pos:])
	d.pos = 0
	d.buf, d.atEOF, err = readOn(d.src, d.buf[:rest], d.step)
	return err
}

// nextLine drops what is left of a line that cannot be read.
func (d *csvStream) nextLine() error {
	d.cells = d.cells[:0]
	d.line++
	for {
		if i := bytes.IndexByte(d.buf[d.pos:], '\n'); i >= 0 {
			d.pos += i + 1
			return nil
		}
		d.pos = len(d.buf)
		if d.atEOF {
			return nil
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// split cuts the first record of text into cells and gives its length.
func (d *csvStream) split(text []byte) (int, error) {
	if len(text) == 0 {
		return 0, errShort
	}
	d.cells = d.cells[:0]
	end := bytes.IndexByte(text, '\n')
	length := end + 1
	if end < 0 {
		if !d.atEOF {
			return 0, errShort
		}
		end, length = len(text), len(text)
	}
	line := text[:end]
	if bytes.IndexByte(line, '"') >= 0 {
		return d.splitQuoted(text)
	}
	d.line++
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for {
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			d.cells = append(d.cells, line)
			return length, nil
		}
		d.cells = append(d.cells, line[:i])
		line = line[i+1:]
	}
}

// splitQuoted is split for records with quotes in them.
func (d *csvStream) splitQuoted(text []byte) (int, error) {
	// Unescaped text may move while it grows, so that cells are cut at the end.
	type cut struct{ from, to int }
	var cuts []cut
	out := d.quoted[:0]
	lines := 0
	i := 0
	for {
		from := len(out)
		if i < len(text) && text[i] == '"' {
			i++
			for {
				if i >= len(text) {
					if d.atEOF {
						return 0, fmt.Errorf("%w: a quote is not closed", errCSV)
					}
					return 0, errShort
				}
				c := text[i]
				i++
				if c == '\n' {
					lines++
				}
				if c != '"' {
					out = append(out, c)
					continue
				}
				if i < len(text) && text[i] == '"' {
					out = append(out, '"')
					i++
					continue
				}
				break
			}
			if i >= len(text) && !d.atEOF {
				return 0, errShort // another quote may follow
			}
		} else {
			for i < len(text) && text[i] != ',' && text[i] != '\n' {
				out = append(out, text[i])
				i++
			}
			if i >= len(text) && !d.atEOF {
				return 0, errShort
			}
			if (i >= len(text) || text[i] == '\n') && len(out) > from && out[len(out)-1] == '\r' {
				out = out[:len(out)-1]
			}
		}
		cuts = append(cuts, cut{from, len(out)})
		if i < len(text) && text[i] == '\r' {
			if i+1 >= len(text) && !d.atEOF {
				return 0, errShort
			}
			if i+1 >= len(text) || text[i+1] == '\n' {
				i++
			}
		}
		switch {
		case i >= len(text):
		case text[i] == ',':
			i++
			continue
		case text[i] == '\n':
			i++
		default:
			return 0, fmt.Errorf("%w: text follows a closing quote", errCSV)
		}
		break
	}
	d.quoted = out
	for _, c := range cuts {
		d.cells = append(d.cells, out[c.from:c.to])
	}
	d.line += 1 + lines
	return i, nil
}

func (d *csvStream) fault(err error) error {
	if fault.As(err) != nil {
		return err
	}
	index := d.count
	return &fault.Error{Kind: fault.Invalid, Message: "the body cannot be read", Err: err,
		Problems: []fault.Problem{{Index: &index, Reason: fmt.Sprintf("after line %d: %v", d.line, err)}}}
}

// HeaderHasSession reports whether a CSV header line names a session_id column.
func HeaderHasSession(line string) bool {
	d := csvStream{src: strings.NewReader(line + "\n")}
	if d.readLine() != nil {
		return false
	}
	for _, cell := range d.cells {
		name := normalHeader(strings.TrimPrefix(string(cell), "\xef\xbb\xbf"))
		if name == "session_id" || csvAliases[name] == "session_id" {
			return true
		}
	}
	return false
}
