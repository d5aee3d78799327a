package api

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
)

func (s *server) ingestRoutes() []Route {
	return []Route{{http.MethodPost, "/api/v1/telemetry", auth.Ingest, s.ingest}}
}

// ingestAnswer is what an upload is answered with.
type ingestAnswer struct {
	Inserted      int                        `json:"inserted"`
	AlreadyStored int                        `json:"already_stored"`
	Rejected      int                        `json:"rejected"`
	Sessions      []timeseries.SessionResult `json:"sessions"`
	Problems      []fault.Problem            `json:"problems,omitempty"`
}

// waitForTurn is how long an upload waits for others before it is turned away.
const waitForTurn = 10 * time.Second

// stall is the longest silence of a client in the middle of its body.
const stall = 30 * time.Second

func (s *server) ingest(r *Request) error {
	opt, ingest, err := ingestOptions(r)
	if err != nil {
		return err
	}
	turn := time.NewTimer(waitForTurn)
	defer turn.Stop()
	select {
	case s.ingests <- struct{}{}:
		defer func() { <-s.ingests }()
	case <-turn.C:
		return &fault.Error{Kind: fault.Unavailable, Message: "too many uploads at once; try again", RetryAfter: time.Second}
	case <-r.Request.Context().Done():
		return r.Request.Context().Err()
	}
	body, err := s.body(r)
	if err != nil {
		return err
	}
	defer body.Close()
	result, err := s.Store.IngestStream(r.Request.Context(), timeseries.NewDecoder(body, opt), ingest)
	if err != nil {
		return err
	}
	answer := ingestAnswer{
		Inserted: result.Inserted, AlreadyStored: result.AlreadyStored, Rejected: result.Rejected,
		Sessions: result.Sessions, Problems: result.Problems,
	}
	if answer.Sessions == nil {
		answer.Sessions = []timeseries.SessionResult{}
	}
	r.JSON(http.StatusOK, answer)
	return nil
}

func ingestOptions(r *Request) (timeseries.DecodeOptions, timeseries.IngestOptions, error) {
	opt := timeseries.DecodeOptions{SessionID: r.Query("session_id"), SessionName: r.Query("session_name")}
	ingest := timeseries.IngestOptions{Source: "rest", IdempotencyKey: r.GetHeader("Idempotency-Key")}
	if len(ingest.IdempotencyKey) > 255 {
		return opt, ingest, fault.Field("Idempotency-Key", "is longer than 255 bytes")
	}
	if !utf8.ValidString(ingest.IdempotencyKey) {
		return opt, ingest, fault.Field("Idempotency-Key", "is not valid UTF-8")
	}
	switch on := r.DefaultQuery("on_error", "abort"); on {
	case "abort":
	case "skip":
		opt.SkipBad, ingest.SkipBad = true, true
	default:
		return opt, ingest, fault.Field("on_error", "must be abort or skip")
	}
	kind := r.GetHeader("Content-Type")
	media, _, err := mime.ParseMediaType(kind)
	if err != nil && kind != "" {
		return opt, ingest, fault.New(fault.Unsupported, "the Content-Type cannot be read")
	}
	switch media {
	case "", "application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		opt.Format = timeseries.FormatJSON
	case "text/csv", "application/csv":
		opt.Format = timeseries.FormatCSV
	default:
		return opt, ingest, fault.New(fault.Unsupported, "the Content-Type must be application/json, application/x-ndjson or text/csv")
	}
	return opt, ingest, nil
}

// body gives the decoded body. Its size and the client's silences are bounded.
func (s *server) body(r *Request) (io.ReadCloser, error) {
	raw := &patientReader{src: r.Request.Body, control: http.NewResponseController(r.Writer)}
	var decoded io.Reader
	closer := func() error { return nil }
	switch encoding := strings.ToLower(strings.TrimSpace(r.GetHeader("Content-Encoding"))); encoding {
	case "", "identity":
		decoded = raw
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, encodingFault(err)
		}
		decoded, closer = z, z.Close
	case "zstd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, encodingFault(err)
		}
		decoded, closer = z, func() error { z.Close(); return nil }
	default:
		return nil, fault.New(fault.Unsupported, "the Content-Encoding must be gzip or zstd")
	}
	return &boundedBody{src: decoded, left: s.Config.MaxUpload, limit: s.Config.MaxUpload, close: closer}, nil
}

// patientReader gives the client a new deadline for each piece of the body, so
// that a long upload may take its time and a silent one may not.
type patientReader struct {
	src     io.Reader
	control *http.ResponseController
}

func (p *patientReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(stall)) // not every writer can; then there is none
	n, err := p.src.Read(b)
	if err == io.EOF {
		// The server goes on reading to learn whether the client has left. That
		// must not time out while the records are stored.
		_ = p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// boundedBody ends a body that is decoded to more than its limit, and explains
// failures of the decoder.
type boundedBody struct {
	src         io.Reader
	left, limit int64
	close       func() error
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fault.New(fault.TooLarge, "the body is longer than %d bytes once decoded", b.limit)
	}
	if err != nil && err != io.EOF {
		err = encodingFault(err)
	}
	return n, err
}

func (b *boundedBody) Close() error { return b.close() }

func encodingFault(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) || fault.As(err) != nil {
		return err
	}
	reason := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		reason = "it ends too early"
	}
	return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the body cannot be read: %s", reason), Err: err}
}
