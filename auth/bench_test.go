package auth_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// BenchmarkSignInTiming is the harness for what the time of a refusal tells
// about an account. It reports, and asserts nothing: medians of an account that
// exists, of one that does not, and of one with an imported scrypt hash, with
// the production cost of a hash. Run it with -benchtime=100x.
func BenchmarkSignInTiming(b *testing.B) {
	pool := dbtest.New(b)
	s := auth.New(pool, auth.Options{})
	scrypt, legacy := scryptText(b, password, ""), legacyText(password)
	const accounts = 8
	for i := range accounts {
		if _, err := s.CreateAccount(b.Context(), operator, auth.NewAccount{Email: fmt.Sprintf("known%d@x.example", i), Password: password, Role: auth.External}); err != nil {
			b.Fatal(err)
		}
	}
	kinds := []struct{ name, email string }{{"known", "known%d@x.example"}, {"unknown", "unknown%d@x.example"}, {"legacy", "legacy%d@x.example"}}
	for i := range accounts {
		account := auth.ImportedAccount{
			ID: fmt.Sprint("legacy", i), Email: fmt.Sprintf("legacy%d@x.example", i), Role: auth.External, Approval: auth.Approved, PasswordHash: legacy,
		}
		if _, err := s.ImportAccount(b.Context(), operator, account, false); err != nil {
			b.Fatal(err)
		}
	}
	measure := func(b *testing.B) {
		took := make([][]time.Duration, len(kinds))
		for i := 0; b.Loop(); i++ {
			if i%accounts == 0 { // keeps the accounts from being blocked
				if _, err := pool.Exec(b.Context(), `DELETE FROM auth_attempts`); err != nil {
					b.Fatal(err)
				}
			}
			for k, kind := range kinds {
				start := time.Now()
				got, err := s.SignIn(b.Context(), auth.SignIn{Email: fmt.Sprintf(kind.email, i%accounts), Password: "a wrong password"})
				took[k] = append(took[k], time.Since(start))
				if err != nil || got.Err != "Invalid email or password" {
					b.Fatalf("SignIn = %+v, %v", got, err)
				}
			}
		}
		for k, kind := range kinds {
			slices.Sort(took[k])
			b.ReportMetric(float64(took[k][len(took[k])/2].Microseconds())/1e3, kind.name+"-ms")
		}
		b.ReportMetric(0, "ns/op")
	}
	b.Run("argon2id", measure)

	// Half of the accounts still have an imported scrypt hash: an unknown
	// address then takes the one time or the other, by its own choice.
	for i := range accounts {
		account := auth.ImportedAccount{
			ID: fmt.Sprint("imported", i), Email: fmt.Sprintf("imported%d@x.example", i), Role: auth.External, Approval: auth.Approved, PasswordHash: scrypt,
		}
		if _, err := s.ImportAccount(b.Context(), operator, account, false); err != nil {
			b.Fatal(err)
		}
	}
	kinds = append(kinds, struct{ name, email string }{"imported", "imported%d@x.example"})
	b.Run("scrypt among them", measure)
}

// BenchmarkAuthenticate is what each request with a bearer token or a deploy
// key pays, since nothing is remembered between them.
func BenchmarkAuthenticate(b *testing.B) {
	pool := dbtest.New(b)
	s := auth.New(pool, auth.Options{Hash: cheap})
	up, err := s.SignUp(b.Context(), auth.SignUp{Email: "a@b.example", Password: password})
	if err != nil {
		b.Fatal(err)
	}
	key, _, err := s.CreateKey(b.Context(), operator, auth.NewKey{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			if p, err := s.Authenticate(b.Context(), up.Token); err != nil || !p.SignedIn() {
				b.Fatal(p, err)
			}
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.AuthenticateKey(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
