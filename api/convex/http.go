package convex

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// statusFunctionFailed is the status of a failed function that clients take
// for a failure, with the body they know.
const statusFunctionFailed = 560

var errMissingIdentifier = errors.New("path needs a module and a function")

// transportError is a request that never became a call.
type transportError struct {
	status  int
	code    string
	message string
}

func (e *transportError) Error() string { return e.message }

func badRequest(code, message string) error {
	return &transportError{http.StatusBadRequest, code, message}
}

// ServeHTTP serves all the endpoints, the websocket included.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, rest := route(r.URL.EscapedPath())
	if !s.cors(w, r) {
		return
	}
	switch e {
	case queryEndpoint:
		s.serveFunction(w, r, Query, nil)
	case mutationEndpoint:
		s.serveFunction(w, r, Mutation, nil)
	case actionEndpoint:
		s.serveFunction(w, r, Action, nil)
	case functionEndpoint:
		s.serveFunction(w, r, anyKind, nil)
	case runEndpoint:
		s.serveFunction(w, r, anyKind, rest)
	case timestampEndpoint:
		writeJSON(w, http.StatusOK, append(appendTs([]byte(`{"ts":`), s.clock.next()), '}'))
	case syncEndpoint:
		s.serveSync(w, r, rest)
	case versionEndpoint:
		writeText(w, s.options.Version)
	case nameEndpoint:
		writeText(w, "telemetryd")
	case debugEndpoint:
		_, _ = io.CopyN(io.Discard, r.Body, 1<<16)
		writeText(w, "")
	default:
		writeTransportError(w, &transportError{http.StatusNotFound, "NotFound", "no such route"})
	}
}

// cors sets the headers that let browsers call. It answers preflights and
// refuses origins that are not allowed; then it returns false.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	h := w.Header()
	if h.Get("Vary") == "" {
		h.Set("Vary", "Origin")
	}
	if origin != "" {
		if !s.options.AllowOrigin(origin) {
			writeTransportError(w, &transportError{http.StatusForbidden, "OriginNotAllowed", "Origin not allowed"})
			return false
		}
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions {
		return true
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS, PATCH, DELETE, PUT")
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		h.Set("Access-Control-Allow-Headers", wanted)
	} else {
		h.Set("Access-Control-Allow-Headers", "Content-Type, Authorization, Convex-Client")
	}
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return false
}

// functionRequest is what a request asks for, as slices of its body.
type functionRequest struct {
	path      string
	args      json.RawMessage
	format    Format
	component string
}

func (s *Server) serveFunction(w http.ResponseWriter, r *http.Request, kind Kind, run []string) {
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || kind != Query) {
		w.Header().Set("Allow", "POST")
		writeTransportError(w, &transportError{http.StatusMethodNotAllowed, "MethodNotAllowed", "use POST"})
		return
	}
	from, limit, err := s.credentials(r)
	if err != nil {
		s.writeRefusal(w, r, err)
		return
	}
	var request functionRequest
	if r.Method == http.MethodGet {
		request, err = parseURL(r)
	} else {
		var b *body
		b, err = readBody(w, r, limit, &s.bodies)
		if err == nil {
			defer b.release()
			request, err = parseBody(b.bytes)
		}
	}
	if err == nil && run != nil {
		if request.path, err = runName(run); errors.Is(err, errMissingIdentifier) {
			err = badRequest("MissingIdentifier", err.Error())
		}
	}
	if err == nil {
		if _, e := ParseName(request.path); e != nil {
			err = badRequest("BadConvexFunctionIdentifier", e.Error())
		}
	}
	if err != nil {
		s.writeRefusal(w, r, err)
		return
	}
	from.base = baseURL(r)
	value, failed := s.callOnce(r.Context(), request, kind, from)
	if failed == nil {
		writeResult(w, r, value)
		return
	}
	if f := s.registry.Lookup(canonical(request.path)); kind == anyKind && f != nil {
		kind = f.Kind
	}
	writeFailure(w, kind, failed)
}

func canonical(path string) string {
	name, _ := ParseName(path)
	return name
}

