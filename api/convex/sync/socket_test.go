package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/api/convex/convextest"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

// client speaks the protocol by hand, and checks what holds for every message:
// versions form a chain and never decrease.
type client struct {
	t       *testing.T
	conn    *websocket.Conn
	version json.RawMessage
	ts      int64
}

// message is any message of the server.
type message struct {
	Type          string
	StartVersion  json.RawMessage
	EndVersion    json.RawMessage
	Modifications []struct {
		Type         string
		QueryID      int
		Value        json.RawMessage
		ErrorMessage string
		ErrorData    json.RawMessage
		LogLines     []string
	}
	RequestID           int
	Success             bool
	Result              json.RawMessage
	ErrorData           json.RawMessage
	Ts                  string
	LogLines            []string
	Error               string
	BaseVersion         int
	AuthUpdateAttempted bool
	Chunk               string
	PartNumber          int
	TotalParts          int
	raw                 string
}

func dial(t *testing.T, url, path string, header http.Header) (*client, *http.Response, error) {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(url, "http", "ws", 1)+path, header)
	if err != nil {
		return nil, response, err
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn, version: json.RawMessage(`{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="}`)}, response, nil
}

// connect opens a socket and introduces it.
func (b *server) connect(t *testing.T, session string) *client {
	t.Helper()
	c, _, err := dial(t, b.url, "/api/1.48.0/sync", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.send(`{"type":"Connect","sessionId":%q,"connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":1}`, session)
	return c
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next message that is no Ping.
func (c *client) next() message {
	c.t.Helper()
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(await.Patience))
		kind, b, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if kind != websocket.TextMessage {
			c.t.Fatalf("message of type %d", kind)
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%s: %v", b, err)
		}
		m.raw = string(b)
		switch m.Type {
		case "Ping":
			continue
		case "Transition":
			if string(m.StartVersion) != string(c.version) {
				c.t.Fatalf("a transition starts from %s after one that ended with %s", m.StartVersion, c.version)
			}
			c.version = m.EndVersion
			var end struct{ Ts string }
			if err := json.Unmarshal(m.EndVersion, &end); err != nil {
				c.t.Fatal(err)
			}
			ts, err := parseTs(end.Ts)
			if err != nil || ts < c.ts {
				c.t.Fatalf("timestamp %s (%v) is earlier than the last", end.Ts, err)
			}
			c.ts = ts
		}
		return m
	}
}

// want returns the next message and insists on its type and a part of its text.
func (c *client) want(kind, part string) message {
	c.t.Helper()
	m := c.next()
	if m.Type != kind || !strings.Contains(m.raw, part) {
		c.t.Fatalf("got %s, want a %s with %s", m.raw, kind, part)
	}
	return m
}

// closed waits for the server's close frame.
func (c *client) closed() *websocket.CloseError {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(await.Patience))
	for {
		_, b, err := c.conn.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return closed
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Logf("before the close: %s", b)
	}
}

