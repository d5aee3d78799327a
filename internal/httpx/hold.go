package httpx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

// Held is a whole body or message in memory. Its room is charged to a budget
// that many share.
type Held struct {
	Bytes   []byte
	budget  *load.Budget
	caller  string
	charged int64
}

// Hold reads src to its end, at most limit bytes. The caller's share of the budget
// is charged for what has arrived, not for what was announced: whoever announces
// much and sends little holds little. The first 4 KiB are free, so that a sign-in
// or a small question gets through whatever others hold who share its network. It
// fails with TooLarge beyond the limit, with Unavailable when the share is spent,
// and with Invalid when src fails. Release what it returns.
func Hold(src io.Reader, limit int64, budget *load.Budget, caller string) (*Held, error) {
	h := &Held{budget: budget, caller: caller}
	if err := h.fill(src, limit); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

func (h *Held) fill(src io.Reader, limit int64) error {
	for {
		if len(h.Bytes) == cap(h.Bytes) {
			if err := h.grow(min(max(2*int64(cap(h.Bytes)), minHeld), limit+1)); err != nil {
				return err
			}
		}
		n, err := src.Read(h.Bytes[len(h.Bytes):cap(h.Bytes)])
		h.Bytes = h.Bytes[:len(h.Bytes)+n]
		switch {
		case int64(len(h.Bytes)) > limit:
			return fault.New(fault.TooLarge, "body is larger than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the body came slower than %d bytes/s for %v, or took longer than %v", slowest, grace, requestTime), Err: err}
		case err != nil:
			return &fault.Error{Kind: fault.Invalid, Message: "body could not be read", Err: err}
		}
	}
}

const (
	// minHeld is the room that a body begins with, for which nothing is charged.
	minHeld = 4 << 10
	// maxKept is the largest room that is kept for the next body.
	maxKept = 1 << 20
)

var rooms = sync.Pool{New: func() any { b := make([]byte, 0, minHeld); return &b }}

// grow makes room for size bytes in all.
func (h *Held) grow(size int64) error {
	if charge := size - minHeld - h.charged; charge > 0 {
		if !h.budget.Take(h.caller, charge) {
			return fault.Busy("too many requests are being read; try again shortly")
		}
		h.charged += charge
	}
	if h.Bytes == nil {
		// A room that is larger than what is charged would be had for nothing.
		if room := rooms.Get().(*[]byte); int64(cap(*room)) >= size {
			h.Bytes = (*room)[:0:size]
			return nil
		}
	}
	h.Bytes = append(make([]byte, 0, size), h.Bytes...)
	return nil
}

// Release returns the room. The bytes must not be used after it.
func (h *Held) Release() {
	h.budget.Give(h.caller, h.charged)
	if cap(h.Bytes) >= minHeld && cap(h.Bytes) <= maxKept {
		room := h.Bytes[:0]
		rooms.Put(&room)
	}
	*h = Held{budget: h.budget, caller: h.caller}
}
