package decode

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// jsonDecoder reads records from JSON text into a Batch.
type jsonDecoder struct {
	scan scanner
	rb   rowBuilder
	now  time.Time
	// hints[i] is the field that stood at place i of the record before. Records
	// of one sender list the same members in the same order, so that comparing
	// one name nearly always replaces a search.
	hints []hint
	// idOverride, when not empty, is the session of every record.
	idOverride []byte
	maxRecord  int // bytes; 0 is MaxRecordBytes
	count      int // records seen, good or bad
}

type hint struct {
	name string
	slot int
	key  []byte // of an unknown member: see extraKey
	why  string // likewise: the name cannot be one; empty as a rule
}

// What a name stands for, when it is not an index into Fields.
const (
	slotUnknown = -1 - iota
	slotSession
	slotTime
	slotAltitude
	slotIgnored
	slotExtra // of CSV: members of their own
)

func slotOf(name []byte) int {
	if i, ok := channel.Index(string(name)); ok {
		return i
	}
	switch string(name) {
	case "session_id":
		return slotSession
	case "timestamp":
		return slotTime
	case "altitude": // the vehicle's own name for altitude_m
		return slotAltitude
	case "_id", "_creationTime": // our own answers, sent back to us
		return slotIgnored
	}
	return slotUnknown
}

// mostHints is for how many members of a record one is kept.
var mostHints = len(channel.All) + record.MaxMembers

// hint tells what a name at a place stands for. It is valid until the next call.
func (d *jsonDecoder) hint(place int, name []byte) *hint {
	if place < len(d.hints) && d.hints[place].name == string(name) {
		return &d.hints[place]
	}
	h := &hint{name: string(name), slot: slotOf(name)}
	if h.slot == slotUnknown {
		h.key = extraKey(name)
		if reason := record.TextProblem(name); reason != "" {
			h.why = "the name " + reason
		} else if len(name) > maxSessionID {
			h.why = fmt.Sprintf("the name is %d bytes long; at most %d are allowed", len(name), maxSessionID)
		}
	}
	switch {
	case len(name) > maxSessionID: // not worth the memory
	case place < len(d.hints):
		d.hints[place] = *h
	case place == len(d.hints) && place < mostHints:
		d.hints = append(d.hints, *h)
	}
	return h
}

var altitudeField, _ = channel.Index("altitude_m")

// record reads one record. A returned error means that the text cannot be read
// on; what is wrong with the record alone is noted in the batch.
func (d *jsonDecoder) record(b *Batch) error {
	s, rb := &d.scan, &d.rb
	start := s.pos
	s.grown = 0
	marks := batchMarks(b)
	rb.begin(b, d.count, d.now)
	if len(d.idOverride) > 0 {
		rb.setSession(d.idOverride)
	}
	err := d.members(s, rb)
	if err != nil { // after errShort the rest may still arrive: forget the attempt
		marks.restore(b)
		return err
	}
	if s.pos-start > d.longest() {
		rb.problem("", "is %d bytes long; at most %d are allowed", s.pos-start, d.longest())
	}
	d.count++
	rb.grown = s.grown
	rb.end()
	return nil
}

func (d *jsonDecoder) longest() int { return cmp.Or(d.maxRecord, MaxRecordBytes) }

// marks remembers where a batch ended.
type marks struct{ values, text, spans, sessions, problems, rejected int }

func batchMarks(b *Batch) marks {
	return marks{len(b.values), len(b.text), len(b.spans), len(b.sessions), len(b.problems), b.rejected}
}

func (m marks) restore(b *Batch) {
	b.values, b.text, b.spans, b.sessions = b.values[:m.values], b.text[:m.text], b.spans[:m.spans], b.sessions[:m.sessions]
	b.problems, b.rejected = b.problems[:m.problems], m.rejected
	b.lastSession = -1
}

