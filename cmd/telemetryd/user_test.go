package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func accounts(t *testing.T) *auth.Service {
	t.Helper()
	return auth.New(dbtest.New(t), auth.Options{Hash: secret.Params{MemoryKiB: 64, Iterations: 1}})
}

// typed is a terminal whose standard input is the text.
func typed(text string) (terminal, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return terminal{in: strings.NewReader(text), out: out}, out
}

func TestUserCommands(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), accounts(t)
	const first, second = "first long password", "second long password"

	in, out := typed(first + "\r\nrest")
	if err := (userCreateAdminCmd{Email: "boss@team.example", Name: "Boss"}).run(ctx, s, in); err != nil || !strings.HasPrefix(out.String(), "Made administrator us") {
		t.Fatalf("create-admin: %q, %v", out, err)
	}
	in, _ = typed("short")
	if err := (userCreateAdminCmd{Email: "other@team.example"}).run(ctx, s, in); !fault.Is(err, fault.Invalid) {
		t.Errorf("create-admin with a short password: %v", err)
	}
	in, out = typed(second)
	if err := (userResetPasswordCmd{userArg: userArg{"boss@team.example"}}).run(ctx, s, in); err != nil || !strings.Contains(out.String(), "new password") {
		t.Errorf("reset-password: %q, %v", out, err)
	}
	if got, err := s.SignIn(ctx, auth.SignIn{Email: "boss@team.example", Password: second}); err != nil || got.Err != "" {
		t.Errorf("with the new password: %+v, %v", got, err)
	}
	in, out = typed("")
	if err := (userBanCmd{userArg: userArg{"boss@team.example"}}).run(ctx, s, in); fault.As(err) == nil || fault.As(err).Code != "LAST_ADMIN" || out.Len() > 0 {
		t.Errorf("ban the last administrator: %q, %v", out, err)
	}
	up, err := s.SignUp(ctx, auth.SignUp{Email: "new@team.example", Password: first, RequestedRole: auth.Internal})
	if err != nil {
		t.Fatal(err)
	}
	if err := (userSetRoleCmd{userArg: userArg{up.UserID}, Role: auth.Internal}).run(ctx, s, in); err != nil || out.String() != "new@team.example is internal now.\n" {
		t.Errorf("set-role: %q, %v", out, err)
	}
	out.Reset()
	if err := (userListCmd{}).run(ctx, s, in); err != nil || !regexp.MustCompile(`(?s)boss@team\.example +Boss +admin +- +approved.*new@team\.example +- +internal +- +approved`).MatchString(out.String()) {
		t.Errorf("list: %v\n%s", err, out)
	}
	if err := (userBanCmd{userArg: userArg{"new@team.example"}}).run(ctx, s, in); err != nil {
		t.Errorf("ban: %v", err)
	}
	if err := (userDeleteCmd{userArg: userArg{"new@team.example"}}).run(ctx, s, in); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := (userDeleteCmd{userArg: userArg{"new@team.example"}}).run(ctx, s, in); !fault.Is(err, fault.NotFound) {
		t.Errorf("delete again: %v", err)
	}
}

func TestPasswordIsAskedTwice(t *testing.T) {
	t.Parallel()
	asked := []string{"one", "two", "three", "three"}
	prompt := terminal{prompt: func(string) (string, error) {
		answer := asked[0]
		asked = asked[1:]
		return answer, nil
	}}
	if got, err := prompt.password(); err == nil {
		t.Errorf("two different passwords gave %q", got)
	}
	if got, err := prompt.password(); err != nil || got != "three" {
		t.Errorf("password = %q, %v", got, err)
	}
	prompt.prompt = func(string) (string, error) { return "", errors.New("interrupted") }
	if _, err := prompt.password(); err == nil {
		t.Error("an interrupted prompt gave a password")
	}
}

func TestKeyCommands(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), accounts(t)
	in, out := typed("")
	if err := (keyCreateCmd{Name: "bridge", Scope: auth.ScopeIngest, Valid: time.Hour}).run(ctx, s, in); err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(out.String())
	p, err := s.AuthenticateKey(ctx, secret)
	if err != nil || p.Key.Name != "bridge" || p.ExpiresAt.IsZero() {
		t.Fatalf("the printed key %q: %+v, %v", secret, p, err)
	}
	out.Reset()
	if err := (keyRotateCmd{keyArg: keyArg{p.Key.ID}, Overlap: time.Minute}).run(ctx, s, in); err != nil || strings.TrimSpace(out.String()) == secret {
		t.Errorf("rotate: %q, %v", out, err)
	}
	out.Reset()
	if err := (keyRevokeCmd{keyArg: keyArg{p.Key.ID}}).run(ctx, s, in); err != nil || !strings.Contains(out.String(), "revoked") {
		t.Errorf("revoke: %q, %v", out, err)
	}
	if _, err := s.AuthenticateKey(ctx, secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the revoked key: %v", err)
	}
	out.Reset()
	if err := (keyListCmd{}).run(ctx, s, in); err != nil || strings.Count(out.String(), "bridge") != 2 || strings.Contains(out.String(), secret) {
		t.Errorf("list: %v\n%s", err, out)
	}
}
