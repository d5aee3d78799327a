package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/functions"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/request"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// Who calls, in the order of the columns of the contract's table; the last two
// hold a deploy key instead of an account.
var callers = []string{"nobody", "guest", "external", "internal", "admin", "ingest key", "admin key"}

// The sessions that the rules tell apart: "long" began before the history
// window and is live, "none" does not exist.
var kinds = []string{"live", "recent", "old", "long", "none"}

// who says whether a caller may, for a session where the rule depends on it.
type who func(caller, session string) bool

func only(callers ...string) who {
	return func(caller, _ string) bool { return slices.Contains(callers, caller) }
}

// The classes of the contract's table, written down a second time.
var (
	everybody = only(callers...)
	accounts  = only("guest", "external", "internal", "admin")
	known     = only("external", "internal", "admin")
	admins    = only("admin", "admin key")
	team      = only("internal", "admin", "admin key")
	machines  = only("admin", "admin key", "ingest key")
	listers   = only("external", "internal", "admin", "admin key")
	history   = who(func(caller, session string) bool {
		switch caller {
		case "internal", "admin", "admin key":
			return true
		case "external":
			return session == "live" || session == "recent"
		}
		return false
	})
	records = who(func(caller, session string) bool {
		return history(caller, session) || session == "live" || session == "long"
	})
	progress = who(func(caller, session string) bool {
		return caller == "ingest key" || records(caller, session)
	})
)

// rule is one line of the access table. The request is made so that it changes
// nothing when it is let through.
type rule struct {
	may who
	// args are a function's arguments, or a route's body; %s is the session.
	args string
	// shows is a pattern of what the answer holds when it is not the empty one
	// that the contract gives to those who may not; "" means that they get an error.
	shows string
	// query goes behind a route's path; %s is the session.
	query string
	// perSession asks for each of the sessions.
	perSession bool
	// anonymous sends no credentials: the call would end the caller's session.
	anonymous bool
	// stream reads the answer as server-sent events, up to the one that says
	// whether the session may be watched.
	stream bool
}

