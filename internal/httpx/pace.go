package httpx

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

const (
	// slowest is the rate in bytes/s below which a client is not waited for.
	slowest = 1000
	// grace is for how long it may fall behind that.
	grace = 20 * time.Second
	// requestTime is how long a request may take in all, from its header to the
	// last byte of its answer, unless it is Unhurried.
	requestTime = 5 * time.Minute
	// writePiece is how much is written under one deadline, in bytes.
	writePiece = 16 << 10
)

// pace is how far a client is behind the slowest rate. Only the time counts in
// which the client is what we wait for: to read what it sends, or until it takes
// what we write.
type pace struct{ behind time.Duration }

func duration(bytes int) time.Duration { return time.Duration(bytes) * time.Second / slowest }

// until is when the client must have moved that many bytes.
func (p *pace) until(bytes int) time.Time { return time.Now().Add(grace - p.behind + duration(bytes)) }

// moved notes that the client moved them since it was waited for.
func (p *pace) moved(bytes int, since time.Time) {
	p.behind = max(0, p.behind+time.Since(since)-duration(bytes))
}

// exchange is the answer to one request. It bounds how long its client may take.
type exchange struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    pace
	end     time.Time // of the whole; zero is never
	taken   bool      // by a websocket
}

func newExchange(w http.ResponseWriter) *exchange {
	x := &exchange{ResponseWriter: w, control: http.NewResponseController(w), end: time.Now().Add(requestTime)}
	_ = x.control.SetWriteDeadline(time.Time{}) // that of the request before
	return x
}

// by returns the sooner one of a deadline and the request's end.
func (x *exchange) by(deadline time.Time) time.Time {
	if x == nil || x.end.IsZero() || deadline.Before(x.end) {
		return deadline
	}
	return x.end
}

// Write fails with os.ErrDeadlineExceeded when the client takes too little.
func (x *exchange) Write(b []byte) (n int, err error) {
	for {
		piece := b[:min(len(b), writePiece)]
		since := time.Now()
		_ = x.control.SetWriteDeadline(x.by(x.pace.until(len(piece)))) // not every writer can; then there is none
		m, err := x.ResponseWriter.Write(piece)
		x.pace.moved(m, since)
		n, b = n+m, b[m:]
		if len(b) == 0 || err != nil {
			return n, err
		}
	}
}

// Flush sends what is buffered.
func (x *exchange) Flush() {
	since := time.Now()
	_ = x.control.SetWriteDeadline(x.by(x.pace.until(0)))
	_ = x.control.Flush() // the next Write tells
	x.pace.moved(0, since)
}

// Hijack hands the connection to a websocket, which has rules of its own.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x.taken = true
	return x.control.Hijack()
}

// Unwrap lets http.ResponseController set deadlines.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// done bounds the sending of what the server still has buffered.
func (x *exchange) done() {
	if !x.taken {
		_ = x.control.SetWriteDeadline(x.by(x.pace.until(0)))
	}
}

// exchangeOf finds the exchange that Protect made; nil where there is none.
func exchangeOf(w http.ResponseWriter) *exchange {
	for {
		switch v := w.(type) {
		case *exchange:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// Unhurried lets a request take as long as it takes, as long as its client keeps
// the pace: for uploads, exports and streams.
func Unhurried(w http.ResponseWriter) {
	if x := exchangeOf(w); x != nil {
		x.end = time.Time{}
	}
}
