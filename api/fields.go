package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

func (s *server) fieldRoutes() []route {
	return []route{
		rest.Stream("GET", "/api/v1/fields", auth.ReadPublic, "List the channels of a record with types, units and meanings.", s.listFields,
			rest.Returns[fieldsAnswer]("The channels"), rest.NotModified()),
	}
}

// fieldView is a known field of a record as REST shows it.
type fieldView struct {
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Unit    *string `json:"unit"`
	Meaning string  `json:"meaning"`
	// Charted fields can be asked of the series routes.
	Charted bool `json:"charted"`
}

type fieldsAnswer struct {
	Fields []fieldView `json:"fields"`
}

// fieldList is the answer of listFields and its entity tag; it is the same as
// long as the program is.
var fieldList = sync.OnceValues(func() ([]byte, string) {
	views := make([]fieldView, len(channel.All))
	for i, f := range channel.All {
		views[i] = fieldView{f.Name, f.Type.String(), rest.NullIfZero(f.Unit), f.Meaning, f.Charted}
	}
	body, err := json.Marshal(fieldsAnswer{views})
	if err != nil {
		return nil, "" // no type in a fieldView can fail
	}
	sum := sha256.Sum256(body)
	return body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
})

func (s *server) listFields(r *request, _ *none) error {
	body, tag := fieldList()
	r.Header("Cache-Control", "public, max-age=300")
	r.Header("ETag", tag)
	if httpx.Matches(r.Request, tag) {
		r.Status(http.StatusNotModified)
		r.Writer.WriteHeaderNow()
		return nil
	}
	r.Header("Content-Type", "application/json")
	httpx.Send(r.Writer, r.Request, http.StatusOK, body)
	return nil
}
