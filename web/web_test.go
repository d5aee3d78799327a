package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/ecovolt/telemetryd/web"
)

func get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	handler, err := web.Handler()
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The page tells fixes from other positions as the server does, and writes numbers.
func TestModules(t *testing.T) {
	t.Parallel()
	if output, err := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "fixes.test.mjs", "format.test.mjs").CombinedOutput(); err != nil {
		t.Errorf("node --test: %v\n%s", err, output)
	}
}

func TestIndexIsServedAtThePagesAddresses(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"/": 200, "/runs/5dde09d3": 200, "/compare?runs=a,b": 200, "/season": 200, "/signin": 200, "/signup": 200, "/account": 200,
		"/admin/users": 200, "/admin/keys": 200, "/favicon.ico": 200, "/robots.txt": 200,
		"/runs/": 404, "/nothing": 404, "/assets/": 404, "/assets/x/../web.go": 404, "/static/main.js": 404,
	} {
		if got := get(t, path); got.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, got.StatusCode, status)
		}
	}
}

// The page may load only its own files: the policy says so, and no file asks
// for anything else or for code in the markup.
func TestPolicy(t *testing.T) {
	t.Parallel()
	index := get(t, "/")
	policy := index.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy allows something unsafe: %s", policy)
	}
	body := text(t, index.Body)
	for _, inline := range []string{"<style", " style=", " onclick=", "<script>"} {
		if strings.Contains(body, inline) {
			t.Errorf("the index page holds %s", inline)
		}
	}
	if strings.Contains(body, "http://") || strings.Contains(body, "https://") {
		t.Error("the index page names another server")
	}
	names, err := filepath.Glob("static/*.js")
	if err != nil || len(names) == 0 {
		t.Fatalf("no modules: %v", err)
	}
	for _, name := range names {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`innerHTML|insertAdjacentHTML|document\.write|\beval\(`).Find(code); found != nil {
			t.Errorf("%s holds %s", name, found)
		}
	}
}

// Every module that another one imports is there, and so is what the index
// page names.
func TestImportsResolve(t *testing.T) {
	t.Parallel()
	index := text(t, get(t, "/").Body)
	prefix := regexp.MustCompile(`/assets/[0-9a-f]{16}`).FindString(index)
	if prefix == "" {
		t.Fatal("the index page names no files")
	}
	var queue []string
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(index, -1) {
		queue = append(queue, m[1])
	}
	imports := regexp.MustCompile(`(?:from ?|import\()"\./([^"]+)"`)
	seen := map[string]bool{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		answer := get(t, path)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, answer.StatusCode)
			continue
		}
		if cache := answer.Header.Get("Cache-Control"); !strings.Contains(cache, "immutable") {
			t.Errorf("%s: Cache-Control %q", path, cache)
		}
		if !strings.HasSuffix(path, ".js") {
			continue
		}
		if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/javascript") {
			t.Errorf("%s: Content-Type %q", path, kind)
		}
		module := text(t, answer.Body)
		if strings.HasPrefix(module, "//") {
			t.Errorf("%s comes with its comments", path)
		}
		for _, m := range imports.FindAllStringSubmatch(module, -1) {
			queue = append(queue, prefix+"/"+m[1])
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d files are reachable", len(seen))
	}
}

func TestCompressionAndTags(t *testing.T) {
	t.Parallel()
	index := text(t, get(t, "/").Body)
	path := regexp.MustCompile(`/assets/[0-9a-f]{16}/main\.js`).FindString(index)
	plain := get(t, path)
	want := text(t, plain.Body)
	tags := map[string]bool{plain.Header.Get("ETag"): true}
	for accept, encoding := range map[string]string{"gzip": "gzip", "gzip, deflate, br": "br", "br;q=0, gzip;q=0.5": "gzip", "identity": ""} {
		answer := get(t, path, "Accept-Encoding", accept)
		if got := answer.Header.Get("Content-Encoding"); got != encoding {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, got, encoding)
			continue
		}
		body := io.Reader(answer.Body)
		switch encoding {
		case "br":
			body = brotli.NewReader(body)
		case "gzip":
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		if got := text(t, body); got != want {
			t.Errorf("Accept-Encoding %q: the body is not that of the file", accept)
		}
		tag := answer.Header.Get("ETag")
		tags[tag] = true
		again := get(t, path, "Accept-Encoding", accept, "If-None-Match", `"other", W/`+tag)
		if again.StatusCode != http.StatusNotModified || text(t, again.Body) != "" {
			t.Errorf("Accept-Encoding %q: a file the browser has is sent again: %d", accept, again.StatusCode)
		}
	}
	if len(tags) != 3 {
		t.Errorf("%d entity tags for three encodings", len(tags))
	}
	stale := get(t, "/assets/0000000000000000/main.js")
	if cache := stale.Header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("a file asked for by a page of another version: Cache-Control %q", cache)
	}
}

func TestOnlyReadsAreServed(t *testing.T) {
	t.Parallel()
	handler, err := web.Handler()
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", nil))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /: status %d", recorder.Code)
	}
	recorder = httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodHead, "/", nil))
	if recorder.Code != http.StatusOK || recorder.Body.Len() != 0 {
		t.Errorf("HEAD /: status %d, %d bytes", recorder.Code, recorder.Body.Len())
	}
}