func TestSyncSubscribeAndMutate(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
	c.want("Transition", `{"type":"QueryUpdated","queryId":0,"value":[],"logLines":[],"journal":null}`)

	c.send(`{"type":"Mutation","requestId":0,"udfPath":"notes.js:add","args":[{"text":"a"}]}`)
	m := c.want("MutationResponse", `"success":true,"result":{"added":"a"},"logLines":[]`)
	answered, err := parseTs(m.Ts)
	if err != nil || answered <= c.ts {
		t.Errorf("the answer's timestamp %s (%v) is not after the last transition's", m.Ts, err)
	}
	c.want("Transition", `"value":["a"]`)
	if c.ts < answered {
		t.Errorf("the transition ends at %d, before the mutation's %d", c.ts, answered)
	}

	// What others write arrives by itself.
	if err := b.Add(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	c.want("Transition", `"value":["a","b"]`)

	// A mutation that changes nothing is followed by a transition all the same.
	c.send(`{"type":"Mutation","requestId":1,"udfPath":"test:echoMutation","args":[{"value":{"$integer":"KgAAAAAAAAA="}}]}`)
	m = c.want("MutationResponse", `"result":{"$integer":"KgAAAAAAAAA="}`)
	c.want("Transition", `"modifications":[]`)
	if ts, _ := parseTs(m.Ts); c.ts < ts {
		t.Error("the empty transition does not cover the mutation")
	}

	// One that fails is rolled back and needs no transition.
	c.send(`{"type":"Mutation","requestId":2,"udfPath":"notes:refuse","args":[{"text":"never"}]}`)
	m = c.want("MutationResponse", `"requestId":2,"success":false,"result":"not that one","logLines":[]`)
	if m.Ts != "" {
		t.Error("a failure has a timestamp")
	}
	c.send(`{"type":"Mutation","requestId":3,"udfPath":"test:coded","args":[{}]}`)
	c.want("MutationResponse", `"errorData":{"code":"VIEW_CONFLICT","message":"The view has changed.","revision":{"$integer":"BwAAAAAAAAA="}}`)
	c.send(`{"type":"Action","requestId":4,"udfPath":"test:echoAction","args":[{"value":1}]}`)
	c.want("ActionResponse", `{"type":"ActionResponse","requestId":4,"success":true,"result":1,"logLines":[]}`)
	c.send(`{"type":"Action","requestId":5,"udfPath":"test:panics","args":[{}]}`)
	c.want("ActionResponse", `Server Error`)
	c.send(`{"type":"Mutation","requestId":6,"udfPath":"no:such","args":[{}]}`)
	c.want("MutationResponse", `Could not find public function for 'no:such'`)

	c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Remove","queryId":0}]}`)
	c.want("Transition", `"modifications":[{"type":"QueryRemoved","queryId":0}]`)
	if got := b.server.Stats().Queries; got != 0 {
		t.Errorf("%d queries still run", got)
	}
}

func TestSyncQueriesFailByThemselves(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":3,"modifications":[
		{"type":"Add","queryId":0,"udfPath":"notes:list","args":[]},
		{"type":"Add","queryId":1,"udfPath":"no:such","args":[{}]},
		{"type":"Add","queryId":2,"udfPath":"a b","args":[{}]},
		{"type":"Add","queryId":3,"udfPath":"test:codedQuery","args":[{}]},
		{"type":"Add","queryId":4,"udfPath":"test:echo","args":[{"other":1}]},
		{"type":"Add","queryId":5,"udfPath":"test:echoMutation","args":[{}]},
		{"type":"Add","queryId":6,"udfPath":"test:echo","args":[{}],"componentPath":"x"}]}`)
	m := c.want("Transition", `"querySet":3`)
	want := map[int]string{
		1: "Could not find", 2: "module part", 3: `"code":"NOT_FOUND"`, 4: "ArgumentValidationError", 5: "defined as Mutation", 6: "Could not find",
	}
	if len(m.Modifications) != 7 {
		t.Fatalf("%d of 7 queries were answered: %s", len(m.Modifications), m.raw)
	}
	for _, mod := range m.Modifications {
		failed := mod.Type == "QueryFailed"
		if failed != (want[mod.QueryID] != "") || mod.LogLines == nil || !strings.Contains(mod.ErrorMessage, want[mod.QueryID]) {
			t.Errorf("query %d: %+v", mod.QueryID, mod)
		}
	}

	// A query fails, changes nothing, recovers.
	b.FailWith(fault.New(fault.Conflict, "closed today"))
	if err := b.Add(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	c.want("Transition", `[{"type":"QueryFailed","queryId":0,"errorMessage":"closed today","logLines":[],"journal":null}]`)
	b.FailWith(nil)
	if err := b.Add(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	c.want("Transition", `"value":["a","b"]`)
}

func TestSyncOneRunServesAllSockets(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	const sockets = 20
	clients := make([]*client, sockets)
	for i := range clients {
		clients[i] = b.connect(t, fmt.Sprint("s", i))
		clients[i].send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":%d,"udfPath":"notes:list","args":[{}]}]}`, i)
		clients[i].want("Transition", `"value":[]`)
	}
	if got := b.server.Stats(); got.Queries != 1 || got.Sockets != sockets {
		t.Errorf("%+v, want one query and %d sockets", got, sockets)
	}
	before := b.Runs.Load()
	if err := b.Add(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		c.want("Transition", fmt.Sprintf(`"queryId":%d,"value":["a"]`, i))
	}
	if got := b.Runs.Load() - before; got > 3 {
		t.Errorf("the query ran %d times for one change", got)
	}
}

func TestSyncMutationsRunOnce(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	first := b.connect(t, "s1")
	const add = `{"type":"Mutation","requestId":7,"udfPath":"notes:add","args":[{"text":"a"}]}`
	first.send(add)
	answer := first.want("MutationResponse", `"success":true`)
	first.want("Transition", "")

	again := b.connect(t, "s1")
	again.send(add)
	repeat := again.want("MutationResponse", `"success":true,"result":{"added":"a"}`)
	if repeat.Ts != answer.Ts {
		t.Errorf("repeated with timestamp %s, first with %s", repeat.Ts, answer.Ts)
	}
	again.want("Transition", "")
	// Another caller, or another call, gets neither the answer nor a run.
	again.send(`{"type":"Mutation","requestId":7,"udfPath":"notes:add","args":[{"text":"b"}]}`)
	again.want("MutationResponse", `"success":false`)
	again.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":%q}`, convextest.Key)
	again.want("Transition", `"identity":1`)
	again.send(add)
	again.want("MutationResponse", `"success":false`)
	// Another session is another request.
	other := b.connect(t, "s2")
	other.send(add)
	other.want("MutationResponse", `"success":true`)
	if got, err := b.List(t.Context()); err != nil || fmt.Sprint(got) != "[a a]" {
		t.Errorf("notes are %v, %v", got, err)
	}
}

func TestSyncMutationSurvivesItsSocket(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	first := b.connect(t, "s1")
	first.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
	first.want("Transition", `"value":[]`)
	const hold = `{"type":"Mutation","requestId":0,"udfPath":"notes:hold","args":[{"text":"a"}]}`
	first.send(hold)
	<-b.Waiting // committed
	first.conn.Close()

	second := b.connect(t, "s1")
	second.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
	second.send(hold)
	second.want("Transition", `"value":["a"]`)
	b.Resume <- struct{}{}
	second.want("MutationResponse", `"success":true,"result":"held"`)
	second.want("Transition", `"modifications":[]`)
	if got := b.Adds.Load(); got != 1 {
		t.Errorf("the mutation ran %d times", got)
	}
}

