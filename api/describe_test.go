package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ecovolt/telemetryd/internal/request"
)

// described is the daemon's own description, with a compiler of its schemas.
type described struct {
	paths    map[string]map[string]map[string]any // operations by path and method
	compiler *jsonschema.Compiler
}

func (h server) describe(t *testing.T) described {
	t.Helper()
	status, text := h.send(t, "GET", "/api/v1/openapi.json", "", "")
	if status != http.StatusOK {
		t.Fatalf("no description: %d %s", status, text)
	}
	var d described
	parsed := struct {
		Paths *map[string]map[string]map[string]any
	}{&d.paths}
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(document.(map[string]any)["components"])
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return d
}

// closeObjects forbids members that the description does not name: clients may
// get ones that are new, but the daemon that describes them sends no other.
func closeObjects(node any) {
	switch n := node.(type) {
	case map[string]any:
		if _, ok := n["properties"].(map[string]any); ok && n["additionalProperties"] == nil {
			n["additionalProperties"] = false
		}
		for _, child := range n {
			closeObjects(child)
		}
	case []any:
		for _, child := range n {
			closeObjects(child)
		}
	}
}

// check holds an answer against what the operation declares for its status.
func (d described) check(t *testing.T, method, path string, status int, media string, body []byte) {
	t.Helper()
	what := fmt.Sprintf("%s %s: %d", method, path, status)
	responses, _ := d.paths[path][strings.ToLower(method)]["responses"].(map[string]any)
	response, ok := responses[fmt.Sprint(status)].(map[string]any)
	at := "/paths/" + pointer(path) + "/" + strings.ToLower(method) + "/responses/" + fmt.Sprint(status)
	if !ok && status >= 400 {
		at, ok = "/components/responses/InternalServerError", true
	}
	if name, isRef := response["$ref"].(string); isRef {
		at = strings.TrimPrefix(name, "#")
	}
	if !ok {
		t.Errorf("%s is not described", what)
		return
	}
	if len(body) == 0 {
		return
	}
	media, _, _ = strings.Cut(media, ";")
	schema, err := d.compiler.Compile("openapi.json#" + at + "/content/" + pointer(media) + "/schema")
	if err != nil {
		t.Errorf("%s as %s: %v", what, media, err)
		return
	}
	if !strings.HasSuffix(media, "json") || strings.HasSuffix(media, "ndjson") {
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s is not as described: %v\n%.500s", what, err, body)
	}
}

func pointer(text string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(text)
}

