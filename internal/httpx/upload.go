package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Spooler receives bodies of many records. What they hold in memory together is
// bounded; the rest of a body is in a temporary file, and so is what those hold.
type Spooler struct {
	limit int64
	space spoolSpace
}

// NewSpooler takes the most bytes that one body may have, as sent and decoded,
// and those that all of them may have in temporary files.
func NewSpooler(limit, spooled int64) *Spooler {
	return &Spooler{limit: limit, space: newSpoolSpace(os.TempDir(), spooled)}
}

// Receive begins to receive the body of the request that w answers. It fails
// with Unsupported for an encoding that is not known, and with Invalid.
func (s *Spooler) Receive(w http.ResponseWriter, r *http.Request) (*Upload, error) {
	client, encoding := NewBody(w, r), r.Header.Get("Content-Encoding")
	raw := newSpool(r.Context(), client, s.limit, s.space, client.Stop)
	decoded, err := Decode(raw, encoding)
	if err != nil {
		raw.Close()
		return nil, bodyFault(err)
	}
	return &Upload{spool: raw, src: decoded, plain: encoding == "", left: s.limit, limit: s.limit}, nil
}

// Decode is as the function, and ends where a body may be no longer.
func (s *Spooler) Decode(src io.Reader, encoding string) (io.ReadCloser, error) {
	decoded, err := Decode(src, encoding)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(decoded, s.limit), decoded}, nil
}

// Upload is a body, decoded. Its size and the client's silences are bounded.
type Upload struct {
	spool       *spool
	src         io.ReadCloser // spool, decoded
	plain       bool          // src is spool
	left, limit int64
}

// Arrived waits until the body is there, as far as there is a place to put it.
// From then on reading does not wait long for the client.
func (u *Upload) Arrived(ctx context.Context) error { return u.spool.arrived(ctx) }

// Size is how many bytes are read from it in all; -1 where that is not known.
func (u *Upload) Size() int64 {
	if !u.plain {
		return -1
	}
	return u.spool.received()
}

// Complete reports whether all that the client sends has been received.
func (u *Upload) Complete() bool { return u.spool.received() >= 0 }

// Read waits for the client where it must. It fails with TooLarge beyond the
// limit, and with Invalid where the body cannot be decoded.
func (u *Upload) Read(p []byte) (int, error) {
	n, err := u.src.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, fault.New(fault.TooLarge, "the body is longer than %d bytes once decoded", u.limit)
	}
	if err != nil && err != io.EOF {
		err = bodyFault(err)
	}
	return n, err
}

// Close ends receiving.
func (u *Upload) Close() error {
	u.src.Close()
	return u.spool.Close()
}

// bodyFault explains why a body ended.
func bodyFault(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) || errors.Is(err, errClientGone) || fault.As(err) != nil {
		return err
	}
	reason := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		reason = "it ends too early"
	}
	return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the body cannot be read: %s", reason), Err: err}
}