func (d *jsonDecoder) members(s *scanner, rb *rowBuilder) error {
	if c := s.space(); c != '{' {
		if s.pos >= len(s.buf) {
			return errShort
		}
		raw, _, err := s.value()
		if err != nil {
			return err
		}
		rb.problem("", "is %s, not an object", kindOf(raw[0]))
		return nil
	}
	s.pos++
	if s.space() == '}' {
		s.pos++
		return nil
	}
	for place := 0; ; place++ {
		name, err := s.str()
		if err != nil {
			return err
		}
		h := d.hint(place, name)
		if h.why != "" {
			rb.problem(h.name, "%s", h.why)
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := d.member(s, rb, h); err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

func (d *jsonDecoder) member(s *scanner, rb *rowBuilder, h *hint) error {
	slot := h.slot
	c := s.space()
	if s.pos >= len(s.buf) {
		return errShort
	}
	if c == 'n' { // null: the same as absent
		_, err := s.literal()
		if err == nil && slot >= 0 {
			rb.row.present.Clear(slot)
		}
		return err
	}
	fallback := false
	if slot == slotAltitude {
		slot, fallback = altitudeField, true
	}
	switch {
	case slot == slotSession || slot == slotTime:
		if c != '"' {
			name := "timestamp"
			if slot == slotSession {
				name = "session_id"
			}
			return d.wrongType(s, rb, name, "text")
		}
		text, err := s.str()
		if err != nil {
			return err
		}
		if slot == slotTime {
			rb.setTime(text)
		} else if len(d.idOverride) == 0 {
			rb.setSession(text)
		}
		return nil
	case slot == slotIgnored:
		_, _, err := s.value()
		return err
	case slot == slotUnknown:
		raw, reason, err := s.value()
		if err != nil {
			return err
		}
		if reason != "" {
			rb.problem(h.name, "%s", reason)
			return nil
		}
		rb.addExtra(h.key, raw)
		return nil
	}
	switch f := &channel.All[slot]; f.Type {
	case channel.Float, channel.Int:
		return d.numberMember(s, rb, slot, c, fallback)
	case channel.Text:
		if c != '"' {
			return d.wrongType(s, rb, f.Name, "text")
		}
		text, err := s.str()
		if err != nil {
			return err
		}
		rb.setText(slot, text)
		return nil
	default:
		raw, reason, err := s.value()
		if err != nil {
			return err
		}
		if reason != "" {
			rb.problem(f.Name, "%s", reason)
			return nil
		}
		rb.setJSON(slot, raw)
		return nil
	}
}

func (d *jsonDecoder) numberMember(s *scanner, rb *rowBuilder, slot int, c byte, fallback bool) error {
	f := &channel.All[slot]
	var v float64
	switch {
	case c == '-' || c == 'N' || c == 'I' || c-'0' <= 9:
		number, ok, err := s.number()
		if err != nil {
			return err
		}
		if !ok {
			rb.problem(f.Name, "is not a finite number")
			return nil
		}
		v = number
	case c == '{':
		raw, _, err := s.value()
		if err != nil {
			return err
		}
		number, ok := tagged(raw)
		if !ok {
			rb.problem(f.Name, "is an object, not %s", article(f.Type))
			return nil
		}
		v = number
	default:
		return d.wrongType(s, rb, f.Name, article(f.Type))
	}
	if fallback && rb.row.present.Has(slot) {
		return nil // altitude_m itself wins over its other name
	}
	if f.Type == channel.Int {
		rb.setInt(slot, v)
	} else {
		rb.setFloat(slot, v)
	}
	return nil
}

func article(t channel.Type) string {
	if t == channel.Int {
		return "an integer"
	}
	return "a " + t.String()
}

// wrongType skips the value and notes that it is of another type.
func (d *jsonDecoder) wrongType(s *scanner, rb *rowBuilder, field, want string) error {
	raw, _, err := s.value()
	if err != nil {
		return err
	}
	rb.problem(field, "is %s, not %s", kindOf(raw[0]), want)
	return nil
}

func kindOf(first byte) string {
	switch first {
	case '"':
		return "text"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// Records reads the JSON text of an array of records, as the function
// contract's insertTelemetryBatch takes it. Syntax errors are returned; what is
// wrong with single records is noted in the batch.
func Records(text []byte, b *Batch, now time.Time) error {
	d := jsonDecoder{scan: scanner{buf: text}, now: now}
	s := &d.scan
	if err := s.expect('['); err != nil {
		return syntaxFault("records", err)
	}
	if s.space() == ']' {
		s.pos++
	} else {
		for {
			if err := d.record(b); err != nil {
				return d.fault(err)
			}
			more, err := s.more(']')
			if err != nil {
				return d.fault(err)
			}
			if !more {
				break
			}
		}
	}
	if s.space(); s.pos < len(s.buf) {
		return syntaxFault("records", s.syntax("more text after the array"))
	}
	return nil
}

func (d *jsonDecoder) fault(err error) error {
	index := d.count
	return &fault.Error{
		Kind: fault.Invalid, Message: "the body cannot be read", Err: err,
		Problems: []fault.Problem{{Index: &index, Reason: err.Error()}},
	}
}

func syntaxFault(field string, err error) error {
	return &fault.Error{
		Kind: fault.Invalid, Message: "the body cannot be read", Err: err,
		Problems: []fault.Problem{{Field: field, Reason: err.Error()}},
	}
}