// Every route of the description is called; its answers are what it declares.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	d := h.describe(t)
	admin := "Bearer " + h.token["admin"]
	list, _, _ := driven{id: "circles", quick: []float64{1, 1.1}, power: []float64{1, 1}, silent: [2]float64{100, 200}}.drive()
	circles, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	id := map[string]string{} // what earlier answers named, for later paths
	called := map[string]bool{}
	for _, step := range []struct {
		method, path string // {id} is the run, or what keep has kept under that name
		query        string
		who, body    string
		status       int
		keep         string // name=member
	}{
		{"POST", "/api/v1/telemetry", "?on_error=skip", admin, `[{"session_id":"live","timestamp":"2026-03-21T10:00:00Z","speed_ms":2,"driver_mode":"eco","altitude":3,"latitude":48.1,"longitude":11.5},{"session_id":"live","timestamp":7}]`, 200, ""},
		{"POST", "/api/v1/telemetry", "", admin, `[{"session_id":"live","timestamp":"no time"}]`, 200, ""},
		{"POST", "/api/v1/telemetry", "", admin, `[{"session_id":"live","timestamp":5}]`, 400, ""},
		{"POST", "/api/v1/telemetry", "?dry_run=true", admin, `[{"session_id":"live","timestamp":"2026-03-21T10:00:00Z"}]`, 200, ""},
		{"GET", "/api/v1/import-profiles", "", admin, "", 200, ""},
		{"DELETE", "/api/v1/import-profiles/{none}", "", admin, "", 404, ""},
		{"GET", "/api/v1/sessions", "?limit=1", admin, "", 200, ""},
		{"GET", "/api/v1/sessions", "", "", "", 401, ""},
		{"GET", "/api/v1/live/sessions", "", "", "", 200, ""},
		{"GET", "/api/v1/sessions/{live}", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{none}", "", admin, "", 404, ""},
		{"GET", "/api/v1/sessions/{live}/records", "?limit=1&fields=speed_ms,driver_mode", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/records", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/records", "?format=csv", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/records", "?format=ndjson", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/latest", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/set-aside", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/set-aside", "?after=3&limit=5", admin, "", 200, ""},
		{"POST", "/api/v1/sessions/{live}/repair", "", admin, `{"drop":true}`, 200, ""},
		{"POST", "/api/v1/sessions/{live}/repair", "", admin, `{"drop":true,"shift":"1h"}`, 400, ""},
		{"POST", "/api/v1/sessions/{live}/repair", "", admin, `{"shift":"often"}`, 400, ""},
		{"GET", "/api/v1/sessions/{live}/series", "?metrics=speed_ms,driver_mode", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/series", "?metrics=speed_ms&mode=m4&points=2&from=2026-03-21T09:00:00Z&to=2026-03-21T11:00:00Z", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/series", "?metrics=speed_ms&compare=long&align=elapsed&fill=null", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/summary", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/laps", "", admin, "", 200, ""},
		{"POST", "/api/v1/telemetry", "", admin, string(circles), 200, ""},
		{"GET", "/api/v1/sessions/{circles}/laps", "", admin, "", 200, ""},
		{"PATCH", "/api/v1/sessions/{circles}", "", admin, `{"book":{"plan_energy_wh":1,"plan_laps":5,"plan_time_s":600}}`, 200, ""},
		{"GET", "/api/v1/sessions/{circles}/pace", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/pace", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{none}/pace", "", admin, "", 404, ""},
		{"GET", "/api/v1/sessions/{circles}/laps", "?metrics=speed_ms,message_id", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/laps", "?metrics=speed_ms,message_id&units=metric", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/laps", "?metrics=nothing", admin, "", 400, ""},
		{"GET", "/api/v1/sessions/{circles}/brief", "?units=si&timezone=Europe/Berlin", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/brief", "?timezone=Nowhere", admin, "", 400, ""},
		{"GET", "/api/v1/tracks", "", admin, "", 200, ""},
		{"GET", "/api/v1/tracks/{1}", "", admin, "", 200, ""},
		{"PATCH", "/api/v1/tracks/{1}", "", admin, `{"name":"Circles","finish_m":0}`, 200, ""},
		{"PATCH", "/api/v1/tracks/{1}", "", admin, `{"sectors":[{"name":"x","from_m":-1}]}`, 400, ""},
		{"PATCH", "/api/v1/tracks/{none}", "", admin, `{}`, 404, ""},
		{"POST", "/api/v1/tracks/{1}/merge", "", admin, `{"track":1}`, 400, ""},
		{"POST", "/api/v1/tracks/{none}/merge", "", admin, `{"track":1}`, 404, ""},
		{"POST", "/api/v1/tracks/{1}/split", "", admin, `{"track":1}`, 400, ""},
		{"POST", "/api/v1/tracks/{none}/split", "", admin, `{"track":1}`, 404, ""},
		{"GET", "/api/v1/compare", "?laps=circles:1,circles:2&metrics=speed_ms,driver_mode", admin, "", 200, ""},
		{"GET", "/api/v1/compare", "?laps=circles:1,circles:2&by=time", admin, "", 200, ""},
		{"GET", "/api/v1/compare", "?laps=circles:1,circles:2&metrics=speed_ms,driver_mode&units=metric", admin, "", 200, ""},
		{"GET", "/api/v1/compare", "?laps=live:1", admin, "", 404, ""},
		{"GET", "/api/v1/sessions/{circles}/signals", "?x=speed_ms&x_bins=5", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/signals", "?x=speed_ms&y=power_w&mean=speed_ms&laps=1,2&units=metric&x_bins=5&y_bins=4", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/signals", "?x=driver_mode", admin, "", 400, ""},
		{"GET", "/api/v1/sessions/{circles}/stays", "?region=48,11,49,11.5", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/energy", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{circles}/stays", "?region=49,11,48,11.5", admin, "", 400, ""},
		{"POST", "/api/v1/sessions/{circles}/notes", "", admin, `{"text":"bump","latitude":48.1009,"longitude":11.5}`, 201, ""},
		{"GET", "/api/v1/sessions/{circles}/notes", "?kind=note&passes=true", admin, "", 200, ""},
		{"DELETE", "/api/v1/tracks/{1}", "", admin, "", 204, ""},
		{"DELETE", "/api/v1/tracks/{1}", "", admin, "", 404, ""},
		{"GET", "/api/v1/sessions/{live}/track", "?tolerance=5&points=100", admin, "", 200, ""},
		{"POST", "/api/v1/telemetry", "", admin, `[{"session_id":"live","timestamp":"2026-03-21T10:00:00Z","speed_ms":3}]`, 200, ""},
		{"POST", "/api/v1/sessions/{live}/merges", "?offset=1s", admin, `[{"timestamp":"2026-03-21T10:00:05Z","motor_temp_c":40}]`, 200, ""},
		{"GET", "/api/v1/sessions/{live}/merges", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/origins", "?points=5", admin, "", 200, ""},
		{"DELETE", "/api/v1/sessions/{live}/merges/{none}", "", admin, "", 404, ""},
		{"PATCH", "/api/v1/sessions/{old}", "", admin, `{"session_name":"Old"}`, 200, ""},
		{"PATCH", "/api/v1/sessions/{none}", "", admin, `{"session_name":"None"}`, 404, ""},
		{"PATCH", "/api/v1/sessions/{old}", "", admin, `{"book":{"driver":"Ann","tags":["rain"],"fields":{"ballast_kg":"4"},"plan_energy_wh":60,"plan_laps":11,"plan_distance_km":16,"plan_time_s":2340},"seen":1}`, 200, ""},
		{"PATCH", "/api/v1/sessions/{old}", "", admin, `{"book":{"driver":"Ben"},"seen":1}`, 409, ""},
		{"PATCH", "/api/v1/sessions/{old}", "", admin, `{"book":{"pilot":"Ben"}}`, 400, ""},
		{"PATCH", "/api/v1/sessions/{old}", "", admin, `{"book":{"plan_energy_wh":-1}}`, 400, ""},
		{"GET", "/api/v1/sessions", "?driver=ann&tag=Rain&field=ballast_kg=4&q=old&sort=-efficiency_km_kwh&limit=1", admin, "", 200, ""},
		{"GET", "/api/v1/sessions", "?sort=luck", admin, "", 400, ""},
		{"GET", "/api/v1/season", "?by=day&figure=duration_s&timezone=Europe/Berlin", admin, "", 200, ""},
		{"POST", "/api/v1/sessions/{live}/notes", "", admin, `{"text":"=1+1","from":"2026-03-21T10:00:00Z","latitude":48.1,"longitude":11.5}`, 201, "note=id"},
		{"POST", "/api/v1/sessions/{live}/notes", "", admin, `{"text":"x","to":"2026-03-21T10:00:00Z"}`, 400, ""},
		{"POST", "/api/v1/sessions/{none}/notes", "", admin, `{"text":"x"}`, 404, ""},
		{"GET", "/api/v1/sessions/{live}/notes", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/notes", "?format=csv&kind=note,stop", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/notes", "?kind=luck", admin, "", 400, ""},
		{"PUT", "/api/v1/sessions/{live}/notes/{note}", "", admin, `{"text":"two","from":null,"seen":1}`, 200, ""},
		{"PUT", "/api/v1/sessions/{live}/notes/{note}", "", admin, `{"text":"three","seen":1}`, 409, ""},
		{"DELETE", "/api/v1/sessions/{live}/notes/{note}", "", admin, "", 204, ""},
		{"DELETE", "/api/v1/sessions/{live}/notes/{note}", "", admin, "", 404, ""},
		{"GET", "/api/v1/season", "?by=luck", admin, "", 400, ""},
		{"DELETE", "/api/v1/sessions/{old}", "", admin, "", 200, ""},
		{"GET", "/api/v1/archives/{none}", "?any=thing", "", "", 404, ""},
		{"GET", "/api/v1/live", "", "", "", 426, ""},
		{"GET", "/api/v1/fields", "", "", "", 200, ""},
		{"PUT", "/api/v1/channels/{battery_temp_c}", "", admin, `{"unit":"degC","display":"Battery","aliases":["batt"],"decimals":1,"warn_high":45}`, 200, ""},
		{"PUT", "/api/v1/channels/{session_id}", "", admin, `{}`, 409, ""},
		{"PUT", "/api/v1/channels/{A}", "", admin, `{}`, 400, ""},
		{"GET", "/api/v1/channels", "", "", "", 200, ""},
		{"DELETE", "/api/v1/channels/{battery_temp_c}", "", admin, "", 204, ""},
		{"DELETE", "/api/v1/channels/{nothing}", "", admin, "", 404, ""},
		{"GET", "/api/v1/sessions/{live}/channels", "", admin, "", 200, ""},
		{"GET", "/api/v1/sessions/{live}/channels", "?units=display", admin, "", 200, ""},
		{"GET", "/api/v1/openapi.json", "", "", "", 200, ""},
		{"GET", "/api/v1/docs", "", "", "", 200, ""},
		{"POST", "/api/v1/auth/signup", "", "", `{"email":"new@team.example","password":"correct horse battery","requested_role":"internal"}`, 201, "new=user_id"},
		{"POST", "/api/v1/auth/signin", "", "", `{"email":"new@team.example","password":"wrong"}`, 401, ""},
		{"POST", "/api/v1/auth/signin", "", "", `{"email":"new@team.example","password":"correct horse battery","remember":true}`, 200, "token=token"},
		{"GET", "/api/v1/auth/session", "", "Bearer {token}", "", 200, ""},
		{"GET", "/api/v1/auth/sessions", "", "Bearer {token}", "", 200, ""},
		{"GET", "/api/v1/auth/preferences", "", "Bearer {token}", "", 200, ""},
		{"PUT", "/api/v1/auth/preferences", "", "Bearer {token}", `{"units":"si"}`, 200, ""},
		{"PUT", "/api/v1/auth/preferences", "", "Bearer {token}", `{"units":"x"}`, 400, ""},
		{"PUT", "/api/v1/auth/layouts/{A}", "", "Bearer " + h.token["external"], `{"charts":[{"channels":["speed_ms"],"size":"usual"}]}`, 200, ""},
		{"PUT", "/api/v1/auth/layouts/{A}", "", "Bearer " + h.token["external"], `{"charts":[]}`, 400, ""},
		{"GET", "/api/v1/auth/layouts", "", "Bearer " + h.token["external"], "", 200, ""},
		{"DELETE", "/api/v1/auth/layouts/{A}", "", "Bearer " + h.token["external"], "", 204, ""},
		{"DELETE", "/api/v1/auth/layouts/{A}", "", "Bearer " + h.token["external"], "", 404, ""},
		{"GET", "/api/v1/units", "", "Bearer {token}", "", 200, ""},
		{"GET", "/api/v1/units", "?units=metric", "", "", 200, ""},
		{"POST", "/api/v1/auth/sessions/end", "", "Bearer {token}", `{"current_password":"correct horse battery"}`, 204, ""},
		{"POST", "/api/v1/auth/sessions/end", "", "Bearer {token}", `{"current_password":"correct horse battery","session_id":"none"}`, 404, ""},
		{"POST", "/api/v1/auth/password", "", "Bearer {token}", `{"current_password":"correct horse battery","new_password":"correct horse staple"}`, 204, ""},
		{"POST", "/api/v1/auth/second-factor/confirm", "", "Bearer {token}", `{"code":"000000"}`, 409, ""},
		{"POST", "/api/v1/auth/second-factor", "", "Bearer {token}", `{"current_password":"correct horse staple"}`, 201, "secret=secret"},
		{"POST", "/api/v1/auth/second-factor/confirm", "", "Bearer {token}", `{"code":"{code}"}`, 200, ""},
		{"GET", "/api/v1/auth/second-factor", "", "Bearer {token}", "", 200, ""},
		{"POST", "/api/v1/auth/signin", "", "", `{"email":"new@team.example","password":"correct horse staple"}`, 401, ""},
		{"POST", "/api/v1/auth/app-passwords", "", "Bearer {token}", `{"name":"wall","current_password":"correct horse staple","code":"{later}"}`, 201, "app=id"},
		{"GET", "/api/v1/auth/app-passwords", "", "Bearer {token}", "", 200, ""},
		{"DELETE", "/api/v1/auth/app-passwords/{app}", "", "Bearer {token}", "", 204, ""},
		{"POST", "/api/v1/auth/second-factor/recovery-codes", "", "Bearer {token}", `{"current_password":"correct horse staple","code":"{code}"}`, 401, ""},
		{"POST", "/api/v1/auth/second-factor/off", "", "Bearer {token}", `{"current_password":"correct horse staple","code":"none"}`, 401, ""},
		{"GET", "/api/v1/auth/notices", "", "Bearer {token}", "", 200, ""},
		{"POST", "/api/v1/auth/notices/dismiss", "", "Bearer {token}", `{"through":1}`, 204, ""},
		{"DELETE", "/api/v1/users/{new}/second-factor", "", admin, "", 204, ""},
		{"GET", "/api/v1/users", "?status=pending", admin, "", 200, ""},
		{"POST", "/api/v1/users/{new}/reject", "", admin, "", 200, ""},
		{"POST", "/api/v1/users", "", admin, `{"email":"made@team.example","password":"correct horse battery","role":"external"}`, 201, "made=user_id"},
		{"GET", "/api/v1/users", "", admin, "", 200, ""},
		{"GET", "/api/v1/users/{made}", "", admin, "", 200, ""},
		{"PATCH", "/api/v1/users/{made}", "", admin, `{"role":"internal"}`, 200, ""},
		{"PATCH", "/api/v1/users/{made}", "", admin, `{"role":7}`, 400, ""},
		{"GET", "/api/v1/users/{made}/sessions", "", admin, "", 200, ""},
		{"DELETE", "/api/v1/users/{made}/sessions", "", admin, "", 204, ""},
		{"POST", "/api/v1/users/{made}/password", "", admin, `{"new_password":"correct horse staple"}`, 204, ""},
		{"POST", "/api/v1/users/{made}/ban", "", admin, "", 200, ""},
		{"POST", "/api/v1/users/{made}/unban", "", admin, "", 200, ""},
		{"DELETE", "/api/v1/users/{made}", "", admin, "", 204, ""},
		{"POST", "/api/v1/keys", "", admin, `{"name":"wall","scope":"ingest","valid_s":60}`, 201, "key=id"},
		{"POST", "/api/v1/keys/{key}/rotate", "", admin, `{"overlap_s":5}`, 201, "next=id"},
		{"GET", "/api/v1/keys", "", admin, "", 200, ""},
		{"DELETE", "/api/v1/keys/{next}", "", admin, "", 204, ""},
		{"GET", "/api/v1/audit", "?limit=2&event=sign_in_succeeded&from=2026-01-01T00:00:00Z&actor=none", admin, "", 200, ""},
		{"POST", "/api/v1/auth/upgrade", "", "Bearer " + h.token["external"], "", 204, ""},
		{"POST", "/api/v1/auth/signout", "", "Bearer " + h.token["external"], "", 204, ""},
	} {
		fill := func(text string) string {
			for name, value := range id {
				text = strings.ReplaceAll(text, "{"+name+"}", value)
			}
			return strings.NewReplacer("{", "", "}", "").Replace(text)
		}
		codes := strings.NewReplacer()
		if secret := id["secret"]; secret != "" { // an authenticator's clock may be half a minute ahead
			later, err := totp.GenerateCode(secret, time.Now().Add(30*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			codes = strings.NewReplacer("{code}", now(t, secret), "{later}", later)
		}
		r, err := http.NewRequestWithContext(t.Context(), step.method, h.url+fill(step.path)+step.query, strings.NewReader(codes.Replace(step.body)))
		if err != nil {
			t.Fatal(err)
		}
		if step.who != "" {
			r.Header.Set("Authorization", fill(step.who))
		}
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != step.status {
			t.Errorf("%s %s%s: %d %.300s, want %d", step.method, step.path, step.query, got.StatusCode, body, step.status)
			continue
		}
		path := d.pathOf(step.path)
		called[step.method+" "+path] = true
		d.check(t, step.method, path, got.StatusCode, got.Header.Get("Content-Type"), body)
		if name, member, ok := strings.Cut(step.keep, "="); ok {
			var members map[string]any
			if err := json.Unmarshal(body, &members); err != nil {
				t.Fatal(err)
			}
			id[name] = fmt.Sprint(members[member])
		}
	}
	for path, operations := range d.paths {
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			if !called[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s was not called", strings.ToUpper(method), path)
			}
		}
	}
}

// pathOf finds the description's path of a step's, whose parameters have other
// names.
func (d described) pathOf(step string) string {
	for path := range d.paths {
		a, b := strings.Split(path, "/"), strings.Split(step, "/")
		if slices.EqualFunc(a, b, func(x, y string) bool { return x == y || strings.HasPrefix(x, "{") && strings.HasPrefix(y, "{") }) {
			return path
		}
	}
	return step
}

// A parameter that a route does not have is refused by its name, before anybody
// asks who the caller is; not where clients send ones of their own.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	for path, unknown := range map[string]string{
		"/api/v1/sessions?limits=1":                                "limits",
		"/api/v1/users?approval_status=pending":                    "approval_status",
		"/api/v1/audit?before=1&cursor=1":                          "before",
		"/api/v1/sessions/old/series?metrics=speed_ms&bucketMs=10": "bucketMs",
		"/api/v1/live?sessions=live":                               "sessions",
		"/api/v1/fields?x":                                         "x",
		"/api/v1/fields?%zz":                                       "",
	} {
		status, text := h.send(t, "GET", path, "", "")
		if want := fmt.Sprintf(`"field":%q`, unknown); status != http.StatusBadRequest || unknown != "" && !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want 400 that names %s", path, status, text, unknown)
		}
	}
	for path, want := range map[string]int{"/api/v1/archives/none?x=1": 404, "/ably/token?x=1": 200, "/health?x=1": 200, "/api/config?x=1": 200} {
		if status, text := h.send(t, "GET", path, "", ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, text, want)
		}
	}
}

// The examples of uploads in the description are uploads.
func TestExamplesGoIn(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	upload := h.describe(t).paths["/api/v1/telemetry"]["post"]["requestBody"].(map[string]any)["content"].(map[string]any)
	for _, media := range []string{"application/x-ndjson", "text/csv"} {
		example, _ := upload[media].(map[string]any)["example"].(string)
		status, _, answer := request.Send(t, "POST", h.url+"/api/v1/telemetry", example, "Authorization", "Bearer "+h.token["admin"], "Content-Type", media)
		if status != http.StatusOK || !strings.Contains(answer, `"inserted":1`) {
			t.Errorf("%s %q: %d %s", media, example, status, answer)
		}
	}
}