func TestSyncTwoServersRaceOnOneRequest(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	other := newServer(t) // on the same database
	const hold = `{"type":"Mutation","requestId":0,"udfPath":"notes:hold","args":[{"text":"a"}]}`
	here, there := b.connect(t, "s1"), other.connect(t, "s1")
	here.send(hold)
	<-b.Waiting // committed, but its answer is not recorded yet
	there.send(hold)
	b.Resume <- struct{}{}
	here.want("MutationResponse", `"result":"held"`)
	there.want("MutationResponse", `"result":"held"`)
	there.want("Transition", "")
	if got := b.Adds.Load() + other.Adds.Load(); got != 1 {
		t.Errorf("the mutation ran %d times", got)
	}
	if got, err := b.List(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("notes are %v, %v", got, err)
	}
}

func TestSyncEffectsFollowTheAnswer(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c, watcher := b.connect(t, "s1"), b.connect(t, "s2")
	for _, client := range []*client{c, watcher} {
		client.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
		client.want("Transition", `"value":[]`)
	}
	c.send(`{"type":"Mutation","requestId":0,"udfPath":"notes:hold","args":[{"text":"a"}]}`)
	<-b.Waiting
	watcher.want("Transition", `"value":["a"]`) // others see it at once
	b.Resume <- struct{}{}
	c.want("MutationResponse", `"held"`) // its own client first gets the answer
	c.want("Transition", `"value":["a"]`)
}

func TestSyncMutationsOfASocketRunInOrder(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	const count = 50
	var want []string
	for i := range count {
		c.send(`{"type":"Mutation","requestId":%d,"udfPath":"notes:add","args":[{"text":"%d"}]}`, i, i)
		want = append(want, fmt.Sprint(i))
	}
	for answered := 0; answered < count; {
		if m := c.next(); m.Type == "MutationResponse" {
			if m.RequestID != answered || !m.Success {
				t.Fatalf("got %s, want the answer of %d", m.raw, answered)
			}
			answered++
		}
	}
	if got, err := b.List(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("notes are %v, %v", got, err)
	}
}

func TestSyncActionsRunSideBySide(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"Action","requestId":0,"udfPath":"notes:wait","args":[{}]}`)
	c.send(`{"type":"Action","requestId":1,"udfPath":"test:echoAction","args":[{"value":1}]}`)
	c.send(`{"type":"Mutation","requestId":2,"udfPath":"notes:add","args":[{"text":"a"}]}`)
	got := map[int]bool{}
	for range 2 {
		m := c.next()
		for m.Type == "Transition" {
			m = c.next()
		}
		got[m.RequestID] = true
	}
	if !got[1] || !got[2] {
		t.Errorf("answered first: %v", got)
	}
	b.Resume <- struct{}{}
	for m := c.next(); m.Type != "ActionResponse"; m = c.next() {
	}
}

func TestSyncIdentity(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"a.b.c"}`)
	c.want("Transition", `"identity":1`)
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:who","args":[{}]}]}`)
	c.want("Transition", `"value":{"role":"guest"}`)
	c.send(`{"type":"Authenticate","baseVersion":1,"tokenType":"Admin","value":%q}`, convextest.Key)
	c.send(`{"type":"Mutation","requestId":0,"udfPath":"test:secret","args":[{}]}`)
	// The mutation does not wait for the query, but runs as the key's holder.
	for shown, answered := false, false; !shown || !answered; {
		m := c.next()
		shown = shown || strings.Contains(m.raw, `"key":"bridge"`)
		answered = answered || m.Type == "MutationResponse" && m.Success
	}
	c.send(`{"type":"Authenticate","baseVersion":2,"tokenType":"None"}`)
	for m := c.next(); !strings.Contains(m.raw, `"value":{"role":"guest"}`); m = c.next() {
	}
	c.send(`{"type":"Mutation","requestId":1,"udfPath":"test:secret","args":[{}]}`)
	c.want("MutationResponse", `"code":"UNAUTHENTICATED"`)

	c.send(`{"type":"Authenticate","baseVersion":3,"tokenType":"Admin","value":"wrong"}`)
	m := c.want("AuthError", `"authUpdateAttempted":true`)
	if m.BaseVersion != 3 {
		t.Errorf("the refusal names version %d, want the one before, 3", m.BaseVersion)
	}
	// The client closes, and waits for the server to close too.
	frame := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := c.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if closed := c.closed(); closed.Code != websocket.CloseNormalClosure {
		t.Errorf("closed with %v", closed)
	}
}

