package functions_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

const deployKey = "prod:server|secret-of-the-test"

// server is a running daemon and a way to call its functions.
type server struct {
	t      *testing.T
	daemon *daemon.Daemon
	pool   *pgxpool.Pool
	url    string
}

func newServer(t *testing.T) *server {
	t.Helper()
	t.Parallel()
	pool := dbtest.New(t)
	d := daemontest.Start(t, daemon.Config{DeployKey: deployKey, AblyChannel: "the-channel", Tick: 10 * time.Millisecond})
	return &server{t, d, pool, d.URL()}
}

// account makes an account and signs it in, without the cost of a password.
func (h *server) account(id, role string) (token string) {
	h.t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	token = base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	_, err := h.pool.Exec(h.t.Context(), `
		WITH account AS (INSERT INTO users (id, email, role, password_hash) VALUES ($1, $1 || '@example.com', $2, ''))
		SELECT`, id, role)
	if err == nil {
		_, err = h.pool.Exec(h.t.Context(), `
			INSERT INTO auth_sessions (id, user_id, token_hash, expires_at, persistent)
			VALUES ($1, $1, $2, now() + interval '1 hour', false)`, id, hash[:])
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// outcome is what a call of a function answered.
type outcome struct {
	Status int
	OK     bool
	Value  any
	Code   string // of errorData
	Error  string
}

// args are a function's arguments.
type args map[string]any

// call calls a function. The kind is an endpoint: query, mutation or action.
func (h *server) call(kind, name string, a args, key string) outcome {
	h.t.Helper()
	if a == nil {
		a = args{}
	}
	body, err := json.Marshal(map[string]any{"path": name, "args": a, "format": "json"})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+"/api/"+kind, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Convex "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var answer struct {
		Status       string
		Value        any
		ErrorMessage string
		ErrorData    struct{ Code string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		h.t.Fatalf("%s: %v in %s", name, err, text)
	}
	return outcome{response.StatusCode, answer.Status == "success", answer.Value, answer.ErrorData.Code, answer.ErrorMessage}
}

func (h *server) query(name string, a args) any {
	h.t.Helper()
	o := h.call("query", name, a, "")
	if !o.OK {
		h.t.Fatalf("%s: %+v", name, o)
	}
	return o.Value
}

func (h *server) mutate(name string, a args, key string) any {
	h.t.Helper()
	o := h.call("mutation", name, a, key)
	if !o.OK {
		h.t.Fatalf("%s: %+v", name, o)
	}
	return o.Value
}

// refused wants a mutation or query to fail with that code, or, for no code,
// with that word in its text.
func (h *server) refused(kind, name string, a args, code string) {
	h.t.Helper()
	o := h.call(kind, name, a, "")
	switch {
	case o.OK:
		h.t.Errorf("%s succeeded with %v, want %s", name, o.Value, code)
	case kind == "mutation" && o.Status < 300:
		h.t.Errorf("%s: a failed mutation was answered with %d", name, o.Status)
	case o.Code != "" && !strings.Contains(o.Error, o.Code):
		h.t.Errorf("%s: the message %q does not hold the code", name, o.Error)
	case o.Code != code && !strings.Contains(o.Error, code):
		h.t.Errorf("%s: %+v, want %s", name, o, code)
	}
}

// without removes members that differ from run to run, at any depth, after
// checking that they are there and of the right type.
func (h *server) without(value any, names ...string) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = h.without(v[i], names...)
		}
	case map[string]any:
		for _, name := range names {
			if text, ok := v[name].(string); ok && text == "" {
				h.t.Errorf("%s is empty", name)
			}
			delete(v, name)
		}
		for name := range v {
			v[name] = h.without(v[name], names...)
		}
	}
	return value
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
