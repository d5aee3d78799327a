package live

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// frame is one encoded message. It is shared by all who get it.
type frame struct {
	payload []byte
	kind    string // the message's type
	session string // the session it is about; empty: the connection
	records int
	moves   bool // its reader stands at to after it
	marks   bool // its reader stands at to already
	to      delta.Position

	once     sync.Once
	prepared *ws.Prepared
	err      error
}

// websocket returns the frame in the form that websockets share.
func (f *frame) websocket() (*ws.Prepared, error) {
	f.once.Do(func() { f.prepared, f.err = ws.Prepare(f.payload) })
	return f.prepared, f.err
}

func messageFrame(m protocol.ServerMessage) *frame {
	payload, err := json.Marshal(m)
	if err != nil {
		// No type in a protocol.ServerMessage can fail.
		payload = []byte(`{"type":"error","code":"INTERNAL","message":"a message could not be encoded"}`)
	}
	return &frame{payload: payload, kind: m.Type, session: m.Session}
}

// frameBytes is about how long a message with records may get before the next
// one begins. Small enough for a slow link to make progress, large enough for
// the frame's overhead and the queue's bookkeeping not to matter.
const frameBytes = 48 << 10

// Kinds of messages with records.
const (
	kindRecords  = "records"
	kindSnapshot = "snapshot"
)

// recordsWriter puts records into frames.
type recordsWriter struct {
	kind    string
	id      string
	session []byte // the id as a JSON string
	set     *record.Selection
	replay  bool

	frames    []*frame
	buf       []byte
	count     int
	last      delta.Position // after the newest record in buf
	conflated int
}

// add writes record i of the delta.
func (w *recordsWriter) add(d *delta.Delta, i int) {
	if len(w.buf) >= frameBytes {
		w.cut(w.last, false)
	}
	if w.count == 0 {
		w.open()
	} else {
		w.buf = append(w.buf, ',')
	}
	w.buf = d.AppendRecord(w.buf, i, w.set)
	w.last = d.After(i)
	w.count++
}

func (w *recordsWriter) open() {
	w.buf = make([]byte, 0, 2<<10)
	w.buf = append(w.buf, `{"type":"`...)
	w.buf = append(w.buf, w.kind...)
	w.buf = append(w.buf, `","session":`...)
	w.buf = append(w.buf, w.session...)
	w.buf = append(w.buf, `,"records":[`...)
}

// cut ends the message. done marks a snapshot's last one.
func (w *recordsWriter) cut(to delta.Position, done bool) {
	if w.count == 0 {
		if !done {
			return
		}
		w.open()
	}
	w.buf = append(w.buf, `],"cursor":"`...)
	w.buf = protocol.AppendCursor(w.buf, to)
	w.buf = append(w.buf, '"')
	if w.conflated > 0 {
		w.buf = append(w.buf, `,"conflated":`...)
		w.buf = appendInt(w.buf, w.conflated)
	}
	if w.replay {
		w.buf = append(w.buf, `,"replay":true`...)
	}
	if done {
		w.buf = append(w.buf, `,"done":true`...)
	}
	w.buf = append(w.buf, '}')
	w.frames = append(w.frames, &frame{payload: w.buf, kind: w.kind, session: w.id, records: w.count, moves: true, to: to})
	w.buf, w.count, w.conflated = nil, 0, 0
}

// bucket is the place of record i in slices of time 1/rate long.
func bucket(d *delta.Delta, i int, rate float64) int64 {
	return d.Time(i).UnixMicro() / int64(float64(time.Second.Microseconds())/rate)
}

// addAll writes the records of the delta from index on; with a rate, only the
// last of each run within one slice of time.
func (w *recordsWriter) addAll(d *delta.Delta, from int, rate float64) {
	for i := from; i < d.Len(); i++ {
		if rate > 0 && i+1 < d.Len() && bucket(d, i, rate) == bucket(d, i+1, rate) {
			w.conflated++
			continue
		}
		w.add(d, i)
	}
}