func TestSyncRevokedKey(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	operator := auth.Operator("test")
	secret, key, err := b.Auth.CreateKey(t.Context(), operator, auth.NewKey{Name: "short-lived", Scope: auth.ScopeAdmin})
	if err != nil {
		t.Fatal(err)
	}
	c := b.connect(t, "s1")
	c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":%q}`, secret)
	c.want("Transition", `"identity":1`)
	watcher := b.connect(t, "s2")
	watcher.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":%q}`, secret)
	watcher.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:who","args":[{}]}]}`)
	for m := watcher.next(); !strings.Contains(m.raw, "short-lived"); m = watcher.next() {
	}
	if err := b.Auth.RevokeKey(t.Context(), operator, key.ID); err != nil {
		t.Fatal(err)
	}
	watcher.want("AuthError", `"authUpdateAttempted":false`) // by itself
	c.send(`{"type":"Action","requestId":0,"udfPath":"test:echoAction","args":[{}]}`)
	m := c.want("AuthError", `"authUpdateAttempted":false`)
	if m.BaseVersion != 1 {
		t.Errorf("base version %d, want 1", m.BaseVersion)
	}
}

func TestSyncAccountChangesArePushed(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	user, token := b.SignUp(t, "driver@example.org")
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:who","args":[{"token":%q}]}]}`, token)
	c.want("Transition", `"user":"`+user+`"`)
	if err := b.Auth.SetRole(t.Context(), auth.Operator("test"), user, auth.Internal); err != nil {
		t.Fatal(err)
	}
	c.want("Transition", `"role":"internal"`)
	if err := b.Auth.SignOut(t.Context(), token, ""); err != nil {
		t.Fatal(err)
	}
	c.want("Transition", `"value":{"role":"guest"}`)
}

func TestSyncResultsEndByTime(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	b.Until = time.Now().Add(500 * time.Millisecond)
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:until","args":[{}]}]}`)
	c.want("Transition", `"value":true`)
	c.want("Transition", `"value":false`)
	if early := time.Until(b.Until); early > 0 {
		t.Errorf("pushed %v before its time", early)
	}
}

func TestSyncViolations(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	const add = `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:echo","args":[{}]}]}`
	for name, messages := range map[string][]string{
		"no JSON":          {`{`},
		"no object":        {`[]`},
		"unknown type":     {`{"type":"Hello"}`},
		"twice Connect":    {`{"type":"Connect","sessionId":"s"}`},
		"query version":    {`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[]}`},
		"no new version":   {`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":0,"modifications":[]}`},
		"identity version": {`{"type":"Authenticate","baseVersion":1,"tokenType":"None"}`},
		"token type":       {`{"type":"Authenticate","baseVersion":0,"tokenType":"Magic"}`},
		"duplicate query":  {add, strings.NewReplacer(`"baseVersion":0`, `"baseVersion":1`, `"newVersion":1`, `"newVersion":2`).Replace(add)},
		"unknown query":    {`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Remove","queryId":3}]}`},
		"modification":     {`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Edit","queryId":3}]}`},
		"negative":         {`{"type":"Mutation","requestId":-1,"udfPath":"x:y","args":[]}`},
		"nesting":          {`{"type":"Event","event":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := b.connect(t, "s-"+name)
			for _, m := range messages {
				c.send("%s", m)
			}
			m := c.next()
			for m.Type == "Transition" {
				m = c.next()
			}
			if m.Type != "FatalError" || m.Error == "" {
				t.Fatalf("got %s", m.raw)
			}
			c.closed()
		})
	}
	t.Run("not Connect first", func(t *testing.T) {
		t.Parallel()
		c, _, err := dial(t, b.url, "/api/sync", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"type":"Event","eventType":"x","event":null}`)
		c.want("FatalError", "Connect")
	})
	t.Run("binary", func(t *testing.T) {
		t.Parallel()
		c := b.connect(t, "s-binary")
		if err := c.conn.WriteMessage(websocket.BinaryMessage, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		c.want("FatalError", "binary")
	})
	t.Run("events are ignored", func(t *testing.T) {
		t.Parallel()
		c := b.connect(t, "s-event")
		c.send(`{"type":"Event","eventType":"NetworkRecoveryReconnect","event":{"x":[1]},"more":true}`)
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
		c.want("Transition", `"querySet":1`)
	})
}