// access is the contract's table of roles and permissions, for each function
// and route that there is.
var access = map[string]rule{
	// Functions.
	"telemetry:getSessionRecords":         {may: records, args: `{"sessionId":"%s"}`, shows: "speed_ms", perSession: true},
	"telemetry:getSessionRecordsBatch":    {may: records, args: `{"sessionId":"%s"}`, shows: "speed_ms", perSession: true},
	"telemetry:getSessionRecordsPage":     {may: records, args: `{"sessionId":"%s","paginationOpts":{"numItems":5,"cursor":null}}`, shows: "speed_ms", perSession: true},
	"telemetry:getSessionPreviewTail":     {may: records, args: `{"sessionId":"%s"}`, shows: "speed_ms", perSession: true},
	"telemetry:getRecentRecords":          {may: records, args: `{"sessionId":"%s"}`, shows: "speed_ms", perSession: true},
	"telemetry:getLatestRecord":           {may: records, args: `{"sessionId":"%s"}`, shows: "speed_ms", perSession: true},
	"telemetry:getRecordsAfterTimestamp":  {may: records, args: `{"sessionId":"%s","afterTimestamp":"2000-01-01T00:00:00Z"}`, shows: "speed_ms", perSession: true},
	"telemetry:getLatestSessionTimestamp": {may: progress, args: `{"sessionId":"%s"}`, shows: `"timestamp":"`, perSession: true},
	"telemetry:getSeries":                 {may: records, args: `{"sessionId":"%s","metrics":["speed_ms"]}`, shows: `"metrics"`, perSession: true},
	"telemetry:insertTelemetryBatch":      {may: machines, args: `{"records":[]}`},
	"telemetry:deleteSession":             {may: admins, args: `{"sessionId":"none"}`},

	"sessions:listSessions":            {may: listers, args: `{}`, shows: `"session_id":"live"`},
	"sessions:deleteSession":           {may: admins, args: `{"sessionId":"none"}`},
	"sessions:getLiveSessionState":     {may: everybody, args: `{}`},
	"sessions:reportLiveSessionState":  {may: machines, args: `{"status":"active","session_id":"live","started_at":"2026-03-21T12:00:00Z","record_count":1}`},
	"sessions:kickstartSessions":       {may: everybody, args: `{}`},
	"archives:getSessionArchiveStatus": {may: history, args: `{"sessionId":"%s"}`, shows: `"recordCount":[12]`, perSession: true},

	"archives:getSessionPreviewPlan":     {may: history, args: `{"sessionId":"%s"}`, shows: `"recordCount":[12]`, perSession: true},
	"archives:getSessionOverview":        {may: history, args: `{"sessionId":"%s"}`, shows: `"recordCount":[12]`, perSession: true},
	"archives:getSessionArchiveManifest": {may: history, args: `{"sessionId":"%s"}`, shows: `"complete":true`, perSession: true},

	"users:getCurrentProfile":  {may: accounts, args: `{}`, shows: `"approval_status"`},
	"users:getAllUsers":        {may: admins, args: `{}`},
	"users:getPendingUsers":    {may: admins, args: `{}`},
	"users:updateUserRole":     {may: admins, args: `{"targetUserId":"none","role":"guest"}`},
	"users:rejectUser":         {may: admins, args: `{"targetUserId":"none"}`},
	"users:banUser":            {may: admins, args: `{"targetUserId":"none"}`},
	"users:deleteUser":         {may: admins, args: `{"targetUserId":"none"}`},
	"users:requestRoleUpgrade": {may: accounts, args: `{"requestedRole":"internal"}`},

	"auth:signIn":        {may: everybody, args: `{}`},
	"auth:signUp":        {may: everybody, args: `{"email":"x","password":"x"}`},
	"auth:signOut":       {may: everybody, args: `{}`, anonymous: true},
	"auth:verifySession": {may: everybody, args: `{"token":"x"}`, anonymous: true},

	"config:getPublicConfig":                          {may: everybody, args: `{}`},
	"driverNotifications:getSessionNotifications":     {may: everybody, args: `{"sessionId":"live"}`},
	"driverNotifications:insertNotificationBatch":     {may: machines, args: `{"notifications":[]}`},
	"driverNotifications:insertNotification":          {may: machines, args: `{"session_id":"live","severity":"info","title":"t","message":"m","created_at":"2026-03-21T12:00:00Z"}`},
	"driverNotifications:cleanupSessionNotifications": {may: machines, args: `{"sessionId":"none"}`},

	"dashboardPreferences:getMine":         {may: accounts, args: `{}`},
	"dashboardPreferences:updateMine":      {may: accounts, args: `{}`},
	"dashboardViews:listMine":              {may: accounts, args: `{}`},
	"dashboardViews:create":                {may: accounts, args: `{"viewKey":"custom:x","name":"","kind":"custom"}`},
	"dashboardViews:rename":                {may: accounts, args: `{"viewId":"none","name":"x"}`},
	"dashboardViews:duplicate":             {may: accounts, args: `{"sourceViewId":"none","viewKey":"custom:x","name":"x"}`},
	"dashboardViews:remove":                {may: accounts, args: `{"viewId":"none"}`},
	"dashboardViews:setDefault":            {may: accounts, args: `{"viewKey":"none"}`},
	"dashboardViews:reorder":               {may: accounts, args: `{"viewIds":["none"]}`},
	"dashboardViews:resetSystemOverride":   {may: accounts, args: `{"systemViewId":"none"}`},
	"dashboardWidgets:listMine":            {may: accounts, args: `{"viewId":"none"}`},
	"dashboardWidgets:replaceViewLayout":   {may: accounts, args: `{"viewId":"none","expectedRevision":1,"widgets":[]}`},
	"dashboardWidgets:importLocalDraft":    {may: accounts, args: `{"viewId":"none","importVersion":1,"widgets":[]}`},
	"dashboardWidgets:upsert":              {may: accounts, args: `{"viewId":"none","widget":{"instanceId":"x","widgetType":"core-trend","column":0,"row":0,"width":1,"height":1,"pinned":false,"config":{}}}`},
	"dashboardWidgets:remove":              {may: accounts, args: `{"viewId":"none","instanceId":"x","expectedRevision":1}`},
	"dashboardAlerts:listAcknowledgements": {may: accounts, args: `{}`},
	"dashboardAlerts:setAcknowledged":      {may: accounts, args: `{"eventKey":"","acknowledged":true}`},
	"dashboardAlerts:clearAcknowledged":    {may: accounts, args: `{}`},

	"sessionAnalysis:get":     {may: everybody, args: `{"sessionId":"live"}`},
	"sessionAnalysis:ensure":  {may: everybody, args: `{"sessionId":"live"}`},
	"sessionChat:listThreads": {may: everybody, args: `{"sessionId":"live"}`},

	// Routes. Those about one session refuse with 401 or 403.
	"POST /api/v1/telemetry":                         {may: machines, args: `[]`},
	"GET /api/v1/import-profiles":                    {may: machines},
	"DELETE /api/v1/import-profiles/:name":           {may: machines},
	"GET /api/v1/sessions":                           {may: listers},
	"GET /api/v1/season":                             {may: listers},
	"GET /api/v1/sessions/:id/notes":                 {may: records, shows: `"notes"`, perSession: true},
	"POST /api/v1/sessions/:id/notes":                {may: team, args: `{"text":""}`},
	"PUT /api/v1/sessions/:id/notes/:note":           {may: team, args: `{"text":""}`},
	"DELETE /api/v1/sessions/:id/notes/:note":        {may: team},
	"GET /api/v1/sessions/:id":                       {may: records, perSession: true},
	"GET /api/v1/sessions/:id/records":               {may: records, perSession: true},
	"GET /api/v1/sessions/:id/latest":                {may: records, perSession: true},
	"GET /api/v1/sessions/:id/set-aside":             {may: records, perSession: true},
	"POST /api/v1/sessions/:id/repair":               {may: admins, args: `{"drop":true}`},
	"GET /api/v1/sessions/:id/series":                {may: records, perSession: true},
	"GET /api/v1/sessions/:id/summary":               {may: records, perSession: true},
	"GET /api/v1/sessions/:id/laps":                  {may: records, perSession: true},
	"GET /api/v1/sessions/:id/pace":                  {may: records, shows: `"so_far"`, perSession: true},
	"GET /api/v1/sessions/:id/brief":                 {may: records, shows: "<h1", perSession: true},
	"GET /api/v1/sessions/:id/track":                 {may: records, perSession: true},
	"GET /api/v1/sessions/:id/signals":               {may: records, query: "?x=speed_ms", perSession: true},
	"GET /api/v1/sessions/:id/energy":                {may: records, perSession: true},
	"GET /api/v1/sessions/:id/stays":                 {may: records, query: "?region=1,2,3,4", perSession: true},
	"GET /api/v1/tracks":                             {may: listers},
	"GET /api/v1/tracks/:id":                         {may: listers},
	"PATCH /api/v1/tracks/:id":                       {may: team, args: `{}`},
	"DELETE /api/v1/tracks/:id":                      {may: team},
	"POST /api/v1/tracks/:id/merge":                  {may: team, args: `{"track":2}`},
	"POST /api/v1/tracks/:id/split":                  {may: team, args: `{"track":2}`},
	"GET /api/v1/compare":                            {may: records, query: "?laps=%s:1", perSession: true},
	"GET /api/v1/live":                               {may: records, perSession: true, stream: true},
	"GET /api/v1/live/sessions":                      {may: everybody},
	"GET /api/v1/fields":                             {may: everybody},
	"GET /api/v1/channels":                           {may: everybody},
	"PUT /api/v1/channels/:name":                     {may: admins, args: `{}`},
	"DELETE /api/v1/channels/:name":                  {may: admins},
	"GET /api/v1/sessions/:id/channels":              {may: records, shows: "speed_ms", perSession: true},
	"GET /api/v1/docs":                               {may: everybody},
	"GET /api/v1/openapi.json":                       {may: everybody},
	"POST /api/v1/sessions/:id/merges":               {may: team, args: `[]`},
	"GET /api/v1/sessions/:id/merges":                {may: history, shows: `"merges"`, perSession: true},
	"DELETE /api/v1/sessions/:id/merges/:batch":      {may: team},
	"GET /api/v1/sessions/:id/origins":               {may: records, shows: `"step_s"`, perSession: true},
	"PATCH /api/v1/sessions/:id":                     {may: team, args: `{"session_name":""}`},
	"DELETE /api/v1/sessions/:id":                    {may: admins},
	"GET /api/v1/archives/:name":                     {may: everybody}, // the name carries the authority
	"POST /api/v1/auth/signup":                       {may: everybody, args: `{}`},
	"POST /api/v1/auth/signin":                       {may: everybody, args: `{}`},
	"POST /api/v1/auth/signout":                      {may: everybody, anonymous: true},
	"GET /api/v1/auth/session":                       {may: accounts},
	"POST /api/v1/auth/password":                     {may: accounts, args: `{}`},
	"GET /api/v1/auth/sessions":                      {may: accounts},
	"GET /api/v1/auth/preferences":                   {may: accounts},
	"PUT /api/v1/auth/preferences":                   {may: accounts, args: `{"units":"metric"}`},
	"GET /api/v1/auth/layouts":                       {may: known},
	"PUT /api/v1/auth/layouts/:name":                 {may: known, args: `{}`},
	"DELETE /api/v1/auth/layouts/:name":              {may: known},
	"GET /api/v1/units":                              {may: everybody},
	"POST /api/v1/auth/sessions/end":                 {may: accounts, args: `{}`},
	"GET /api/v1/auth/second-factor":                 {may: accounts},
	"POST /api/v1/auth/second-factor":                {may: accounts, args: `{}`},
	"POST /api/v1/auth/second-factor/confirm":        {may: accounts, args: `{}`},
	"POST /api/v1/auth/second-factor/recovery-codes": {may: accounts, args: `{}`},
	"POST /api/v1/auth/second-factor/off":            {may: accounts, args: `{}`},
	"GET /api/v1/auth/app-passwords":                 {may: accounts},
	"POST /api/v1/auth/app-passwords":                {may: accounts, args: `{}`},
	"DELETE /api/v1/auth/app-passwords/:id":          {may: accounts},
	"GET /api/v1/auth/notices":                       {may: accounts},
	"POST /api/v1/auth/notices/dismiss":              {may: accounts, args: `{"through":0}`},
	"POST /api/v1/users/:id/unban":                   {may: admins},
	"DELETE /api/v1/users/:id/second-factor":         {may: admins},
	"POST /api/v1/auth/upgrade":                      {may: accounts},
	"GET /api/v1/users":                              {may: admins},
	"POST /api/v1/users":                             {may: admins, args: `{}`},
	"GET /api/v1/users/:id":                          {may: admins},
	"PATCH /api/v1/users/:id":                        {may: admins, args: `{"role":"guest"}`},
	"DELETE /api/v1/users/:id":                       {may: admins},
	"GET /api/v1/users/:id/sessions":                 {may: admins},
	"DELETE /api/v1/users/:id/sessions":              {may: admins},
	"POST /api/v1/users/:id/reject":                  {may: admins},
	"POST /api/v1/users/:id/ban":                     {may: admins},
	"POST /api/v1/users/:id/password":                {may: admins, args: `{}`},
	"GET /api/v1/keys":                               {may: admins},
	"POST /api/v1/keys":                              {may: admins, args: `{}`},
	"POST /api/v1/keys/:id/rotate":                   {may: admins, args: `{}`},
	"DELETE /api/v1/keys/:id":                        {may: admins},
	"GET /api/v1/audit":                              {may: admins},
	"GET /health":                                    {may: everybody},
	"OPTIONS /health":                                {may: everybody},
	"GET /ably/token":                                {may: everybody},
	"OPTIONS /ably/token":                            {may: everybody},
	"GET /ably/esp32-token":                          {may: everybody},
	"OPTIONS /ably/esp32-token":                      {may: everybody},
	"GET /api/ably/token":                            {may: everybody},
	"OPTIONS /api/ably/token":                        {may: everybody},
	"GET /api/config":                                {may: everybody},
	"GET /docs":                                      {may: everybody},
	"GET /api":                                       {may: everybody},
	"GET /api/":                                      {may: everybody},
	"GET /api/v1":                                    {may: everybody},
	"GET /api/v1/":                                   {may: everybody},
	"GET /livez":                                     {may: everybody},
	"GET /readyz":                                    {may: everybody},
	"GET /metrics":                                   {may: everybody}, // see SECURITY.md: for the proxy to keep inside
}

