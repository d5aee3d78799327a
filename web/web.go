package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static vendor/*.js vendor/*.css vendor/*.LICENSE
var files embed.FS

// assetsPath is where the files are served, followed by their hash.
const assetsPath = "/assets/"

// policy lets the page load nothing but its own files and talk to nobody but
// its own server. %s are the styles of documents that it opens.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'%s; img-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

type page struct {
	index  *asset
	policy string
	hash   string
	assets map[string]*asset // by path below the hash
}

// Handler serves the page: its files, and the index page at each address that
// the page's own router knows. Everything else is not found. styles are hashes, as
// policies have them, of styles in documents of the API that the page opens: it has
// the credentials, so it fetches them, and what it made is bound by its policy.
func Handler(styles ...string) (http.Handler, error) {
	p := &page{assets: map[string]*asset{}, policy: fmt.Sprintf(policy, strings.Join(append([]string{""}, styles...), " "))}
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(body))
		sum.Write(body)
		p.assets[strings.TrimPrefix(name, "static/")] = newAsset(contentType(name), body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the page's files: %w", err)
	}
	p.hash = hex.EncodeToString(sum.Sum(nil))[:16]
	index, ok := p.assets["index.html"]
	if !ok {
		return nil, fmt.Errorf("the page has no index.html")
	}
	delete(p.assets, "index.html")
	p.index = newAsset(index.contentType, []byte(p.fillIn(string(index.body()))))
	return p, nil
}

// fillIn completes the index page: where the files are, and which modules to
// load at once, so that a module's imports are not found one after another.
func (p *page) fillIn(index string) string {
	return strings.ReplaceAll(index, "{{assets}}", assetsPath+p.hash)
}

func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".LICENSE":
		return "text/plain; charset=utf-8"
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, assetsPath); ok {
		hash, name, _ := strings.Cut(rest, "/")
		found := p.assets[name]
		switch {
		case found == nil:
			http.NotFound(w, r)
		case hash != p.hash:
			// A page of another version asks; what it gets may not stay.
			found.serve(w, r, "no-store")
		default:
			found.serve(w, r, "public, max-age=31536000, immutable")
		}
		return
	}
	switch {
	case isPage(r.URL.Path):
		h := w.Header()
		h.Set("Content-Security-Policy", p.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "geolocation=(), camera=(), microphone=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		p.index.serve(w, r, "no-cache")
	case r.URL.Path == "/favicon.ico":
		p.assets["icon.svg"].serve(w, r, "public, max-age=86400")
	case r.URL.Path == "/robots.txt":
		newAsset("text/plain; charset=utf-8", []byte("User-agent: *\nDisallow: /\n")).serve(w, r, "public, max-age=86400")
	default:
		http.NotFound(w, r)
	}
}

// isPage tells the addresses that the page's router (static/router.js) knows.
func isPage(path string) bool {
	switch path {
	case "/", "/index.html", "/compare", "/season", "/signin", "/signup", "/account":
		return true
	}
	for _, prefix := range []string{"/runs/", "/admin/"} {
		if strings.HasPrefix(path, prefix) && len(path) > len(prefix) {
			return true
		}
	}
	return false
}
