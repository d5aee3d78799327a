package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/request"
)

// Who may see a run reads its notes, visitors without the names; internal accounts
// change their own, administrators all of them.
func TestNotesOfOthers(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	call := func(method, path, caller, body string) (int, string) {
		t.Helper()
		var headers []string
		if caller != "" {
			headers = []string{"Authorization", "Bearer " + h.token[caller], "Content-Type", "application/json"}
		}
		status, _, text := request.Send(t, method, h.url+"/api/v1/sessions/live/notes"+path, body, headers...)
		return status, text
	}
	status, text := call("POST", "", "internal", `{"text":"<b>slipped</b>"}`)
	if status != http.StatusCreated || !strings.Contains(text, `"editable":true`) || !strings.Contains(text, `"author":"internal"`) {
		t.Fatalf("%d %s", status, text)
	}
	var id int
	if _, err := fmt.Sscanf(text, `{"id":%d`, &id); err != nil {
		t.Fatal(err, text)
	}
	one := fmt.Sprint("/", id)
	for caller, want := range map[string]string{
		"": `"author":null,"editable":false`, "guest": `"author":"internal","editable":false`, "external": `"author":"internal","editable":false`,
		"internal": `"author":"internal","editable":true`, "admin": `"author":"internal","editable":true`,
	} {
		if status, text := call("GET", "", caller, ""); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%q reads %d %s, want %s", caller, status, text, want)
		}
	}
	status, text = call("POST", "", "admin", `{"text":"by the administrator"}`)
	var other int
	if _, err := fmt.Sscanf(text, `{"id":%d`, &other); err != nil || status != http.StatusCreated {
		t.Fatal(status, text)
	}
	for _, step := range []struct {
		method, path, caller, body string
		want                       int
	}{
		{"POST", "", "", `{"text":"x"}`, 401}, {"POST", "", "guest", `{"text":"x"}`, 403}, {"POST", "", "external", `{"text":"x"}`, 403},
		{"DELETE", one, "external", "", 403}, {"PUT", fmt.Sprint("/", other), "internal", `{"text":"x"}`, 403}, {"DELETE", fmt.Sprint("/", other), "internal", "", 403},
		{"PUT", "/0", "internal", `{"text":"x"}`, 404}, {"PUT", "/x", "internal", `{"text":"x"}`, 404}, {"PUT", "/99999999999999999999", "internal", `{"text":"x"}`, 404},
		{"POST", "", "internal", `{"text":"x","from":"soon"}`, 400}, {"POST", "", "internal", `{"text":"x","author":"root"}`, 400}, {"POST", "", "internal", `{"text":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		{"POST", "", "internal", `{"text":"x","from":7}`, 400}, {"POST", "", "internal", `{"text":"x","latitude":1e400}`, 400},
		{"PUT", one, "admin", `{"text":"mended"}`, 200}, {"DELETE", one, "internal", "", 204},
	} {
		if status, text := call(step.method, step.path, step.caller, step.body); status != step.want {
			t.Errorf("%s %s as %q with %.60s: %d %.200s, want %d", step.method, step.path, step.caller, step.body, status, text, step.want)
		}
	}
	if _, text := call("GET", "?kind=note&format=csv", "admin", ""); text != "kind,from,to,latitude,longitude,severity,text,author\nnote,,,,,,by the administrator,admin\n" {
		t.Errorf("as CSV: %q", text)
	}
}
