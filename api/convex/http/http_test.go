package http

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ecovolt/telemetryd/api/convex/convextest"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/internal/request"
)

// server is a handler of the notebook on a port of its own.
type server struct {
	*convextest.Notebook
	handler *Handler
	sync    fakeSync
	url     string
	log     await.Log
}

// fakeSync counts what it is told, and answers a websocket with what it was given.
type fakeSync struct{ writes atomic.Int64 }

func (*fakeSync) Serve(w http.ResponseWriter, r *http.Request, version, baseURL string) error {
	if r.Header.Get("Upgrade") == "" {
		return fault.New(fault.Invalid, "use a websocket")
	}
	fmt.Fprintf(w, "%q %s", version, baseURL)
	return nil
}
func (*fakeSync) Timestamp() string { return "AQAAAAAAAAA=" }
func (f *fakeSync) Wrote()          { f.writes.Add(1) }

func newServer(t *testing.T, change ...func(*Options)) *server {
	t.Helper()
	s := &server{Notebook: convextest.New(t)}
	options := Options{Registry: s.Registry, Sync: &s.sync, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	for _, f := range change {
		f(&options)
	}
	var err error
	if s.handler, err = New(options); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.handler)
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

func TestHTTPFunctions(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	for _, test := range []struct {
		name, path, body string
		status           int
		want             string // the whole body, or a part of it after "~"
	}{
		{"query", "/api/query", `{"path":"test:echo","args":{"value":[1,null,"é"]},"format":"json"}`, 200, `{"status":"success","value":[1,null,"é"],"logLines":[]}`},
		{"null", "/api/query", `{"path":"test:echo","args":{}}`, 200, `{"status":"success","value":null,"logLines":[]}`},
		{"args in an array", "/api/query", `{"path":"test:echo","args":[{"value":true}]}`, 200, `~"value":true`},
		{"no args", "/api/query", `{"path":"test:echo"}`, 200, `~"value":null`},
		{"encoded", "/api/query", `{"path":"test:echo","args":{"value":[{"$integer":"KgAAAAAAAAA="},{"$bytes":"AQL/"},{"$float":"AAAAAAAA+H8="}]},"format":"convex_encoded_json"}`, 200,
			`{"status":"success","value":[{"$integer":"KgAAAAAAAAA="},{"$bytes":"AQL/"},{"$float":"AAAAAAAA+H8="}],"logLines":[]}`},
		{"clean", "/api/query", `{"path":"test:echo","args":{"value":[{"$integer":"KgAAAAAAAAA="},{"$bytes":"AQL/"},{"$float":"AAAAAAAA+H8="}]},"format":"json"}`, 200, `~"value":["42","AQL/","NaN"]`},
		{"mutation", "/api/mutation", `{"path":"test:echoMutation","args":{"value":1}}`, 200, `~"value":1`},
		{"action", "/api/action", `{"path":"test:echoAction","args":{"value":1}}`, 200, `~"value":1`},
		{"any kind", "/api/function", `{"path":"test:echoAction","args":{"value":1}}`, 200, `~"value":1`},
		{".js", "/api/query", `{"path":"test.js:echo","args":{"value":1}}`, 200, `~"value":1`},
		{"nested", "/api/query", `{"path":"admin/test:nested","args":{"value":1}}`, 200, `~"value":1`},
		{"double slash", "//api//query", `{"path":"test:echo","args":{"value":1}}`, 200, `~"value":1`},
		{"run", "/api/run/test/echoMutation", `{"args":{"value":1},"format":"json"}`, 200, `~"value":1`},
		{"run nested", "/api/run/admin/test/nested", `{"args":{"value":1}}`, 200, `~"value":1`},
		{"run colon", "/api/run/test:echo", `{"args":{"value":1}}`, 200, `~"value":1`},
		{"run escaped", "/api/run/test.js%3Aecho", `{"args":{"value":1}}`, 200, `~"value":1`},
		{"run nothing", "/api/run/test", `{}`, 400, `~"code":"MissingIdentifier"`},
		{"timestamp", "/api/query_ts", ``, 200, `~{"ts":"`},
		{"at timestamp", "/api/query_at_ts", `{"path":"test:echo","args":{"value":1},"ts":"AAAqNv6clxc="}`, 200, `~"value":1`},
		{"debug", "/api/debug_event", `{"event":"x"}`, 200, ``},

		{"unknown query", "/api/query", `{"path":"test:nothing","args":{}}`, 200, `{"status":"error","errorMessage":"Could not find public function for 'test:nothing'"}`},
		{"unknown mutation", "/api/mutation", `{"path":"test:nothing","args":{}}`, 560, `~Could not find`},
		{"unknown action", "/api/action", `{"path":"test:nothing","args":{}}`, 560, `~test:nothing`},
		{"unknown function", "/api/run/test/nothing", `{"args":{}}`, 560, `~test:nothing`},
		{"component", "/api/function", `{"path":"test:echo","args":{},"componentPath":"c"}`, 200, `~Could not find`},
		{"wrong kind", "/api/mutation", `{"path":"test:echo","args":{}}`, 560, `~defined as Query`},
		{"extra argument", "/api/mutation", `{"path":"test:bulk","args":{"records":[],"x":1}}`, 560, "~ArgumentValidationError: Object contains extra field `x`"},
		{"extra argument of query", "/api/query", `{"path":"test:echo","args":{"x":1}}`, 200, `~ArgumentValidationError`},
		{"args no object", "/api/query", `{"path":"test:echo","args":7}`, 200, `~ArgumentValidationError`},
		{"coded", "/api/mutation", `{"path":"test:coded"}`, 560, `{"status":"error","errorMessage":"Uncaught ConvexError: {\"code\":\"VIEW_CONFLICT\",\"message\":\"The view has changed.\",\"revision\":\"7\"}","errorData":{"code":"VIEW_CONFLICT","message":"The view has changed.","revision":"7"}}`},
		{"coded, encoded", "/api/mutation", `{"path":"test:coded","format":"convex_encoded_json"}`, 560, `~"revision":{"$integer":"BwAAAAAAAAA="}}}`},
		{"coded query", "/api/query", `{"path":"test:codedQuery"}`, 200, `~"errorData":{"code":"NOT_FOUND"`},
		{"plain", "/api/action", `{"path":"test:plain"}`, 560, `{"status":"error","errorMessage":"no good"}`},
		{"broken mutation", "/api/mutation", `{"path":"test:brokenMutation"}`, 560, `~Server Error"}`},
		{"broken query", "/api/query", `{"path":"test:broken"}`, 560, `~Server Error"}`},
		{"panic", "/api/action", `{"path":"test:panics"}`, 560, `~Server Error"}`},
		{"busy", "/api/mutation", `{"path":"test:busy"}`, 503, `~busy`},
		{"not allowed", "/api/mutation", `{"path":"test:secret"}`, 560, `~"code":"UNAUTHENTICATED"`},

		{"bad JSON", "/api/query", `{"path":`, 400, `~"code":"BadJsonBody"`},
		{"no body", "/api/query", ``, 400, `~"code":"BadJsonBody"`},
		{"path no string", "/api/query", `{"path":1}`, 400, `~"code":"BadJsonBody"`},
		{"bad name", "/api/query", `{"path":"a b:c","args":{}}`, 400, `~"code":"BadConvexFunctionIdentifier"`},
		{"no path", "/api/query", `{"args":{}}`, 400, `~"code":"BadConvexFunctionIdentifier"`},
		{"bad format", "/api/query", `{"path":"test:echo","format":"xml"}`, 400, `~"code":"BadFormat"`},
		{"nesting", "/api/query", `{"path":"test:echo","args":{"value":` + strings.Repeat("[", 100_000), 400, `~nested`},
		{"no route", "/api/nothing", `{}`, 404, `~"code":"NotFound"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, _, body := request.Send(t, "POST", b.url+test.path, test.body, "Content-Type", "application/json")
			part, isPart := strings.CutPrefix(test.want, "~")
			if status != test.status || isPart && !strings.Contains(body, part) || !isPart && body != test.want {
				t.Errorf("%d %s\nwant %d %s", status, body, test.status, test.want)
			}
			if strings.Contains(body, "hunter2") {
				t.Error("an internal error's text was shown")
			}
		})
	}
}

func TestHTTPInternalErrorIsLoggedUnderTheIDThatIsShown(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	_, _, body := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:broken"}`)
	var answer struct{ ErrorMessage string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(answer.ErrorMessage, "[Request ID: "), "]")
	if log := b.log.String(); id == "" || !strings.Contains(log, "request="+id) || !strings.Contains(log, "hunter2") {
		t.Errorf("message %q, log %q", answer.ErrorMessage, log)
	}
}

func TestHTTPGet(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	for path, want := range map[string]string{
		"/api/query?path=test:echo&args=%7B%22value%22%3A1%7D":             `"value":1`,
		"/api/query?path=test:echo&args=%5B%7B%22value%22%3A1%7D%5D":       `"value":1`,
		"/api/query?path=test:echo&format=convex_encoded_json&args=%7B%7D": `"value":null`,
		"/version":          "telemetryd",
		"/instance_version": "telemetryd",
		"/instance_name":    "telemetryd",
	} {
		if status, _, body := request.Send(t, "GET", b.url+path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, _, _ := request.Send(t, "GET", b.url+"/api/mutation?path=test:echoMutation", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET of a mutation: %d", status)
	}
}

func TestHTTPCredentials(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	for _, test := range []struct {
		name, header string
		status       int
		want         string
	}{
		{"none", "", 200, `{"role":"guest"}`},
		{"key", "Convex " + convextest.Key, 200, `{"key":"bridge","role":"admin"}`},
		{"scheme in any case", "convex  " + convextest.Key, 200, `"role":"admin"`},
		{"key acting as", "Convex " + convextest.Key + ":eyJuYW1lIjoiYSJ9", 200, `"role":"admin"`},
		{"bad key", "Convex nonsense", 401, `"code":"BadDeployKey"`},
		{"half a key", "Convex prod:car", 401, `"code":"BadDeployKey"`},
		{"no key", "Convex", 401, `"code":"BadDeployKey"`},
		{"JWT", "Bearer eyJhbGciOiJub25lIn0.e30.c2ln", 200, `"role":"guest"`},
		{"key as bearer", "Bearer " + convextest.Key, 200, `"role":"admin"`},
		{"bad key as bearer", "Bearer nonsense", 401, `"code":"BadDeployKey"`},
		{"unknown token", "Bearer " + strings.Repeat("a", 43), 200, `"role":"guest"`},
		{"other scheme", "Basic abc", 401, `"code":"BadAuthorization"`},
	} {
		status, _, body := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:who"}`, "Authorization", test.header)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d %s, want %d %s", test.name, status, body, test.status, test.want)
		}
	}
	if status, _, body := request.Send(t, "POST", b.url+"/api/mutation", `{"path":"test:secret"}`, "Authorization", "Convex "+convextest.Key); status != 200 {
		t.Errorf("mutation with the key: %d %s", status, body)
	}
}

func TestHTTPTokens(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	user, token := b.SignUp(t, "driver@example.org")
	want := `"user":"` + user + `"`
	if _, _, body := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:who","args":{"token":"`+token+`"}}`); !strings.Contains(body, want) {
		t.Errorf("token argument: %s", body)
	}
	if _, _, body := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:who"}`, "Authorization", "Bearer "+token); !strings.Contains(body, want) {
		t.Errorf("bearer: %s", body)
	}
	_, _, body := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:who","args":{"token":"`+token+`"}}`, "Authorization", "Convex "+convextest.Key)
	if !strings.Contains(body, want) || !strings.Contains(body, `"key":"bridge"`) {
		t.Errorf("key and token: %s", body)
	}
}

