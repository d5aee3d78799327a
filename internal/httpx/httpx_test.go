package httpx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func TestAccepts(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br": false, "br, gzip": true, "gzip;q=0": false, "gzip;q=0.00": false, "gzip; q=0.5": true,
		"gzip ; Q=0": false, "*": true, "*;q=0": false, "*;q=0, gzip": true, "*, gzip;q=0": false, "gzip;q=x": false, "gzipped": false, "deflate,": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := httpx.Accepts(r, "gzip"); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{"": false, `"a"`: true, `W/"a"`: true, `"b", W/"a"`: true, "*": true, `"b"`: false, "a": false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-None-Match", header)
		if got := httpx.Matches(r, `"a"`); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size   int
		accept string
		packed bool
	}{{100_000, "gzip", true}, {100_000, "gzip;q=0.00", false}, {100_000, "", false}, {100, "gzip", false}, {0, "gzip", false}} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", test.accept)
		w := httptest.NewRecorder()
		half := bytes.Repeat([]byte("a"), test.size/2)
		httpx.Send(w, r, http.StatusCreated, half, half)
		got := w.Result()
		body := io.Reader(got.Body)
		if got.StatusCode != http.StatusCreated || got.Header.Get("Vary") != "Accept-Encoding" || (got.Header.Get("Content-Encoding") == "gzip") != test.packed {
			t.Errorf("%+v: %d %v", test, got.StatusCode, got.Header)
		}
		if test.packed {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		} else if got.ContentLength != int64(test.size) {
			t.Errorf("%+v: Content-Length %d", test, got.ContentLength)
		}
		if text, err := io.ReadAll(body); err != nil || len(text) != test.size {
			t.Errorf("%+v: %d bytes, %v", test, len(text), err)
		}
	}
}

// What each group of routes does with origins: see api and api/convex.
func TestCORS(t *testing.T) {
	t.Parallel()
	origins := httpx.NewOrigins([]string{"https://team.example", "https://*.team.example"})
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	for _, test := range []struct {
		name           string
		cors           httpx.CORS
		method, origin string
		served         bool
		status         int
		allow, headers string
	}{
		{"no origin", httpx.CORS{Origins: origins}, "GET", "", true, 200, "", ""},
		{"no origin, always", httpx.CORS{Origins: origins, Headers: "X", Always: true}, "GET", "", true, 200, "https://team.example", "X"},
		{"all origins", httpx.CORS{Headers: "X"}, "GET", "https://any.example", true, 200, "*", ""},
		{"allowed", httpx.CORS{Origins: origins, Headers: "X"}, "GET", "https://a.team.example", true, 200, "https://a.team.example", ""},
		{"foreign, served without a permission", httpx.CORS{Origins: origins, Headers: "X"}, "GET", "https://a.b.team.example", true, 200, "", ""},
		{"foreign, refused", httpx.CORS{Origins: origins, Refuse: refuse}, "GET", "https://evil.example", false, 403, "", ""},
		{"preflight", httpx.CORS{Origins: origins, Headers: "X"}, "OPTIONS", "https://team.example", false, 204, "https://team.example", "X"},
		{"preflight for any header", httpx.CORS{Headers: "X", AnyHeader: true}, "OPTIONS", "https://team.example", false, 204, "*", "asked"},
		{"foreign preflight", httpx.CORS{Origins: origins}, "OPTIONS", "https://evil.example", false, 403, "", ""},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		r.Header.Set("Origin", test.origin)
		r.Header.Set("Access-Control-Request-Headers", "asked")
		w := httptest.NewRecorder()
		served := test.cors.Admit(w, r)
		got := w.Result()
		if h := got.Header; served != test.served || got.StatusCode != test.status || h.Get("Access-Control-Allow-Origin") != test.allow ||
			h.Get("Access-Control-Allow-Headers") != test.headers || h.Get("Vary") != "Origin" {
			t.Errorf("%s: served %v, %d %v", test.name, served, got.StatusCode, h)
		}
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, test := range []struct {
		ctx    context.Context
		err    error
		status int
		body   string
		logged string
		header string
	}{
		{t.Context(), fmt.Errorf("find session: %w", fault.New(fault.NotFound, "no session")), 404, `"detail":"no session"`, "", ""},
		{t.Context(), fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "Sign in."), 401, `"code":"UNAUTHENTICATED"`, "", "Www-Authenticate"},
		{t.Context(), fault.New(fault.Unavailable, "busy"), 503, `"detail":"busy"`, "level=WARN", "Retry-After"},
		{t.Context(), fault.New(fault.Unavailable, "busy"), 503, `"detail":"busy"`, "level=DEBUG", "Retry-After"}, // soon again
		{t.Context(), &fault.Error{Kind: fault.Unavailable, Message: "away", Err: errors.New("reset")}, 503, `"detail":"away"`, "level=ERROR", "Retry-After"},
		{t.Context(), errors.New("secret"), 500, `"detail":"something went wrong on the server"`, "secret", ""},
		{gone, errors.New("query cut off"), 499, "", "level=DEBUG", ""},
	} {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "id7")
		httpx.Fail(w, httptest.NewRequest("GET", "/", nil).WithContext(test.ctx), logger, "/route", false, test.err)
		body := w.Body.String()
		if w.Code != test.status || !strings.Contains(body, test.body) || strings.Contains(body, "secret") ||
			!strings.Contains(log.String(), test.logged) || test.header != "" && w.Header().Get(test.header) == "" {
			t.Errorf("%v: %d %s %v; log %s", test.err, w.Code, body, w.Header(), log.String())
		}
		if body != "" && (!strings.Contains(body, `"request_id":"id7"`) || w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("%v: %s", test.err, body)
		}
	}
}

// An answer that has begun is cut off, and no second one is begun, whoever's
// fault it is.
func TestFailOfBegunAnswer(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, ctx := range []context.Context{t.Context(), gone} {
		w := httptest.NewRecorder()
		w.Write([]byte("{"))
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("ended with %v", v)
				}
			}()
			httpx.Fail(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx), slog.New(slog.DiscardHandler), "/route", true, errors.New("cut off"))
		}()
		if w.Code != 200 || w.Body.String() != "{" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// Why a number cannot be kept is said by what it lacks, without the number.
func TestNumbersThatDoNotFit(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"book":{"laps":1.5}}`:            "book.laps: must be a whole number",
		`{"book":{"laps":1e3}}`:            "book.laps: must be a whole number",
		`{"book":{"laps":3e9}}`:            "book.laps: must be a whole number",
		`{"book":{"laps":-1234567890123}}`: "book.laps: is out of range",
		`{"book":{"wh":1e999}}`:            "book.wh: is out of range",
		`{"book":{"laps":"many"}}`:         "book.laps: must not be a string",
		`{"book":{"name":5}}`:              "book.name: must not be a number",
	} {
		var into struct {
			Book struct {
				Laps int32   `json:"laps"`
				WH   float64 `json:"wh"`
				Name string  `json:"name"`
			} `json:"book"`
		}
		err := httpx.ReadJSON(httptest.NewRecorder(), httptest.NewRequest(http.MethodPatch, "/", strings.NewReader(body)), &into)
		f := fault.As(err)
		if f == nil || len(f.Problems) != 1 || f.Problems[0].Field+": "+f.Problems[0].Reason != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
