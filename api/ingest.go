package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
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

func (s *server) ingest(r *Request) error {
	opt, ingest, err := ingestOptions(r)
	if err != nil {
		return err
	}
	leave := func() {}
	defer func() { leave() }()
	body, err := s.body(r)
	if err != nil {
		return err
	}
	defer body.Close()
	ingest.Admit = func(ctx context.Context) error {
		if err := body.spool.arrived(ctx); err != nil {
			return err
		}
		left, err := s.uploads.Enter(ctx, body.weight())
		if err == nil {
			leave = left
		}
		return err
	}
	result, err := s.Store.IngestStream(r.Request.Context(), decode.New(body, opt), ingest)
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

func ingestOptions(r *Request) (decode.Options, timeseries.IngestOptions, error) {
	opt := decode.Options{SessionID: r.Query("session_id"), SessionName: r.Query("session_name")}
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
		opt.Format = decode.FormatJSON
	case "text/csv", "application/csv":
		opt.Format = decode.FormatCSV
	default:
		return opt, ingest, fault.New(fault.Unsupported, "the Content-Type must be application/json, application/x-ndjson or text/csv")
	}
	return opt, ingest, nil
}

const (
	// chunkMemory is about what the largest chunks of one upload take while one
	// of them is stored and the next one is decoded.
	chunkMemory = 24 << 20
	// ingestMemory bounds that for all uploads together.
	ingestMemory = 4 * chunkMemory
	// expansion is how many times larger than its text a record may be in memory.
	expansion = 16
)

// body returns the decoded body. Its size and the client's silences are bounded.
func (s *server) body(r *Request) (*boundedBody, error) {
	client := httpx.NewBody(r.Writer, r.Request)
	raw := newSpool(client, s.Config.MaxUpload, os.TempDir(), s.spoolMemory, client.Stop)
	encoding := r.GetHeader("Content-Encoding")
	decoded, err := httpx.Decode(raw, encoding)
	if err != nil {
		raw.Close()
		return nil, encodingFault(err)
	}
	return &boundedBody{spool: raw, src: decoded, plain: encoding == "", left: s.Config.MaxUpload, limit: s.Config.MaxUpload}, nil
}

// boundedBody ends a body that is decoded to more than its limit, and explains
// failures of the decoder.
type boundedBody struct {
	spool       *spool
	src         io.ReadCloser // spool, decoded
	plain       bool          // src is spool
	left, limit int64
}

// weight is about how much memory storing the body takes.
func (b *boundedBody) weight() int64 {
	if size := b.spool.received(); b.plain && size >= 0 {
		return min(chunkMemory, size*expansion)
	}
	return chunkMemory
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

func (b *boundedBody) Close() error {
	b.src.Close()
	return b.spool.Close()
}

func encodingFault(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) || errors.Is(err, httpx.ErrClientGone) || fault.As(err) != nil {
		return err
	}
	reason := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		reason = "it ends too early"
	}
	return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("the body cannot be read: %s", reason), Err: err}
}
