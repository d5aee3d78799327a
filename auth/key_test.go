package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

var operator = auth.Operator("test")

func TestKeyLife(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := dbtest.New(t)
	s, other := auth.New(pool, auth.Options{}), auth.New(pool, auth.Options{})

	secret, key, err := s.CreateKey(ctx, operator, auth.NewKey{Name: " bridge "})
	if err != nil {
		t.Fatal(err)
	}
	if key.Name != "bridge" || key.Scope != auth.ScopeIngest || !strings.HasPrefix(secret, key.Prefix) || len(secret) < 43 {
		t.Errorf("made %+v with a secret of %d characters", key, len(secret))
	}
	p, err := other.AuthenticateKey(ctx, secret)
	if err != nil || p.Key == nil || *p.Key != (auth.KeyIdentity{ID: key.ID, Name: "bridge", Scope: auth.ScopeIngest}) {
		t.Fatalf("AuthenticateKey = %+v, %v", p, err)
	}
	keys, err := s.ListKeys(ctx, operator)
	if err != nil || len(keys) != 1 || keys[0].LastUsedAt == nil || keys[0].CreatedBy != "test" {
		t.Errorf("ListKeys = %+v, %v; want one key, used, made by test", keys, err)
	}

	// Both keys work during the overlap.
	second, successor, err := s.RotateKey(ctx, operator, key.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{secret, second} {
		if _, err := other.AuthenticateKey(ctx, k); err != nil {
			t.Errorf("during the overlap: %v", err)
		}
	}
	if p, _ := other.AuthenticateKey(ctx, secret); !p.ExpiresAt.After(time.Now()) {
		t.Errorf("the old key ends at %v, want in an hour", p.ExpiresAt)
	}

	watched := schema.TopicKey(successor.ID)
	before := bundle{s, pool}.version(t, watched)
	for range 2 { // the second time is no error
		if err := s.RevokeKey(ctx, operator, successor.ID); err != nil {
			t.Fatal(err)
		}
	}
	if after := (bundle{s, pool}).version(t, watched); after != before+1 {
		t.Errorf("the revocation was announced %d times, want once", after-before)
	}
	if _, err := other.AuthenticateKey(ctx, second); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a revoked key gives %v on another instance", err)
	}
	if _, _, err := s.RotateKey(ctx, operator, successor.ID, 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("rotating a revoked key gives %v", err)
	}
	if _, _, err := s.RotateKey(ctx, operator, key.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := other.AuthenticateKey(ctx, secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a key rotated without overlap gives %v", err)
	}
}

func TestAuthenticateKeyRefuses(t *testing.T) {
	t.Parallel()
	s := auth.New(dbtest.New(t), auth.Options{StaticKeys: []auth.StaticKey{{}}})
	for _, key := range []string{"", "tdk_x", "\x00", "a:b|c", strings.Repeat("k", 2000)} {
		if p, err := s.AuthenticateKey(t.Context(), key); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("AuthenticateKey(%.10q) = %+v, %v", key, p, err)
		}
	}
}

func TestStaticKey(t *testing.T) {
	t.Parallel()
	const present = "prod:happy-otter-123|eyJ2MiI6ImFiYyJ9=="
	s := auth.New(dbtest.New(t), auth.Options{StaticKeys: []auth.StaticKey{
		{Secret: present},
		{Name: "bridge", Secret: "second", Scope: auth.ScopeIngest},
	}})
	p, err := s.Resolve(t.Context(), auth.Credentials{Key: present, Token: "nonsense"})
	if err != nil || p.EffectiveRole() != auth.Admin || p.SignedIn() {
		t.Errorf("Resolve = %+v, %v; want an admin without an account", p, err)
	}
	p, err = s.Resolve(t.Context(), auth.Credentials{Key: "second"})
	if err != nil || p.Key == nil || p.Key.Scope != auth.ScopeIngest || p.EffectiveRole() != auth.Guest {
		t.Errorf("Resolve = %+v, %v; want a guest with an ingest key", p, err)
	}
	if _, err := s.Resolve(t.Context(), auth.Credentials{Key: present + "x"}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a wrong key gives %v", err)
	}
}

func TestKeysAreForAdmins(t *testing.T) {
	t.Parallel()
	s := auth.New(dbtest.New(t), auth.Options{})
	p := auth.Principal{Role: auth.Internal, UserID: "i"}
	if _, _, err := s.CreateKey(t.Context(), p, auth.NewKey{Name: "x"}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("CreateKey: %v", err)
	}
	if _, _, err := s.RotateKey(t.Context(), p, "x", 0); !fault.Is(err, fault.Forbidden) {
		t.Errorf("RotateKey: %v", err)
	}
	if err := s.RevokeKey(t.Context(), p, "x"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("RevokeKey: %v", err)
	}
	if _, err := s.ListKeys(t.Context(), p); !fault.Is(err, fault.Forbidden) {
		t.Errorf("ListKeys: %v", err)
	}
	for _, bad := range []auth.NewKey{{}, {Name: "a\nb"}, {Name: strings.Repeat("x", 81)}, {Name: "x", Scope: "root"}, {Name: "x", Valid: -1}} {
		if _, _, err := s.CreateKey(t.Context(), operator, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("CreateKey(%+v): %v", bad, err)
		}
	}
}
