package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
)

const password = "correct horse battery"

// site is the whole REST API on a database of its own.
type site struct {
	url   string
	pool  *pgxpool.Pool
	store *timeseries.Store
	auth  *auth.Service
	log   *await.Log
}

func open(t *testing.T, config api.Config, set ...func(*auth.Options)) site {
	t.Helper()
	s := site{pool: dbtest.New(t), log: new(await.Log)}
	s.store = timeseries.New(s.pool, timeseries.Options{})
	options := auth.Options{
		Hash:         secret.Params{MemoryKiB: 64, Iterations: 1},
		AddressBurst: 1000,
		StaticKeys:   []auth.StaticKey{{Secret: "admin|key:1"}, {Name: "bridge", Secret: "ingest|key:1", Scope: auth.ScopeIngest}},
	}
	for _, change := range set {
		change(&options)
	}
	s.auth = auth.New(s.pool, options)
	handler, err := api.New(api.Deps{
		Store: s.store, Auth: s.auth, Config: config,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// reply is an answer with its JSON body.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

func (s site) call(t *testing.T, method, path, authorization string, body any, headers ...string) reply {
	t.Helper()
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	out := reply{status: got.StatusCode, header: got.Header}
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &out.body); err != nil {
			t.Fatalf("%s %s: %v in %.200s", method, path, err, raw)
		}
	}
	return out
}

type object = map[string]any

// as makes an account of the role and returns its Authorization header.
func (s site) as(t *testing.T, role auth.Role) string {
	t.Helper()
	email := string(role) + "@roles.example"
	if _, err := s.auth.CreateAccount(t.Context(), auth.Operator("test"), auth.NewAccount{Email: email, Password: password, Role: role}); err != nil {
		t.Fatal(err)
	}
	got, err := s.auth.SignIn(t.Context(), auth.SignIn{Email: email, Password: password})
	if err != nil || got.Err != "" {
		t.Fatalf("SignIn = %+v, %v", got, err)
	}
	return "Bearer " + got.Token
}

func TestAccountOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	up := s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "Ana@Team.example", "password": password, "name": "Ana"})
	if up.status != 201 || !auth.WellFormedToken(up.body["token"].(string)) || up.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("signing up = %+v", up)
	}
	in := s.call(t, "POST", "/api/v1/auth/signin", "", object{"email": "ana@team.example", "password": password, "remember": true})
	if in.status != 200 || in.body["user_id"] != up.body["user_id"] {
		t.Fatalf("signing in = %+v", in)
	}
	bearer := "Bearer " + in.body["token"].(string)
	session := s.call(t, "GET", "/api/v1/auth/session", bearer, nil)
	user, _ := session.body["user"].(object)
	if session.status != 200 || session.body["persistent"] != true || user["email"] != "ana@team.example" || user["role"] != "external" || user["name"] != "Ana" {
		t.Errorf("the session = %+v", session)
	}
	if got := s.call(t, "POST", "/api/v1/auth/upgrade", bearer, nil); got.status != 204 {
		t.Errorf("asking for an upgrade = %+v", got)
	}
	changed := s.call(t, "POST", "/api/v1/auth/password", bearer, object{"current_password": password, "new_password": password + "2"})
	if changed.status != 204 {
		t.Errorf("changing the password = %+v", changed)
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", "Bearer "+up.body["token"].(string), nil); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("the other session after the change = %+v", got)
	}
	for range 2 {
		if got := s.call(t, "POST", "/api/v1/auth/signout", bearer, nil); got.status != 204 {
			t.Errorf("signing out = %+v", got)
		}
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", bearer, nil); got.status != 401 || got.body["code"] != "UNAUTHENTICATED" {
		t.Errorf("the session after signing out = %+v", got)
	}
	for _, secret := range []string{password, in.body["token"].(string), "ana@team.example"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// Whoever is signed in sees where else, ends that with the password, and no other
// account's; administrators end all of another account's.
func TestSessionsOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	var bearers []string
	for range 3 {
		in := s.call(t, "POST", "/api/v1/auth/signin", "", object{"email": "ana@team.example", "password": password})
		if in.status != 200 && len(bearers) == 0 {
			in = s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password})
		}
		bearers = append(bearers, "Bearer "+in.body["token"].(string))
	}
	me := s.call(t, "GET", "/api/v1/auth/session", bearers[0], nil).body["user"].(object)["user_id"].(string)
	list := func(who, path string) (ids []string, current int) {
		t.Helper()
		got := s.call(t, "GET", path, who, nil)
		if got.status != 200 {
			t.Fatalf("%s = %+v", path, got)
		}
		for _, one := range got.body["sessions"].([]any) {
			one := one.(object)
			ids = append(ids, one["session_id"].(string))
			if one["current"] == true {
				current++
			}
		}
		return ids, current
	}
	end := func(who, password, id string, want int) {
		t.Helper()
		body := object{"current_password": password}
		if id != "" {
			body["session_id"] = id
		}
		if got := s.call(t, "POST", "/api/v1/auth/sessions/end", who, body); got.status != want {
			t.Errorf("ending %q = %+v, want %d", id, got, want)
		}
	}
	alive := func(want ...bool) {
		t.Helper()
		for i, bearer := range bearers {
			if got := s.call(t, "GET", "/api/v1/auth/session", bearer, nil); (got.status == 200) != want[i] {
				t.Errorf("session %d = %+v, alive %v", i, got, want[i])
			}
		}
	}
	ids, current := list(bearers[0], "/api/v1/auth/sessions")
	if len(ids) != 3 || current != 1 {
		t.Fatalf("%d sessions, %d of them this one", len(ids), current)
	}
	stranger := s.as(t, auth.Internal)
	end(bearers[0], "wrong password", ids[0], 401)
	end(stranger, password, ids[0], 404)
	end(stranger, password, "\x00", 404)
	alive(true, true, true)
	end(bearers[0], password, ids[0], 204) // the newest
	alive(true, true, false)
	end(bearers[0], password, "", 204)
	alive(true, false, false)
	if got := s.call(t, "GET", "/api/v1/auth/session", stranger, nil); got.status != 200 {
		t.Errorf("another account's session = %+v", got)
	}
	admin := s.as(t, auth.Admin)
	if ids, current := list(admin, "/api/v1/users/"+me+"/sessions"); len(ids) != 1 || current != 0 {
		t.Errorf("an administrator sees %d, %d of them their own", len(ids), current)
	}
	if got := s.call(t, "DELETE", "/api/v1/users/"+me+"/sessions", admin, nil); got.status != 204 {
		t.Errorf("an administrator ends them = %+v", got)
	}
	alive(false, false, false)
	ended := s.call(t, "GET", "/api/v1/audit?event=sessions_ended", admin, nil)
	if n := len(ended.body["events"].([]any)); n != 3 {
		t.Errorf("the audit log has it %d times, want 3", n)
	}
}

func TestAccountMistakesOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password})
	tests := []struct {
		name, path string
		body       any
		status     int
		detail     string
	}{
		{"no body", "signin", nil, 400, "the body is empty; send a JSON object"},
		{"not JSON", "signin", "password=x", 400, "the body is not a JSON object of the members that this route takes"},
		{"unknown member", "signin", object{"mail": "x"}, 400, "the body is not a JSON object of the members that this route takes"},
		{"two values", "signin", `{} {}`, 400, "the body holds more than one JSON value"},
		{"wrong type", "signin", object{"email": 1}, 400, "invalid input"},
		{"too large", "signin", object{"email": strings.Repeat("x", 1<<17)}, 413, ""},
		{"missing", "signin", object{}, 400, "Email and password are required"},
		{"wrong", "signin", object{"email": "ana@team.example", "password": "wrong"}, 401, "Invalid email or password"},
		{"short", "signup", object{"email": "b@team.example", "password": "short"}, 400, "Password must be at least 12 characters"},
		{"taken", "signup", object{"email": "ana@team.example", "password": password}, 409, "Unable to create an account with those details"},
		{"role", "signup", object{"email": "c@team.example", "password": password, "requested_role": "admin"}, 400, "invalid input"},
	}
	for _, tt := range tests {
		got := s.call(t, "POST", "/api/v1/auth/"+tt.path, "", tt.body)
		if got.status != tt.status || tt.detail != "" && got.body["detail"] != tt.detail {
			t.Errorf("%s: %d %v, want %d %s", tt.name, got.status, got.body, tt.status, tt.detail)
		}
	}
	var last reply
	for range 9 {
		last = s.call(t, "POST", "/api/v1/auth/signin", "", object{"email": "d@team.example", "password": "wrong"})
	}
	if last.status != 429 || last.header.Get("Retry-After") != "900" {
		t.Errorf("the ninth attempt = %+v", last)
	}
}

func TestUsersOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	made := s.call(t, "POST", "/api/v1/users", admin, object{"email": "new@team.example", "password": password, "role": "external"})
	if made.status != 201 {
		t.Fatalf("making a user = %+v", made)
	}
	id := made.body["user_id"].(string)
	self := s.call(t, "GET", "/api/v1/auth/session", admin, nil).body["user"].(object)["user_id"].(string)
	steps := []struct {
		method, path string
		body         any
		status       int
		code         string
		role         string
	}{
		{"GET", "/api/v1/users/" + id, nil, 200, "", "external"},
		{"PATCH", "/api/v1/users/" + id, object{"role": "internal"}, 200, "", "internal"},
		{"PATCH", "/api/v1/users/" + id, object{"role": "root"}, 400, "", ""},
		{"PATCH", "/api/v1/users/" + self, object{"role": "guest"}, 400, "INVALID_OPERATION", ""},
		{"POST", "/api/v1/users/" + id + "/reject", nil, 200, "", "internal"},
		{"POST", "/api/v1/users/" + id + "/password", object{"new_password": "another password"}, 204, "", ""},
		{"POST", "/api/v1/users/" + id + "/ban", nil, 200, "", "guest"},
		{"DELETE", "/api/v1/users/" + id, nil, 204, "", ""},
		{"DELETE", "/api/v1/users/" + id, nil, 204, "", ""},
		{"GET", "/api/v1/users/" + id, nil, 404, "NOT_FOUND", ""},
		{"POST", "/api/v1/users/%00/ban", nil, 404, "NOT_FOUND", ""},
	}
	for _, step := range steps {
		got := s.call(t, step.method, step.path, admin, step.body)
		role, _ := got.body["role"].(string)
		code, _ := got.body["code"].(string)
		if got.status != step.status || code != step.code || role != step.role {
			t.Errorf("%s %s = %d %v, want %d %s %s", step.method, step.path, got.status, got.body, step.status, step.code, step.role)
		}
	}
	if got := s.call(t, "DELETE", "/api/v1/users/"+self, "Convex admin|key:1", nil); got.status != 409 || got.body["code"] != "LAST_ADMIN" {
		t.Errorf("deleting the last administrator = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/users", admin, nil); got.status != 200 || len(got.body["users"].([]any)) != 1 {
		t.Errorf("the users = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/users?status=pending", admin, nil); got.status != 200 || len(got.body["users"].([]any)) != 0 {
		t.Errorf("the pending users = %+v", got)
	}
	audit := s.call(t, "GET", "/api/v1/audit?limit=2&user="+id, admin, nil)
	events, _ := audit.body["events"].([]any)
	if audit.status != 200 || len(events) != 2 || audit.body["next_cursor"] == nil || events[0].(object)["event"] != "user_deleted" || events[0].(object)["actor_user_id"] != self {
		t.Errorf("the audit log = %+v", audit)
	}
}

func TestKeysOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	made := s.call(t, "POST", "/api/v1/keys", admin, object{"name": "bridge", "valid_s": 3600})
	secret, _ := made.body["key"].(string)
	if made.status != 201 || made.body["scope"] != "ingest" || made.body["expires_at"] == nil || !strings.HasPrefix(secret, made.body["prefix"].(string)) {
		t.Fatalf("making a key = %+v", made)
	}
	// A key may come in either scheme; this one may ingest but not manage.
	for _, header := range []string{"Bearer " + secret, "Convex " + secret} {
		if got := s.call(t, "POST", "/api/v1/telemetry", header, "[]"); got.status == 401 || got.status == 403 {
			t.Errorf("ingest = %+v", got)
		}
		if got := s.call(t, "GET", "/api/v1/keys", header, nil); got.status != 403 {
			t.Errorf("listing keys = %+v", got)
		}
	}
	rotated := s.call(t, "POST", "/api/v1/keys/"+made.body["id"].(string)+"/rotate", admin, object{"overlap_s": 60})
	if rotated.status != 201 || rotated.body["key"] == secret {
		t.Fatalf("rotating = %+v", rotated)
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Convex "+secret, "[]"); got.status == 401 {
		t.Error("the old key ended before the overlap did")
	}
	if got := s.call(t, "DELETE", "/api/v1/keys/"+made.body["id"].(string), admin, nil); got.status != 204 {
		t.Errorf("revoking = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Convex "+secret, "[]"); got.status != 401 {
		t.Errorf("ingest with a revoked key = %+v", got)
	}
	list := s.call(t, "GET", "/api/v1/keys", admin, nil)
	keys, _ := list.body["keys"].([]any)
	if list.status != 200 || len(keys) != 2 || keys[0].(object)["revoked_at"] == nil || keys[0].(object)["key"] != nil {
		t.Errorf("the keys = %+v", list)
	}
	for _, body := range []string{`{"name":"x","valid_s":-1}`, `{"name":"x","valid_s":1e300}`, `{"name":""}`, `{"name":"x","scope":"all"}`} {
		if got := s.call(t, "POST", "/api/v1/keys", admin, body); got.status != 400 {
			t.Errorf("making a key of %s = %+v", body, got)
		}
	}
}

// Attempts are counted by the address that the client really has.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		trusted   []string
		forwarded []string
		want      string
	}{
		{"no proxy", nil, nil, "127.0.0.1"},
		{"a stranger's word", nil, []string{"192.0.2.1"}, "127.0.0.1"},
		{"another proxy is trusted", []string{"10.0.0.0/8"}, []string{"192.0.2.1"}, "127.0.0.1"},
		{"the proxy's word", []string{"127.0.0.1"}, []string{"192.0.2.1"}, "192.0.2.1"},
		{"the proxy behind a proxy", []string{"127.0.0.0/8", "10.0.0.0/8"}, []string{"203.0.113.9, 192.0.2.1, 10.1.1.1"}, "192.0.2.1"},
		{"two headers", []string{"127.0.0.1"}, []string{"203.0.113.9", "192.0.2.1"}, "192.0.2.1"},
		{"nonsense", []string{"127.0.0.1"}, []string{"192.0.2.1, unknown"}, "127.0.0.1"},
		{"IPv6", []string{"127.0.0.1"}, []string{"2001:db8:1:2:3::4"}, "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", []string{"127.0.0.1"}, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, api.Config{TrustedProxies: tt.trusted})
			var headers []string
			for _, f := range tt.forwarded {
				headers = append(headers, "X-Forwarded-For", f)
			}
			s.call(t, "POST", "/api/v1/auth/signin", "", object{"email": "x@y.example", "password": "wrong"}, headers...)
			events, err := s.auth.Audit(t.Context(), auth.Operator("test"), auth.AuditQuery{})
			if err != nil || len(events) != 1 || events[0].Address != tt.want {
				t.Errorf("the audit log has %+v (%v), want an attempt from %s", events, err, tt.want)
			}
		})
	}
	if _, err := api.New(api.Deps{Config: api.Config{TrustedProxies: []string{"proxy.example"}}}); err == nil {
		t.Error("a trusted proxy that is no address was taken")
	}
}

// Expiry of what is read over REST needs nobody to clean up.
func TestExpiredTokenOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	if _, err := s.pool.Exec(t.Context(), `UPDATE auth_sessions SET expires_at = expires_at - $1::interval`, 12*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := s.call(t, "GET", "/api/v1/users", admin, nil); got.status != 401 {
		t.Errorf("an expired administrator = %+v", got)
	}
}