// allFunctions lists the functions, without services behind them.
func allFunctions(t *testing.T) *registry.Registry {
	t.Helper()
	r := registry.New(nil)
	if err := functions.Register(r, functions.Deps{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// routes lists the routes, the optional ones too.
func routes() []string {
	return api.RouteNames(api.Deps{Metrics: http.NotFoundHandler()})
}

// Whoever adds a function or a route must say here who may use it.
func TestAccessTableIsWhole(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, f := range allFunctions(t).All() {
		there[f.Name] = true
	}
	for _, name := range routes() {
		there[name] = true
	}
	for name := range there {
		if _, ok := access[name]; !ok {
			t.Errorf("%s is not in the access table", name)
		}
	}
	for name := range access {
		if !there[name] {
			t.Errorf("%s is in the access table but does not exist", name)
		}
	}
}

// server is a running daemon with an account of each role and the sessions.
type server struct {
	url   string
	token map[string]string // by caller
	key   map[string]string
}

func openServer(t *testing.T) server {
	t.Helper()
	ctx := t.Context()
	d := daemontest.Start(t, daemon.Config{
		DeployKey: "prod:admin|key", AblyKey: "app.key:secret", AblyVehicleKey: "app.key:secret", HashMemory: 64, HashIterations: 1,
	})
	h := server{url: d.URL(), token: map[string]string{}, key: map[string]string{"admin key": "prod:admin|key"}}
	operator := auth.Operator("test")
	for _, role := range auth.Roles() {
		email := string(role) + "@roles.example"
		if _, err := d.Auth.CreateAccount(ctx, operator, auth.NewAccount{Email: email, Password: password, Role: role}); err != nil {
			t.Fatal(err)
		}
		got, err := d.Auth.SignIn(ctx, auth.SignIn{Email: email, Password: password})
		if err != nil || got.Err != "" {
			t.Fatalf("sign in as %s: %+v, %v", role, got, err)
		}
		h.token[string(role)] = got.Token
	}
	var err error
	if h.key["ingest key"], _, err = d.Auth.CreateKey(ctx, operator, auth.NewKey{Name: "bridge"}); err != nil {
		t.Fatal(err)
	}

	const day = 24 * time.Hour
	b := decode.NewBatch()
	defer b.Release()
	var rows []string
	for id, ages := range map[string][]time.Duration{"live": {0}, "recent": {3 * day}, "old": {8 * day}, "long": {8 * day, 0}} {
		for _, age := range ages {
			rows = append(rows, fmt.Sprintf(`{"session_id":%q,"timestamp":%q,"speed_ms":1.5}`, id, time.Now().Add(-age).UTC().Format(time.RFC3339Nano)))
		}
	}
	if err := decode.Records([]byte("["+strings.Join(rows, ",")+"]"), b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Store.Writer.Ingest(ctx, b, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	return h
}

// send makes a request and returns its status and body.
func (h server) send(t *testing.T, method, path, authorization, body string) (int, string) {
	t.Helper()
	var headers []string
	if authorization != "" {
		headers = []string{"Authorization", authorization}
	}
	status, _, text := request.Send(t, method, h.url+path, body, headers...)
	return status, text
}

// callFunction reports whether the function was let through.
func (h server) callFunction(t *testing.T, f *registry.Function, r rule, caller, session string) (bool, string) {
	t.Helper()
	args := r.args
	if r.perSession {
		args = fmt.Sprintf(r.args, session)
	}
	authorization := ""
	if !r.anonymous {
		if token := h.token[caller]; token != "" && f.Args.Has("token") {
			args = strings.Replace(args, "{", fmt.Sprintf(`{"token":%q,`, token), 1)
			args = strings.Replace(args, ",}", "}", 1)
		}
		if key := h.key[caller]; key != "" {
			authorization = "Convex " + key
		}
	}
	kind := map[registry.Kind]string{registry.Query: "query", registry.Mutation: "mutation", registry.Action: "action"}[f.Kind]
	status, text := h.send(t, "POST", "/api/"+kind, authorization, fmt.Sprintf(`{"path":%q,"args":%s,"format":"json"}`, f.Name, args))
	var reply struct {
		Status string
		Value  json.RawMessage
		Error  struct{ Code string } `json:"errorData"`
		Text   string                `json:"errorMessage"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatalf("%s: %v in %s", f.Name, err, text)
	}
	if strings.Contains(reply.Text, "ArgumentValidationError") || strings.Contains(reply.Text, "Server Error") {
		t.Errorf("%s: the table's arguments are wrong: %s", f.Name, text)
	}
	switch reply.Error.Code {
	case "UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN":
		// The bridge takes what comes with 200 for a success.
		if f.Kind != registry.Query && status == http.StatusOK {
			t.Errorf("%s refuses with status 200: %s", f.Name, text)
		}
		return false, text
	}
	if r.shows == "" {
		return true, text
	}
	return regexp.MustCompile(r.shows).Match(reply.Value), text
}

// callRoute reports whether the route was let through.
func (h server) callRoute(t *testing.T, name string, r rule, caller, session string) (bool, string) {
	t.Helper()
	method, path, _ := strings.Cut(name, " ")
	if session == "" {
		session = "none"
	}
	path = strings.NewReplacer(":id", session, ":name", "none").Replace(path) + strings.ReplaceAll(r.query, "%s", session)
	authorization := ""
	switch {
	case r.anonymous:
	case h.token[caller] != "":
		authorization = "Bearer " + h.token[caller]
	case h.key[caller] != "":
		authorization = "Bearer " + h.key[caller]
	}
	if r.stream {
		return h.watch(t, path+"?session="+session, authorization)
	}
	status, text := h.send(t, method, path, authorization, r.args)
	return status != http.StatusUnauthorized && status != http.StatusForbidden, fmt.Sprint(status, " ", text)
}

// watch reports whether the stream lets the session be watched.
func (h server) watch(t *testing.T, path, authorization string) (bool, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	for lines := bufio.NewScanner(got.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var m protocol.ServerMessage
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		switch m.Type {
		case "subscribed":
			return true, data
		case "error":
			return false, data
		}
	}
	t.Errorf("%s: status %d, and the stream says nothing of the session", path, got.StatusCode)
	return false, ""
}

// The table, line by line, for every caller: what it allows happens, and what
// it does not is refused.
func TestAccess(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	all := allFunctions(t)
	for name, r := range access {
		sessions := []string{""}
		if r.perSession {
			sessions = kinds
		}
		f := all.Lookup(name)
		if f == nil && !strings.Contains(name, " /") {
			continue // TestAccessTableIsWhole tells
		}
		for _, caller := range callers {
			for _, session := range sessions {
				want := r.may(caller, session)
				var got bool
				var answer string
				if f != nil {
					got, answer = h.callFunction(t, f, r, caller, session)
					if session == "none" && r.shows != "" {
						want = false // nothing is there to show, whoever asks
					}
				} else {
					got, answer = h.callRoute(t, name, r, caller, session)
				}
				if got != want {
					t.Errorf("%s, %s, session %q: let through = %v, want %v; the answer was %.300s", name, caller, session, got, want, answer)
				}
			}
		}
	}
}

// A key that is revoked ends what is being watched by it.
func TestRevokedKeyEndsWatching(t *testing.T) {
	t.Parallel()
	h := openServer(t)
	made := struct{ Key, ID string }{}
	status, text := h.send(t, "POST", "/api/v1/keys", "Bearer "+h.token["admin"], `{"name":"wall","scope":"admin"}`)
	if err := json.Unmarshal([]byte(text), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("making a key: %d %s", status, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", h.url+"/api/v1/live?session=old", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Convex "+made.Key)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var seen []string
	for lines := bufio.NewScanner(got.Body); lines.Scan(); {
		event, ok := strings.CutPrefix(lines.Text(), "event:")
		if !ok {
			continue
		}
		event = strings.TrimSpace(event)
		seen = append(seen, event)
		if event == "subscribed" {
			if status, text := h.send(t, "DELETE", "/api/v1/keys/"+made.ID, "Bearer "+h.token["admin"], ""); status != http.StatusNoContent {
				t.Fatalf("revoking: %d %s", status, text)
			}
		}
		if event == "revoked" {
			return
		}
	}
	t.Errorf("the stream went on after the key was revoked: %v", seen)
}