func TestSyncTimestampAhead(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	connect := func(session string, ahead time.Duration) *client {
		c, _, err := dial(t, b.url, "/api/1.17.4/sync", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := appendTs(nil, b.server.clock.now()+int64(ahead))
		c.send(`{"type":"Connect","sessionId":%q,"connectionCount":1,"lastCloseReason":null,"maxObservedTimestamp":%q}`, session, seen)
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
		return c
	}
	near := connect("near", 200*time.Millisecond)
	near.want("Transition", `"querySet":1`)
	far := connect("far", time.Hour)
	if closed := far.closed(); closed.Code != websocket.CloseInternalServerErr || closed.Text != "InternalServerError" {
		t.Errorf("closed with %v", closed)
	}
}

func TestSyncLargeTransitionsComeInChunks(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	const size = 12_000_000
	subscribe := fmt.Sprintf(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:large","args":[{"bytes":%d}]}]}`, size)
	c := b.connect(t, "new")
	c.send("%s", subscribe)
	var text strings.Builder
	for part, total := 0, 1; part < total; part++ {
		m := c.want("TransitionChunk", "")
		if m.PartNumber != part || m.TotalParts < 3 || m.TotalParts != total && part > 0 {
			t.Fatalf("part %d of %d after %d of %d", m.PartNumber, m.TotalParts, part, total)
		}
		total = m.TotalParts
		text.WriteString(m.Chunk)
	}
	var whole message
	if err := json.Unmarshal([]byte(text.String()), &whole); err != nil {
		t.Fatal(err)
	}
	if want := `"` + strings.Repeat("é", size/2) + `"`; whole.Type != "Transition" || string(whole.Modifications[0].Value) != want {
		t.Error("the parts do not make up the transition")
	}

	old, _, err := dial(t, b.url, "/api/1.27.9/sync", nil)
	if err != nil {
		t.Fatal(err)
	}
	old.send(`{"type":"Connect","sessionId":"old","connectionCount":0,"lastCloseReason":null}`)
	old.send("%s", subscribe)
	old.want("Transition", `"querySet":1`)
}

// What many queries of a socket share is in memory once, however large the
// transition is that has it for each: this one has 4 GB.
func TestChunksAreMadeOneByOne(t *testing.T) {
	t.Parallel()
	shared := []byte(strings.Repeat("é", 1<<20))
	var m outgoing
	for range 2048 {
		m.add([]byte("<"))
		m.add(shared)
	}
	text, parts := "", 0
	for part := range chunks(m, "id", 1_000_001) {
		var got message
		if err := json.Unmarshal(part.pieces[0], &got); err != nil || got.TotalParts <= m.size/1_000_001 || got.PartNumber != parts {
			t.Fatalf("part %d of %d, %v", got.PartNumber, got.TotalParts, err)
		}
		text += got.Chunk
		if parts++; parts == 5 {
			break
		}
	}
	if want := "<" + string(shared) + "<" + string(shared) + "<"; len(text) < len(want) || !strings.HasPrefix(text, want) {
		t.Errorf("%d bytes of the first parts are not those of the transition", len(text))
	}
}

func TestUnderstandsChunks(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"1.48.0": true, "1.28.0": true, "1.28.0-alpha.1": true, "2.0.0": true, "1.27.9": false, "1.17.4": false, "0.99.0": false,
		"": false, "1.28": false, "x.y.z": false, "1.-28.0": false,
	} {
		if got := understandsChunks(version); got != want {
			t.Errorf("%q: %t", version, got)
		}
	}
}

func TestSyncPing(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.PingEvery = 50 * time.Millisecond })
	c := b.connect(t, "s1")
	pings := make(chan struct{}, 100)
	c.conn.SetPingHandler(func(string) error { pings <- struct{}{}; return nil })
	for range 3 {
		_ = c.conn.SetReadDeadline(time.Now().Add(await.Patience))
		_, text, err := c.conn.ReadMessage()
		if err != nil || string(text) != `{"type":"Ping"}` {
			t.Fatalf("%s, %v", text, err)
		}
	}
	if len(pings) == 0 {
		t.Error("no ping frames came")
	}
}

func TestSyncSlowClient(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	// Answers that nobody reads add up; transitions do not.
	const each = 1 << 20
	args, err := json.Marshal(map[string]string{"value": strings.Repeat("x", each)})
	if err != nil {
		t.Fatal(err)
	}
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
	c.want("Transition", "")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range 100 {
			frame := fmt.Appendf(nil, `{"type":"Action","requestId":%d,"udfPath":"test:echoAction","args":[%s]}`, i, args)
			if err := c.conn.WriteMessage(websocket.TextMessage, frame); err != nil {
				return // the server has given up
			}
		}
	}()
	defer func() { c.conn.Close(); <-sent }()
	await.Until(t, "the server gives the client up", func() bool {
		b.server.socketsMu.Lock()
		defer b.server.socketsMu.Unlock()
		for k := range b.server.open {
			k.session.out.mu.Lock()
			closed, held := k.session.out.closed, k.session.out.queue.Bytes()
			k.session.out.mu.Unlock()
			if held > 2*maxOutbox {
				t.Fatalf("%d bytes are held for it", held)
			}
			return closed
		}
		return true
	})
}

