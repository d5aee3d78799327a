package sync

import (
	"iter"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/httpx/ws"
)

// outgoing is one message for a socket, in pieces so that a large result can be
// shared between sockets.
type outgoing struct {
	pieces     [][]byte
	size       int
	transition bool
	// closeCode ends the connection after what was queued before; with
	// closeReason it is the close frame.
	closeCode   int
	closeReason string
}

func (o *outgoing) add(piece []byte) {
	o.pieces = append(o.pieces, piece)
	o.size += len(piece)
}

// outbox is the bounded queue between a session and the writer of its socket.
type outbox struct {
	mu     sync.Mutex
	queue  ws.Queue[outgoing] // transitions count nothing: there is one at most
	closed bool
	ready  chan struct{}
}

// maxOutbox is how many bytes of answers may wait for a client that does not
// read.
const maxOutbox = 8 << 20

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

// put queues a message. It returns false when the client is too slow for it.
func (o *outbox) put(m outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true
	}
	size := 0
	if !m.transition {
		if size = m.size; !o.queue.Fits(size, maxOutbox) {
			return false
		}
	}
	o.queue.Push(m, size)
	o.signal()
	return true
}

// end queues the closing of the connection, after which nothing is taken. A
// client that does not read loses what it was still to get.
func (o *outbox) end(code int, reason string, drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	if drop {
		o.queue = ws.Queue[outgoing]{}
	}
	o.queue.Push(outgoing{closeCode: code, closeReason: reason}, 0)
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// take returns the next message, if there is one.
func (o *outbox) take() (outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m, ok := o.queue.Pop()
	if o.queue.Len() == 0 {
		o.queue = ws.Queue[outgoing]{} // an idle socket holds none
	}
	return m, ok
}

// chunkSize is the size of one piece of a transition that is sent in several
// messages, and chunksSince the first client version that understands them.
const chunkSize = 5_000_000

var chunksSince = [3]int{1, 28, 0}

// understandsChunks reads the version segment of the URL.
func understandsChunks(version string) bool {
	version, _, _ = strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	if len(parts) != 3 {
		return false
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return false
		}
		if n != chunksSince[i] {
			return n > chunksSince[i]
		}
	}
	return true
}

// chunks cuts a transition into messages of at most size bytes of its text, between
// characters. Each is made when it is its turn: what many queries share counts once
// in memory, however often the text has it.
func chunks(m outgoing, id string, size int) iter.Seq[outgoing] {
	var ends []int
	for from := 0; from < m.size; {
		to := min(from+size, m.size)
		for to < m.size && to > from+1 && !utf8.RuneStart(m.text(to, to+1)[0]) {
			to--
		}
		ends = append(ends, to)
		from = to
	}
	return func(yield func(outgoing) bool) {
		from := 0
		for i, to := range ends {
			text := m.text(from, to)
			from = to
			b := make([]byte, 0, len(text)+len(text)/8+128)
			b = value.AppendString(append(b, `{"type":"TransitionChunk","chunk":`...), string(text))
			b = strconv.AppendInt(append(b, `,"partNumber":`...), int64(i), 10)
			b = strconv.AppendInt(append(b, `,"totalParts":`...), int64(len(ends)), 10)
			b = append(value.AppendString(append(b, `,"transitionId":`...), id), '}')
			var part outgoing
			part.add(b)
			if !yield(part) {
				return
			}
		}
	}
}

// text copies a part of a message.
func (o *outgoing) text(from, to int) []byte {
	text := make([]byte, 0, to-from)
	at := 0
	for _, piece := range o.pieces {
		if first, last := max(from-at, 0), min(to-at, len(piece)); first < last {
			text = append(text, piece[first:last]...)
		}
		at += len(piece)
	}
	return text
}

// Close codes of the websocket, as clients read them: all of these make them
// connect again, after a delay that depends on the reason.
const (
	closeNormal     = 1000
	closeGoingAway  = 1001
	closeTooLarge   = 1009
	closeInternal   = 1011
	closeTryLater   = 1013
	reasonTooLarge  = "message too large"
	reasonInternal  = "InternalServerError"
	reasonTooMany   = "TooManyConcurrentRequests"
	reasonSlow      = "TooManyConcurrentRequests: the client reads too slowly"
	reasonRestarted = "server is going away"
)
