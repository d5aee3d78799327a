package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// step is a step of ingest or of a refresh, as the database is asked for it.
type step struct {
	name    string
	is      func(m *message) bool
	refresh bool
}

// steps are recognised by pieces of the statements that the daemon sends; one that
// is never reached is an error.
var steps = []step{
	{"lock of the session", statement("FROM sessions", "deleted_at IS NULL", "FOR UPDATE"), false},
	{"recognition of the batch", statement("JOIN ingest_batches", "b.digest = $2"), false},
	{"COPY", statement("COPY telemetry "), false},
	{"COPY's rows", func(m *message) bool { return m.kind == 'd' && m.work == ingesting }, false},
	{"end of COPY", func(m *message) bool { return m.kind == 'c' && m.work == ingesting }, false},
	{"log of the batch", statement("INSERT INTO ingest_batches"), false},
	{"commit of the batch", func(m *message) bool { return m.text == "commit" && m.work == ingesting }, false},
	{"refresh of a window", func(m *message) bool {
		return strings.HasPrefix(m.text, "CALL refresh_continuous_aggregate(") || strings.HasPrefix(m.text, "DELETE FROM telemetry_") && strings.Contains(m.text, "_stored WHERE bucket")
	}, true},
	{"note of the refresh", statement("INSERT INTO rollup_progress"), true},
	{"commit of the refresh", func(m *message) bool { return m.text == "commit" && m.work == refreshing }, true},
}

func statement(pieces ...string) func(*message) bool {
	return func(m *message) bool {
		for _, piece := range pieces {
			if !strings.Contains(m.text, piece) {
				return false
			}
		}
		return true
	}
}

// What a transaction does, as far as commits and rows are to be told apart.
const (
	ingesting  = "ingest"
	refreshing = "refresh"
)

// message is one of a client of PostgreSQL.
type message struct {
	kind byte
	text string // of the statement that it asks for
	work string // of its transaction
}

// failpoint is a step at which the first who comes there meets a fault.
type failpoint struct {
	step
	after   bool // the step is done, and its answer gets no further
	claimed atomic.Bool
	reached chan *wire
	over    chan struct{} // closed when the fault has struck
}

// strike keeps the wire's bytes until the fault is over.
func (f *failpoint) strike(w *wire) error {
	f.reached <- w
	<-f.over
	return errors.New("struck")
}

// giveBack leaves a failpoint to the next who comes there: another fault has taken
// the connection before the answer came.
func (w *wire) giveBack() {
	if f := w.answer.Swap(nil); f != nil {
		f.claimed.Store(false)
	}
}

// carryMessages copies what a client of PostgreSQL sends, message by message.
func (w *wire) carryMessages(to io.Writer, from disturbed) error {
	in, out := bufio.NewReaderSize(from, 32<<10), bufio.NewWriterSize(to, 32<<10)
	statements := map[string]string{} // that are prepared, by name
	work := ""
	for first := true; ; first = false {
		head := 5 // a byte for the kind, and the length without it
		if first {
			head = 4
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		start, err := in.Peek(head)
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(start[head-4:])) + int64(head) - 4
		body := make([]byte, min(length, 16<<10)) // as far as anybody reads
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		if !first {
			m := message{kind: body[0], work: work}
			m.read(body[5:], statements)
			switch {
			case strings.HasPrefix(m.text, "COPY telemetry "):
				work = ingesting
			case strings.Contains(m.text, "INSERT INTO rollup_progress"):
				work = refreshing
			case m.text == "commit" || m.text == "rollback":
				work = ""
			}
			if f := w.proxy.meets(&m); f != nil {
				switch {
				case !f.after:
					return errors.Join(out.Flush(), f.strike(w))
				case m.kind == 'd': // which is not answered: half of the rows are there
					_, err := out.Write(body[:len(body)/2])
					return errors.Join(err, out.Flush(), f.strike(w))
				}
				w.answer.Store(f)
				if w.down.Load() {
					w.giveBack()
				}
			}
		}
		if _, err := out.Write(body); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, length-int64(len(body))); err != nil {
			return err
		}
	}
}

// meets returns the failpoint at which a message is the first.
func (p *proxy) meets(m *message) *failpoint {
	for i := range p.armed {
		if f := p.armed[i].Load(); f != nil && f.is(m) && f.claimed.CompareAndSwap(false, true) {
			return f
		}
	}
	return nil
}

// read finds the statement of a message, whose body may be cut short.
func (m *message) read(body []byte, statements map[string]string) {
	text := func() (s string) {
		field, rest, _ := bytes.Cut(body, []byte{0})
		body = rest
		return string(field)
	}
	switch m.kind {
	case 'Q':
		m.text = strings.TrimSpace(text())
	case 'P': // which asks for nothing yet
		name := text()
		statements[name] = strings.TrimSpace(text())
	case 'B':
		text() // the portal
		m.text = statements[text()]
	}
}

// reachPatience is how long a step may take to come. A lease whose holder was
// killed has to run out first.
const reachPatience = 3 * time.Minute

// atStep waits for somebody to come to a step. It cuts the connection then, or
// kills who has come.
func (r *run) atStep(ctx context.Context, random *rand.Rand, s step, after bool) error {
	f := &failpoint{step: s, after: after, reached: make(chan *wire, 1), over: make(chan struct{})}
	defer close(f.over)
	slot := 0
	if s.refresh {
		slot = 1
	}
	r.slots[slot].Lock()
	defer r.slots[slot].Unlock()
	for _, p := range r.programs() {
		p.ways().armed[slot].Store(f)
		defer p.ways().armed[slot].Store(nil)
	}
	kill := random.IntN(4) == 0
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	select {
	case w := <-f.reached:
		defer w.cut()
		for _, p := range r.programs() {
			if kill && p.ways() == w.proxy {
				return p.restart(ctx, random)
			}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("nobody came to the %s", s.name)
	}
}