func TestHTTPBodies(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxBody, o.MaxKeyBody, o.Bodies = 10_000, 50_000, load.NewBudget(60_000) })
	const key = "Convex " + convextest.Key
	bulk := func(size int) string {
		return `{"path":"test:bulk","args":{"records":"` + strings.Repeat("x", size) + `"}}`
	}
	zipped := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = io.WriteString(w, text)
		w.Close()
		return out.String()
	}
	zstandard := func(text string) string {
		var out bytes.Buffer
		w, _ := zstd.NewWriter(&out)
		_, _ = io.WriteString(w, text)
		w.Close()
		return out.String()
	}
	for _, test := range []struct {
		name, body, encoding, authorization string
		status                              int
	}{
		{"within", bulk(9_000), "", "", 200},
		{"gzip", zipped(bulk(9_000)), "gzip", "", 200},
		{"zstd", zstandard(bulk(9_000)), "zstd", "", 200},
		{"too large", bulk(10_000), "", "", 413},
		{"too large once unpacked", zipped(bulk(1_000_000)), "gzip", "", 413},
		{"too large once unpacked, zstd", zstandard(bulk(1_000_000)), "zstd", "", 413},
		{"larger for key holders", bulk(20_000), "", key, 200},
		{"too large for key holders", bulk(50_000), "", key, 413},
		{"not gzip", bulk(10), "gzip", "", 400},
		{"not zstd", bulk(10), "zstd", "", 400},
		{"cut gzip", zipped(bulk(9_000))[:40], "gzip", "", 400},
		{"unknown encoding", bulk(10), "br", "", 415},
	} {
		status, _, body := request.Send(t, "POST", b.url+"/api/mutation", test.body, "Content-Encoding", test.encoding, "Authorization", test.authorization)
		if status != test.status {
			t.Errorf("%s: %d %s, want %d", test.name, status, body, test.status)
		}
	}
	if !b.handler.Bodies.Take("", 60_000) {
		t.Error("bytes of the budget were not given back")
	}
}

