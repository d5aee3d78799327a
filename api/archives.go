package api

import (
	"net/http"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

// archiveRoutes serve the files that the archives functions name. The name is
// signed and stands for one content for ever, so that a browser needs no
// credentials to fetch it and never has to ask twice.
func (s *server) archiveRoutes() []route {
	return []route{
		rest.Stream("GET", "/api/v1/archives/:name", auth.ReadPublic, "Fetch an archive file by its signed name. The body is gzip that the caller inflates.", s.getArchiveFile,
			rest.Answers(http.StatusOK, "The file", rest.As[[]byte]("application/gzip")), rest.NotModified(), rest.TakesAnyQuery),
	}
}

func (s *server) getArchiveFile(r *request, _ *none) error {
	name := r.Param("name")
	etag := `"` + name + `"`
	header := r.Writer.Header()
	// Whoever has the name may read the file, from a page of any origin.
	header.Set("Access-Control-Allow-Origin", "*")
	header.Del("Vary")
	if httpx.Matches(r.Request, etag) {
		header.Set("ETag", etag)
		r.Status(http.StatusNotModified)
		return nil
	}
	file, err := s.Store.Archives.File(r.Request.Context(), name)
	if err != nil {
		return err
	}
	release, err := r.Hold(file)
	if err != nil {
		return err
	}
	defer release()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", etag)
	// The gzip bytes are the content: pages inflate them themselves, so they
	// must not be announced as an encoding that the browser would undo.
	r.Data(http.StatusOK, "application/gzip", file)
	return nil
}