// callOnce runs a function for a request that waits for its answer.
func (s *Server) callOnce(ctx context.Context, request functionRequest, kind Kind, from caller) ([]byte, *failure) {
	fail := func(err error) ([]byte, *failure) {
		return nil, describe(ctx, s.log, shorten(request.path), err, request.format)
	}
	if request.component != "" {
		return fail(unknownFunction(request.component + "/" + request.path))
	}
	f, err := s.find(request.path, kind)
	if err != nil {
		return fail(err)
	}
	object, err := argsObject(request.args)
	if err != nil {
		return fail(argumentError("%v", err))
	}
	in, err := prepare(f, object, from)
	if err != nil {
		return fail(err)
	}
	timeout := s.options.QueryTimeout
	if f.Kind != Query {
		timeout = s.options.WriteTimeout
		// A client that hangs up must not undo what it asked for half-way.
		ctx = context.WithoutCancel(ctx)
		defer s.wrote()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, _, err := s.execute(ctx, in, nil)
	if err != nil {
		return fail(err)
	}
	value, err := AppendValue(nil, result, request.format)
	if err != nil {
		return fail(err)
	}
	return value, nil
}

// credentials reads the Authorization header and checks a deploy key, so that
// a wrong one is refused before the body is read. It also says how large the
// body may be.
func (s *Server) credentials(r *http.Request) (caller, int64, error) {
	scheme, value, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	value = strings.TrimSpace(value)
	var from caller
	switch strings.ToLower(scheme) {
	case "":
		return from, s.options.MaxBody, nil
	case "bearer":
		switch {
		case auth.WellFormedToken(value):
			from.Token = value
			return from, s.options.MaxBody, nil
		case strings.Count(value, ".") == 2: // a JWT of another issuer is nobody in particular
			return from, s.options.MaxBody, nil
		}
		from, err := s.checkKey(r.Context(), value)
		return from, s.options.MaxKeyBody, err
	case "convex":
		from, err := s.checkKey(r.Context(), value)
		return from, s.options.MaxKeyBody, err
	}
	return from, 0, &transportError{http.StatusUnauthorized, "BadAuthorization", "Authorization must be Convex <deploy key> or Bearer <token>"}
}

// checkKey finds the deploy key in what a client sends as one. The client's
// library may put the identity to act as behind the key, after a colon; there
// are no such identities here, so it is dropped. Keys are opaque otherwise.
func (s *Server) checkKey(ctx context.Context, value string) (caller, error) {
	if value == "" {
		return caller{}, fault.New(fault.Unauthenticated, "the deploy key is empty")
	}
	from := caller{Credentials: auth.Credentials{Key: value}}
	p, err := s.resolver.Resolve(ctx, from.Credentials)
	if i := strings.LastIndexByte(value, ':'); fault.Is(err, fault.Unauthenticated) && i > 0 && isIdentity(value[i+1:]) {
		from.Key = value[:i]
		p, err = s.resolver.Resolve(ctx, from.Credentials)
	}
	if err != nil {
		return caller{}, err
	}
	from.keyHolder = &p
	return from, nil
}

// isIdentity reports whether text is a base64 JSON object.
func isIdentity(text string) bool {
	decoded, err := base64.StdEncoding.DecodeString(text)
	return err == nil && len(decoded) > 0 && decoded[0] == '{' && json.Valid(decoded)
}

func parseFormat(text string) (Format, error) {
	switch text {
	case "", "json", "convex_clean_json":
		return Clean, nil
	case "convex_encoded_json", "convex_json":
		return Encoded, nil
	}
	return 0, badRequest("BadFormat", "format must be json or convex_encoded_json")
}

func parseURL(r *http.Request) (functionRequest, error) {
	q := r.URL.Query()
	format, err := parseFormat(q.Get("format"))
	return functionRequest{path: q.Get("path"), args: json.RawMessage(q.Get("args")), format: format}, err
}

// parseBody takes a request's body apart; args stay undecoded.
func parseBody(b []byte) (functionRequest, error) {
	request := functionRequest{format: Clean}
	err := eachMember(b, func(name string, value []byte) error {
		var err error
		switch name {
		case "path":
			err = json.Unmarshal(value, &request.path)
		case "args":
			request.args = value
		case "componentPath":
			err = json.Unmarshal(value, &request.component)
		case "format":
			var text string
			if err = json.Unmarshal(value, &text); err == nil {
				request.format, err = parseFormat(text)
			}
		}
		return err
	})
	var transport *transportError
	if err != nil && !errors.As(err, &transport) {
		err = badRequest("BadJsonBody", err.Error())
	}
	return request, err
}

// refusalCode names what is wrong with a request that was refused, as the
// original backend does.
func refusalCode(kind fault.Kind) string {
	switch kind {
	case fault.Invalid:
		return "BadRequest"
	case fault.Unauthenticated:
		return "BadDeployKey"
	case fault.Forbidden:
		return "Forbidden"
	case fault.NotFound:
		return "NotFound"
	case fault.Conflict:
		return "Conflict"
	case fault.TooLarge:
		return "BodyTooLarge"
	case fault.Unsupported:
		return "UnsupportedEncoding"
	case fault.RateLimited:
		return "TooManyRequests"
	case fault.Unavailable:
		return "Overloaded"
	}
	return "InternalServerError"
}

// writeRefusal answers a request that never became a call.
func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, err error) {
	var transport *transportError
	if !errors.As(err, &transport) {
		f := describe(r.Context(), s.log, r.URL.Path, err, Clean)
		if f.transient {
			f.kind = fault.Unavailable
		}
		transport = &transportError{message: f.message}
		transport.status, transport.code = f.kind.Status(), refusalCode(f.kind)
		setRetryAfter(w, f)
	}
	writeTransportError(w, transport)
}