func TestHTTPBodiesOverBudgetAreAskedToWait(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.Bodies = load.NewBudget(100_000) })
	if !b.handler.Bodies.Take("another", 90_000) {
		t.Fatal("the budget is not free")
	}
	body := `{"path":"test:bulk","args":{"records":"` + strings.Repeat("x", 20_000) + `"}}`
	status, header, text := request.Send(t, "POST", b.url+"/api/mutation", body)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", status, header, text)
	}
	small := `{"path":"test:bulk","args":{"records":"x"}}`
	if status, _, text := request.Send(t, "POST", b.url+"/api/mutation", small); status != 200 {
		t.Errorf("a small body: %d %s", status, text)
	}
	b.handler.Bodies.Give("another", 90_000)
	if status, _, text := request.Send(t, "POST", b.url+"/api/mutation", body); status != 200 {
		t.Errorf("with room: %d %s", status, text)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) {
		o.Origins = httpx.NewOrigins([]string{"https://good.example"})
	})
	status, header, _ := request.Send(t, "OPTIONS", b.url+"/api/query", "", "Origin", "https://good.example", "Access-Control-Request-Headers", "content-type,convex-client")
	if status != 204 || header.Get("Access-Control-Allow-Origin") != "https://good.example" ||
		header.Get("Access-Control-Allow-Headers") != "content-type,convex-client" || header.Get("Vary") != "Origin" {
		t.Errorf("preflight: %d %v", status, header)
	}
	status, header, _ = request.Send(t, "POST", b.url+"/api/query", `{`, "Origin", "https://good.example")
	if status != 400 || header.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Errorf("error: %d %v", status, header)
	}
	status, header, _ = request.Send(t, "POST", b.url+"/api/query", `{"path":"test:echo"}`, "Origin", "https://bad.example")
	if status != 403 || header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign origin: %d %v", status, header)
	}
	if status, _, _ := request.Send(t, "POST", b.url+"/api/query", `{"path":"test:echo"}`); status != 200 {
		t.Errorf("no origin: %d", status)
	}
}

func TestHTTPMutationOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", b.url+"/api/action", strings.NewReader(`{"path":"notes:wait"}`))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			response.Body.Close()
		}
		ended <- err
	}()
	<-b.Waiting
	cancel()
	if err := <-ended; err == nil {
		t.Error("the request was not cut off")
	}
	before := b.sync.writes.Load()
	b.Resume <- struct{}{}
	await.Until(t, "the action ends by itself", func() bool { return b.sync.writes.Load() > before })
}

func TestHTTPCompressesLargeResults(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	for _, test := range []struct {
		bytes    int
		accept   string
		encoding string
	}{
		{100_000, "gzip", "gzip"},
		{100_000, "deflate, gzip;q=0.5", "gzip"},
		{100_000, "gzip;q=0", ""},
		{100_000, "identity", ""},
		{100, "gzip", ""},
	} {
		body := fmt.Sprintf(`{"path":"test:large","args":{"bytes":%d}}`, test.bytes)
		_, header, text := request.Send(t, "POST", b.url+"/api/query", body, "Accept-Encoding", test.accept)
		if header.Get("Content-Encoding") != test.encoding {
			t.Errorf("%d bytes for %q: encoding %q", test.bytes, test.accept, header.Get("Content-Encoding"))
		}
		if test.encoding == "gzip" {
			z, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			text = string(plain)
		}
		if want := `{"status":"success","value":"` + strings.Repeat("é", test.bytes/2) + `","logLines":[]}`; text != want {
			t.Errorf("%d bytes for %q: the result is damaged", test.bytes, test.accept)
		}
	}
}

func TestSyncPaths(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *Options) {
		o.Origins = httpx.NewOrigins([]string{"https://good.example"})
	})
	for _, test := range []struct {
		path, origin string
		status       int
		version      string
	}{
		{"//api/1.17.0/sync", "", 200, "1.17.0"},
		{"/api/1.48.0-alpha.1/sync", "https://good.example", 200, "1.48.0-alpha.1"},
		{"/api/sync", "https://good.example", 200, ""},
		{"/api/1.17.0/sync", "https://bad.example", 403, ""},
		{"/api/a/b/sync", "", 404, ""},
	} {
		status, _, body := request.Send(t, "GET", s.url+test.path, "", "Upgrade", "websocket", "Origin", test.origin)
		want := fmt.Sprintf("%q %s", test.version, s.url)
		if status != test.status || status == 200 && body != want {
			t.Errorf("%+v: %d %s, want %s", test, status, body, want)
		}
	}
	if status, _, body := request.Send(t, "GET", s.url+"/api/sync", ""); status != 400 || !strings.Contains(body, "use a websocket") {
		t.Errorf("no websocket: %d %s", status, body)
	}
}
