package http

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// body is a request's body in memory, decompressed.
type body struct {
	bytes  []byte
	budget *semaphore.Weighted
	taken  int64
}

// keepBuffer is the largest buffer that is kept for the next request.
const keepBuffer = 1 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// release returns the memory. The bytes must not be used after it.
func (b *body) release() {
	b.budget.Release(b.taken)
	if b.bytes != nil && cap(b.bytes) <= keepBuffer {
		kept := b.bytes[:0]
		buffers.Put(&kept)
	}
	b.bytes = nil
}

func overBudget() error {
	return &fault.Error{Kind: fault.Unavailable, Message: "too many requests are being read; try again shortly", RetryAfter: time.Second}
}

// flowPatience is how long a client may take for the next piece of a body, in
// either direction. The whole may take as long as it flows.
const flowPatience = 30 * time.Second

// flowing renews the connection's deadline with each read.
type flowing struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (f flowing) Read(b []byte) (int, error) {
	_ = f.connection.SetReadDeadline(time.Now().Add(flowPatience))
	return f.ReadCloser.Read(b)
}

// readBody reads and decompresses a request's body of at most limit bytes.
// Release it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, budget *semaphore.Weighted) (*body, error) {
	if r.ContentLength > limit {
		return nil, fault.New(fault.TooLarge, "body is larger than %d bytes", limit)
	}
	connection := http.NewResponseController(w)
	r.Body = flowing{r.Body, connection}
	defer connection.SetReadDeadline(time.Time{}) // or it would cut the call short
	source, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	b := &body{budget: budget}
	if err := b.fill(source, limit, r.ContentLength); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

func (b *body) fill(source io.Reader, limit, hint int64) error {
	if err := b.grow(min(max(hint+1, 512), limit+1)); err != nil {
		return err
	}
	for {
		n, err := source.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > limit {
			return fault.New(fault.TooLarge, "body is larger than %d bytes", limit)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &fault.Error{Kind: fault.Invalid, Message: "body could not be read", Err: err}
		}
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(2 * int64(cap(b.bytes))); err != nil {
				return err
			}
		}
	}
}

// pooled returns a buffer for size bytes. A small request takes no large one.
func pooled(size int64) []byte {
	kept := buffers.Get().(*[]byte)
	if fits := int64(cap(*kept)); fits >= size && fits <= 4*max(size, 4096) {
		return (*kept)[:0]
	}
	buffers.Put(kept)
	return make([]byte, 0, size)
}

// grow makes room for size bytes in all, within the budget.
func (b *body) grow(size int64) error {
	if !b.budget.TryAcquire(size - b.taken) {
		return overBudget()
	}
	b.taken = size
	if b.bytes == nil {
		b.bytes = pooled(size)
	}
	if size > int64(cap(b.bytes)) {
		b.bytes = append(make([]byte, 0, size), b.bytes...)
	}
	return nil
}

type zstdCloser struct{ *zstd.Decoder }

func (z zstdCloser) Close() error { z.Decoder.Close(); return nil }

func decompress(r *http.Request) (io.ReadCloser, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip", "x-gzip":
		reader, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "body is not gzip", Err: err}
		}
		return reader, nil
	case "zstd":
		reader, err := zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("read zstd body: %w", err)
		}
		return zstdCloser{reader}, nil
	default:
		return nil, fault.New(fault.Unsupported, "content encoding %.80q is not known", encoding)
	}
}
