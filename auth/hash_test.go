package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/scrypt"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// scrypts keeps what scryptText has made: the fixed cost of these hashes is
// felt under the race detector.
var scrypts sync.Map

func scryptText(t testing.TB, password, pepper string) string {
	t.Helper()
	made := [2]string{password, pepper}
	if text, ok := scrypts.Load(made); ok {
		return text.(string)
	}
	salt := []byte("0123456789abcdef")
	key, err := scrypt.Key([]byte(password+pepper), salt, 1<<17, 8, 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	marker := "p0"
	if pepper != "" {
		marker = "p1"
	}
	b64 := base64.RawURLEncoding
	text := "scrypt-v1$131072$8$1$" + marker + "$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(key)
	scrypts.Store(made, text)
	return text
}

func legacyText(password string) string {
	sum := sha256.Sum256([]byte(password + "ecovolt-salt-v1"))
	return hex.EncodeToString(sum[:])
}

func argonText(t testing.TB, marker, password string) string {
	t.Helper()
	text, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return marker + text
}

// Hashes that were made elsewhere or under former settings, and what becomes
// of them at the next sign-in.
func TestHashKinds(t *testing.T) {
	t.Parallel()
	plain := auth.Options{Hash: cheap}
	peppered := auth.Options{Hash: cheap, Pepper: "grains"}
	rotated := auth.Options{Hash: cheap, Pepper: "new grains", FormerPeppers: []string{"grains"}}
	lost := auth.Options{Hash: cheap, Pepper: "new grains"}
	costlier := auth.Options{Hash: secret.Params{MemoryKiB: 128, Iterations: 1, Threads: 1}}
	first := setup(t)
	made := func(options auth.Options) (hash string) { // what the service itself stores
		got, err := auth.New(first.pool, options).SignUp(t.Context(), auth.SignUp{Email: options.Pepper + "x@b.example", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		if err := first.pool.QueryRow(t.Context(), `SELECT password_hash FROM users WHERE id = $1`, got.UserID).Scan(&hash); err != nil {
			t.Fatal(err)
		}
		return hash
	}
	bare, seasoned := made(plain), made(peppered)
	if !strings.HasPrefix(bare, "p0$argon2id$v=19$m=64,t=1,p=1$") || strings.HasPrefix(seasoned, "p0$") {
		t.Errorf("stored %s and, with a pepper, %s", bare, seasoned)
	}
	tests := []struct {
		name    string
		hash    string
		options auth.Options
		ok      bool
		renewed bool
	}{
		{"own", bare, plain, true, false},
		{"own with pepper", seasoned, peppered, true, false},
		{"pepper introduced", bare, peppered, true, true},
		{"pepper replaced", seasoned, rotated, true, true},
		{"pepper lost", seasoned, lost, false, false},
		{"pepper removed", seasoned, plain, false, false},
		{"costs raised", bare, costlier, true, true},
		{"other salt", argonText(t, "p0", password), plain, true, false},
		{"scrypt", scryptText(t, password, ""), plain, true, true},
		{"scrypt with pepper", scryptText(t, password, "grains"), peppered, true, true},
		{"scrypt whose pepper is set apart", scryptText(t, password, "old"), auth.Options{Hash: cheap, Pepper: "grains", ImportedPepper: "old"}, true, true},
		{"scrypt without its pepper", scryptText(t, password, "grains"), plain, false, false},
		{"scrypt marked p1 with an empty pepper", strings.Replace(scryptText(t, password, ""), "$p0$", "$p1$", 1), plain, false, false},
		{"legacy", legacyText(password), plain, true, true},
		{"legacy in capitals", strings.ToUpper(legacyText(password)), plain, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			b := bundle{auth.New(pool, tt.options), pool}
			account := auth.ImportedAccount{ID: "x", Email: "a@b.example", Role: auth.External, Approval: auth.Approved, PasswordHash: tt.hash}
			if _, err := b.ImportAccount(t.Context(), operator, account, false); err != nil {
				t.Fatal(err)
			}
			if got := b.signIn(t, "a@b.example", "not "+password); got.Err == "" {
				t.Error("a wrong password signs in")
			}
			if got := b.signIn(t, "a@b.example", password); (got.Err == "") != tt.ok {
				t.Errorf("SignIn = %+v, want ok = %v", got, tt.ok)
			}
			var stored string
			if err := pool.QueryRow(t.Context(), `SELECT password_hash FROM users`).Scan(&stored); err != nil {
				t.Fatal(err)
			}
			if (stored != tt.hash) != tt.renewed {
				t.Errorf("the hash went from %s to %s, want renewed = %v", tt.hash, stored, tt.renewed)
			}
			if tt.ok {
				if got := b.signIn(t, "a@b.example", password); got.Err != "" {
					t.Errorf("the second time: %s", got.Err)
				}
			}
		})
	}
}

func TestValidHash(t *testing.T) {
	t.Parallel()
	scrypt, argon := scryptText(t, password, ""), argonText(t, "p0", password)
	for _, text := range []string{scrypt, argon, argonText(t, "pdeadbeef", password), legacyText(password)} {
		if !secret.Valid(text) {
			t.Errorf("refused %s", text)
		}
	}
	b64 := base64.RawStdEncoding.EncodeToString
	for _, text := range []string{
		"", "$", "password", strings.TrimPrefix(argon, "p0"), "p1" + strings.TrimPrefix(argon, "p0"),
		strings.Replace(scrypt, "131072", "131071", 1),
		strings.Replace(scrypt, "$8$", "$9$", 1),
		strings.Replace(scrypt, "p0", "p2", 1),
		scrypt + "A", scrypt + "=", scrypt[:len(scrypt)-4],
		legacyText(password) + "00", legacyText(password)[2:],
		"p0$argon2id$v=19$m=64,t=1,p=1$" + b64(make([]byte, 16)) + "$", // an empty key would match anything
		"p0$argon2id$v=19$m=64,t=0,p=1$" + b64(make([]byte, 16)) + "$" + b64(make([]byte, 32)),
		"p0$argon2id$v=19$m=64,t=1,p=0$" + b64(make([]byte, 16)) + "$" + b64(make([]byte, 32)),
		"p0$argon2id$v=19$m=4294967295,t=1,p=1$" + b64(make([]byte, 16)) + "$" + b64(make([]byte, 32)),
		"p0$argon2id$v=19$m=64,t=4294967295,p=1$" + b64(make([]byte, 16)) + "$" + b64(make([]byte, 32)),
		"p0$argon2i$v=19$m=64,t=1,p=1$" + b64(make([]byte, 16)) + "$" + b64(make([]byte, 32)),
	} {
		if secret.Valid(text) {
			t.Errorf("took %s", text)
		}
	}
}