func TestSyncShutdown(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c, idle := b.connect(t, "s1"), b.connect(t, "s2")
	idle.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
	idle.want("Transition", "")
	c.send(`{"type":"Mutation","requestId":0,"udfPath":"notes:hold","args":[{"text":"a"}]}`)
	<-b.Waiting
	done := make(chan error, 1)
	go func() { done <- b.server.Shutdown(t.Context()) }()
	if closed := idle.closed(); closed.Code != websocket.CloseGoingAway {
		t.Errorf("the idle socket was closed with %v", closed)
	}
	if _, response, err := dial(t, b.url, "/api/1.48.0/sync", nil); err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new socket: %v, %v", response, err)
	}
	b.Resume <- struct{}{}
	c.want("MutationResponse", `"held"`) // what runs is answered first
	if closed := c.closed(); closed.Code != websocket.CloseGoingAway {
		t.Errorf("closed with %v", closed)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestSyncQueryOutlivesABrokenDatabase(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
	c.want("Transition", `"value":[]`)
	// While the database is away the old result stands, and nobody hears of it.
	b.FailWith(fmt.Errorf("list: %w", context.DeadlineExceeded))
	if err := b.Add(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	before := b.Runs.Load()
	await.Until(t, "the query is tried again", func() bool { return b.Runs.Load() > before+2 })
	b.FailWith(nil)
	c.want("Transition", `{"type":"QueryUpdated","queryId":0,"value":["a"]`)
}

// A client learns how its clock differs from the server's, if it told its own.
func TestSyncTellsClockSkew(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	const ahead = 3_600_000 // ms
	for _, test := range []struct {
		name, clientTs string
		told           bool
	}{
		{"a clock that is an hour ahead", fmt.Sprintf(`,"clientTs":%d`, time.Now().UnixMilli()+ahead), true},
		{"a client that does not say", "", false},
	} {
		c, _, err := dial(t, b.url, "/api/1.48.0/sync", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.send(`{"type":"Connect","sessionId":"s1","connectionCount":0,"lastCloseReason":"InitialConnect"%s}`, test.clientTs)
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
		var got struct{ ClientClockSkew, ServerTs *float64 }
		if err := json.Unmarshal([]byte(c.want("Transition", "").raw), &got); err != nil {
			t.Fatal(err)
		}
		if (got.ClientClockSkew != nil) != test.told || (got.ServerTs != nil) != test.told {
			t.Errorf("%s: %+v", test.name, got)
			continue
		}
		if !test.told {
			continue
		}
		if off := math.Abs(*got.ClientClockSkew - ahead); off > 60_000 {
			t.Errorf("%s: the skew is off by %v ms", test.name, off)
		}
		if off := math.Abs(*got.ServerTs/1e6 - float64(time.Now().UnixMilli())); off > 60_000 {
			t.Errorf("%s: the server's time is off by %v ms", test.name, off)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{
		`{"type":"Connect","sessionId":"6b1f0c1e-0000-4000-8000-000000000001","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":1700000000000,"maxObservedTimestamp":"AAAqNv6clxc="}`,
		`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"sessions:listSessions","args":[{"limit":2}],"journal":null}]}`,
		`{"type":"Mutation","requestId":0,"udfPath":"sessions:rename","args":[{"id":"s1","name":"x"}]}`,
		`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"<jwt>","impersonating":{}}`,
		`{"type":"Event","eventType":"x","event":[1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseMessage(in)
		if err != nil {
			return
		}
		if m.BaseVersion < 0 || m.RequestID < 0 || m.observed < 0 {
			t.Errorf("%s gives %+v", in, m)
		}
		if _, err := value.SoleObject(m.Args); err == nil && len(m.Args) > 0 && !json.Valid(m.Args) {
			t.Errorf("args %s are not JSON", m.Args)
		}
	})
}

func TestSyncSocketsAreBounded(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxSockets = 1 })
	first := b.connect(t, "s1")
	first.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
	first.want("Transition", "")
	if _, response, err := dial(t, b.url, "/api/1.48.0/sync", nil); err == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a second socket: %v, %v", response, err)
	}
	first.conn.Close()
	await.Until(t, "there is room for another", func() bool { return b.server.Stats().Sockets == 0 })
	b.connect(t, "s2").send(`{"type":"Event","eventType":"x","event":null}`)
}

// Sockets of one network that nobody signed in to drive out one another, and no
// others.
func TestSyncFloodOfSockets(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxSockets = 8 })
	web := httptest.NewServer(httpx.Proxies(nil).NoteClient(handlerOf(t, b.server)))
	t.Cleanup(web.Close)
	b.url = web.URL
	_, token := b.SignUp(t, "crew@example.com")
	crew, dashboard, key, first := b.connect(t, "crew"), b.connect(t, "dashboard"), b.connect(t, "key"), b.connect(t, "first")
	crew.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":%q}`, token)
	key.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":%q}`, convextest.Key)
	dashboard.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:who","args":[{"token":%q}]}]}`, token)
	for _, c := range []*client{crew, key, dashboard} {
		c.want("Transition", "")
	}
	for i := range 20 {
		b.connect(t, fmt.Sprint("flood ", i))
	}
	if closed := first.closed(); closed.Code != websocket.CloseTryAgainLater {
		t.Errorf("the first of many was closed with %v", closed)
	}
	for _, c := range []*client{crew, key} {
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}`)
		c.want("Transition", "")
	}
	dashboard.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[]}`)
	dashboard.want("Transition", "")
	if n := b.server.Stats().Sockets; n != 8 {
		t.Errorf("%d sockets", n)
	}
}

func TestSyncMessagesAreBoundedOnceUnpacked(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxBody = 100_000 })
	dialer := websocket.Dialer{EnableCompression: true}
	conn, _, err := dialer.DialContext(t.Context(), strings.Replace(b.url, "http", "ws", 1)+"/api/1.48.0/sync", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"Event","event":"`+strings.Repeat("x", 10_000_000)+`"}`)); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn}
	if closed := c.closed(); closed.Code != websocket.CloseMessageTooBig {
		t.Errorf("closed with %v", closed)
	}
}

// Whoever has no share of the bytes left still asks and changes what is small.
func TestSyncSmallMessagesGetThrough(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) {
		o.Bodies = load.NewBudget(1000)
		o.Bodies.Take("another", 1000)
	})
	c := b.connect(t, "s1")
	const add = `{"type":"Mutation","requestId":%d,"udfPath":"notes:add","args":[{"text":"%s"}]}`
	for i := range 3 {
		c.send(add, i, "a")
		c.want("MutationResponse", `"success":true`)
		c.want("Transition", "")
	}
	c.send(add, 3, strings.Repeat("x", 10_000))
	if closed := c.closed(); closed.Code != closeTryLater {
		t.Errorf("closed with %v", closed)
	}
}

func TestSyncQueriesAreBounded(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxQueries = 1 })
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[
		{"type":"Add","queryId":0,"udfPath":"test:echo","args":[{"value":1}]},
		{"type":"Add","queryId":1,"udfPath":"test:echo","args":[{"value":2}]},
		{"type":"Add","queryId":2,"udfPath":"test:echo","args":[{"value":1}]}]}`)
	m := c.want("Transition", `"querySet":1`)
	for _, mod := range m.Modifications {
		if failed := mod.Type == "QueryFailed"; failed != (mod.QueryID == 1) {
			t.Errorf("query %d: %+v", mod.QueryID, mod)
		}
	}
	// The one that was turned away is shown once there is room.
	c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Remove","queryId":0},{"type":"Remove","queryId":2}]}`)
	c.want("Transition", `"querySet":2`)
	c.want("Transition", `{"type":"QueryUpdated","queryId":1,"value":2`)
}

func TestSyncQueriesOfASocketAreBounded(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	const over = 10
	var add, remove []string
	for i := range maxWatched + over {
		add = append(add, fmt.Sprintf(`{"type":"Add","queryId":%d,"udfPath":"test:echo","args":[{"value":%d}]}`, i, i))
	}
	for i := range over {
		remove = append(remove, fmt.Sprintf(`{"type":"Remove","queryId":%d}`, i))
	}
	shown := map[int]bool{}
	note := func(m message) {
		for _, mod := range m.Modifications {
			shown[mod.QueryID] = mod.Type == "QueryUpdated"
		}
	}
	count := func() (n int) {
		for _, is := range shown {
			if is {
				n++
			}
		}
		return n
	}
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[%s]}`, strings.Join(add, ","))
	note(c.want("Transition", `"querySet":1`))
	if got := count(); got != maxWatched || len(shown) != maxWatched+over {
		t.Errorf("%d of %d queries are shown, want %d", got, len(shown), maxWatched)
	}
	if got := b.server.Stats().Queries; got != maxWatched {
		t.Errorf("%d queries run, want %d", got, maxWatched)
	}
	c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[%s]}`, strings.Join(remove, ","))
	for count() != maxWatched {
		note(c.want("Transition", ""))
	}
}

