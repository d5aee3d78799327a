package api

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/ecovolt/telemetryd/api/mirror"
	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func (s *server) descriptionRoutes() []route {
	return []route{
		rest.Stream("GET", "/api/v1/openapi.json", auth.ReadPublic, "Return this description.", s.getDescription,
			rest.Answers(http.StatusOK, "An OpenAPI 3.1 document", rest.JSONOf[map[string]any]())),
		rest.Stream("GET", "/api/v1/docs", auth.ReadPublic, "Show this description as a page.", s.getReference,
			rest.Answers(http.StatusOK, "A page", rest.Plain("text/html"))),
	}
}

// describe returns the description of all routes, as JSON.
func (s *server) describe() ([]byte, error) {
	return json.Marshal(openapi.Describe(s.operations(), s.Config.PublicURL, reflect.TypeFor[mirror.Metric](), reflect.TypeFor[mirror.State]()))
}

func (s *server) operations() []openapi.Operation {
	var list []openapi.Operation
	for _, r := range s.routes() {
		list = append(list, r.Operation)
	}
	return list
}

func (s *server) getDescription(r *request, _ *none) error {
	body, err := s.description()
	return answerPublic(r, "application/json", body, err)
}

func (s *server) getReference(r *request, _ *none) error {
	page, err := s.reference()
	r.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	return answerPublic(r, "text/html; charset=utf-8", page, err)
}

// answerPublic answers with what everybody may keep for a while.
func answerPublic(r *request, contentType string, body []byte, err error) error {
	if err != nil {
		return err
	}
	r.Header("Cache-Control", "public, max-age=300")
	r.Header("Content-Type", contentType)
	httpx.Send(r.Writer, r.Request, http.StatusOK, body)
	return nil
}