func writeTransportError(w http.ResponseWriter, e *transportError) {
	out := append(appendString([]byte(`{"code":`), e.code), `,"message":`...)
	writeJSON(w, e.status, append(appendString(out, e.message), '}'))
}

// writeFailure answers a function that failed. A failed mutation or action is
// never a 200: the bridge takes every 200 for success. A query that refuses is
// one, as in the original; but a query that broke is not, or an importer would
// take the error for an empty session.
func writeFailure(w http.ResponseWriter, kind Kind, f *failure) {
	status := statusFunctionFailed
	switch {
	case f.kind == fault.RateLimited || f.transient:
		status = f.kind.Status()
		if f.transient {
			status = http.StatusServiceUnavailable
		}
		setRetryAfter(w, f)
	case kind == Query && f.kind != fault.Internal:
		status = http.StatusOK
	}
	writeJSON(w, status, append(appendFailure([]byte(`{"status":"error","errorMessage":`), f), '}'))
}

// appendFailure appends the message and, if there is one, the errorData.
func appendFailure(dst []byte, f *failure) []byte {
	dst = appendString(dst, f.message)
	if f.data != nil {
		dst = append(dst, `,"errorData":`...)
		dst = append(dst, f.data...)
	}
	return dst
}

func setRetryAfter(w http.ResponseWriter, f *failure) {
	seconds := math.Max(1, math.Ceil(f.retryAfter.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
}

func writeJSON(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone cannot be told
}

// zipFrom is the size from which a result is worth compressing.
const zipFrom = 4096

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

// writeResult answers with a result, compressed if it is large and the client
// takes that.
func writeResult(w http.ResponseWriter, r *http.Request, value []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	out := io.Writer(flowingWriter{w, http.NewResponseController(w)})
	const before, after = `{"status":"success","value":`, `,"logLines":[]}`
	if len(value) >= zipFrom && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(out)
		defer z.Close()
		out = z
	} else {
		h.Set("Content-Length", strconv.Itoa(len(before)+len(value)+len(after)))
	}
	for _, part := range [][]byte{[]byte(before), value, []byte(after)} {
		if _, err := out.Write(part); err != nil {
			return // a client that is gone cannot be told
		}
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, accepted := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(accepted), ";")
		if name == "gzip" {
			return strings.TrimRight(strings.ReplaceAll(quality, " ", ""), "0.") != "q="
		}
	}
	return false
}

// flowingWriter renews the connection's deadline with each piece that the
// client takes.
type flowingWriter struct {
	w          io.Writer
	connection *http.ResponseController
}

func (f flowingWriter) Write(b []byte) (n int, err error) {
	defer f.connection.SetWriteDeadline(time.Time{})
	for len(b) > 0 && err == nil {
		_ = f.connection.SetWriteDeadline(time.Now().Add(flowPatience))
		var m int
		m, err = f.w.Write(b[:min(len(b), writePiece)])
		n, b = n+m, b[m:]
	}
	return n, err
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// appendTs appends a timestamp in the form of the wire.
func appendTs(dst []byte, ts int64) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, binary.LittleEndian.AppendUint64(nil, uint64(ts)))
	return append(dst, '"')
}

func parseTs(text string) (int64, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 8 {
		return 0, errors.New("a timestamp is 8 bytes of base64")
	}
	ts := binary.LittleEndian.Uint64(b)
	if ts > math.MaxInt64 {
		return 0, errors.New("a timestamp is less than 2^63")
	}
	return int64(ts), nil
}