// However many sockets somebody has, what others watch has its room; the account
// on the same network is another caller.
func TestSyncQueriesAreSharedByCaller(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.MaxQueries = 8 })
	_, token := b.SignUp(t, "driver@example.org")
	add := func(c *client, from, n int, token string) message {
		t.Helper()
		var mods []string
		for i := range n {
			mods = append(mods, fmt.Sprintf(`{"type":"Add","queryId":%d,"udfPath":"test:who","args":[{"token":%q,"value":%d}]}`, i, token, from+i))
		}
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[%s]}`, strings.Join(mods, ","))
		return c.want("Transition", `"querySet":1`)
	}
	shown := func(m message) (n int) {
		for _, mod := range m.Modifications {
			if mod.Type == "QueryUpdated" {
				n++
			}
		}
		return n
	}
	flood := b.connect(t, "flood")
	if n := shown(add(flood, 0, 7, "")); n != 4 {
		t.Errorf("a stranger has %d of 8 places, want half", n)
	}
	if n := shown(add(b.connect(t, "again"), 100, 7, "")); n != 0 {
		t.Errorf("and %d more by another socket", n)
	}
	driver := b.connect(t, "driver")
	if n := shown(add(driver, 0, 4, token)); n != 4 {
		t.Errorf("an account of the same network has %d, want 4", n)
	}
	// Who was turned away is run when there is room.
	flood.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Remove","queryId":0},{"type":"Remove","queryId":1},{"type":"Remove","queryId":2},{"type":"Remove","queryId":3}]}`)
	n := 0
	for n < 3 {
		n += shown(flood.want("Transition", ""))
	}
}

