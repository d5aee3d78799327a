package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/ecovolt/telemetryd/internal/fault"
)

const (
	// SmallPatience is how long a body may take that its handler does not read
	// piece by piece, or does not read at all.
	SmallPatience = 10 * time.Second
	// maxSmall bounds the bodies that ReadJSON reads, in bytes.
	maxSmall = 64 << 10
)

// Body is a request's body, which must keep the pace.
type Body struct {
	src      io.Reader
	control  *http.ResponseController
	exchange *exchange
	pace     pace
	mu       sync.Mutex
	stopped  bool
}

// NewBody reads the body of the request that w answers.
func NewBody(w http.ResponseWriter, r *http.Request) *Body {
	return &Body{src: r.Body, control: http.NewResponseController(w), exchange: exchangeOf(w)}
}

// Read waits for the next piece. It fails with os.ErrDeadlineExceeded when the
// client is too slow.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	since := time.Now()
	_ = b.control.SetReadDeadline(b.exchange.by(b.pace.until(0))) // not every writer can; then there is none
	b.mu.Unlock()
	n, err := b.src.Read(p)
	b.pace.moved(n, since)
	if err == io.EOF {
		// The server goes on reading to learn whether the client has left. That
		// must not time out while the request is worked on.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Stop ends reading, even a read that waits for the client.
func (b *Body) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	_ = b.control.SetReadDeadline(time.Now())
}

// Decode undoes a Content-Encoding: gzip, zstd or none. It fails with
// Unsupported for any other. Close ends the decoder, not src.
func Decode(src io.Reader, encoding string) (io.ReadCloser, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return io.NopCloser(src), nil
	case "gzip", "x-gzip":
		return gzip.NewReader(src)
	case "zstd":
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fault.New(fault.Unsupported, "the Content-Encoding must be gzip or zstd")
}

// ReadJSON decodes a small JSON body: one object of known members. It fails
// with Invalid or TooLarge; messages repeat no value of what was sent, since it
// may be a password.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	// A client that sends a byte now and then must not hold the connection.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(SmallPatience))
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSmall))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			// It has all arrived; the deadline would cut the work short. After a
			// failure it stays: the server waits for the rest of the body.
			_ = control.SetReadDeadline(time.Time{})
			return nil
		}
		if err == nil {
			return fault.New(fault.Invalid, "the body holds more than one JSON value")
		}
	}
	var big *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &big):
		return err
	case errors.As(err, &kind) && kind.Field != "":
		// encoding/json names the embedded structs on the way as well.
		path := slices.DeleteFunc(strings.Split(kind.Field, "."), func(name string) bool { return name != "" && name[0] <= 'Z' })
		field := strings.Join(path, ".")
		number, unfit := strings.CutPrefix(kind.Value, "number ") // one that the member's type does not hold
		switch {
		case !unfit:
			return fault.Field(field, "must not be a %s", kind.Value)
		case strings.ContainsAny(number, ".eE") && kind.Type.Kind() != reflect.Float64:
			return fault.Field(field, "must be a whole number")
		}
		return fault.Field(field, "is out of range")
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "the body is empty; send a JSON object")
	}
	wrong := fault.New(fault.Invalid, "the body is not a JSON object of the members that this route takes")
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // encoding/json has no type for it
		wrong.Problems = []fault.Problem{{Field: fault.Clip(strings.Trim(quoted, `"`)), Reason: "is not one of them"}}
	}
	return wrong
}