// Whoever makes up tokens makes no work of its own.
func TestSyncTokensOfNobodyAreOneQuery(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	_, token := b.SignUp(t, "driver@example.org")
	c := b.connect(t, "s1")
	add := func(id int, token string) string {
		return fmt.Sprintf(`{"type":"Add","queryId":%d,"udfPath":"test:who","args":[{"token":%q}]}`, id, token)
	}
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[%s,%s,%s,%s]}`,
		add(0, strings.Repeat("a", 43)), add(1, strings.Repeat("b", 43)), add(2, "junk"), add(3, token))
	m := c.want("Transition", `"querySet":1`)
	for _, mod := range m.Modifications {
		if guest := strings.Contains(string(mod.Value), "guest"); guest != (mod.QueryID != 3) {
			t.Errorf("query %d is %s", mod.QueryID, mod.Value)
		}
	}
	if got := b.server.Stats().Queries; got != 2 {
		t.Errorf("%d queries run, want one of the account and one of everybody else", got)
	}
	// Nor who signs the socket in with them.
	for i, made := range []string{"a", "b"} {
		c := b.connect(t, "junk"+made)
		c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":%q}`, strings.Repeat(made, 43))
		c.want("Transition", `"identity":1`)
		c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":%d,"udfPath":"test:who","args":[{}]}]}`, i)
		c.want("Transition", `"querySet":1`)
	}
	if got := b.server.Stats().Queries; got != 2 {
		t.Errorf("%d queries run with two more tokens of nobody, want 2", got)
	}
}

func TestSyncResultsAreBounded(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.Results = load.NewBudget(100_000) })
	c := b.connect(t, "s1")
	c.send(`{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"test:large","args":[{"bytes":80000}]}]}`)
	c.want("Transition", `"QueryUpdated"`)
	c.send(`{"type":"ModifyQuerySet","baseVersion":1,"newVersion":2,"modifications":[{"type":"Add","queryId":1,"udfPath":"test:large","args":[{"bytes":70000}]}]}`)
	c.want("Transition", `"QueryFailed","queryId":1`)
	c.send(`{"type":"ModifyQuerySet","baseVersion":2,"newVersion":3,"modifications":[{"type":"Remove","queryId":0}]}`)
	c.want("Transition", `"querySet":3`)
	c.want("Transition", `"QueryUpdated","queryId":1`)
	c.send(`{"type":"ModifyQuerySet","baseVersion":3,"newVersion":4,"modifications":[{"type":"Remove","queryId":1}]}`)
	c.want("Transition", `"querySet":4`)
	await.Until(t, "the budget is whole again", func() bool {
		whole := b.server.options.Results.Take("test", 100_000)
		if whole {
			b.server.options.Results.Give("test", 100_000)
		}
		return whole
	})
}

// Large results go round by caller: a stranger's leave an account of the same
// network its room.
func TestSyncResultsAreSharedByCaller(t *testing.T) {
	t.Parallel()
	b := newServer(t, func(o *Options) { o.Results = load.NewBudget(200_000) })
	_, token := b.SignUp(t, "driver@example.org")
	large := func(c *client, version, id int) {
		t.Helper()
		c.send(`{"type":"ModifyQuerySet","baseVersion":%d,"newVersion":%d,"modifications":[{"type":"Add","queryId":%d,"udfPath":"test:large","args":[{"bytes":%d}]}]}`,
			version, version+1, id, 70_000+id)
	}
	flood := b.connect(t, "flood")
	large(flood, 0, 0)
	flood.want("Transition", `"QueryUpdated","queryId":0`)
	large(flood, 1, 1)
	flood.want("Transition", `"QueryFailed","queryId":1`)
	driver := b.connect(t, "driver")
	driver.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":%q}`, token)
	driver.want("Transition", `"identity":1`)
	large(driver, 0, 2)
	driver.want("Transition", `"QueryUpdated","queryId":2`)
}

func TestSyncMutationsThatWriteNothingLeaveNoRecord(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	c := b.connect(t, "s1")
	c.send(`{"type":"Mutation","requestId":0,"udfPath":"test:echoMutation","args":[{"value":1}]}`)
	c.want("MutationResponse", `"success":true`)
	c.send(`{"type":"Mutation","requestId":1,"udfPath":"notes:add","args":[{"text":"a"}]}`)
	for c.next().RequestID != 1 {
	}
	rows, err := b.Pool.Query(t.Context(), `SELECT request_id FROM convex_requests WHERE session_id = 's1'`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || fmt.Sprint(got) != "[1]" {
		t.Errorf("requests %v are recorded, %v; want that of notes:add", got, err)
	}
}

// The end of a page goes to the client and comes back on the next connection.
func TestSyncJournal(t *testing.T) {
	t.Parallel()
	b := newServer(t)
	for _, text := range []string{"a", "c"} {
		if err := b.Add(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	const add = `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:page","args":[{"size":1}]%s}]}`
	first := b.connect(t, "s1")
	first.send(add, "")
	first.want("Transition", `"value":["a"],"logLines":[],"journal":"a"`)
	if err := b.Add(t.Context(), "Z"); err != nil { // before a
		t.Fatal(err)
	}
	first.want("Transition", `"value":["Z","a"],"logLines":[],"journal":"a"`)
	// A client that comes back sees the page that it had; a new one, one of the size it wants.
	again, other := b.connect(t, "s1"), b.connect(t, "s2")
	again.send(add, `,"journal":"a"`)
	again.want("Transition", `"value":["Z","a"],"logLines":[],"journal":"a"`)
	other.send(add, `,"journal":null`)
	other.want("Transition", `"value":["Z"],"logLines":[],"journal":"Z"`)
}
