package auth_test

import (
	"testing"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

// Common passwords, and those made of nothing but what everybody thinks of, are
// refused wherever one is set.
func TestGuessablePasswordsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), setup(t)
	up := s.signUp(t, "ana.garcia@team.example")
	p, _ := s.Authenticate(ctx, up.Token)
	const text = "Password is too easy to guess"
	for _, bad := range []string{"123456789012", "Qwertyuiop123", "PASSWORD1234", "telemetryd2026", "ecovolt-telemetry", "garcia123garcia"} {
		got, err := s.SignUp(ctx, auth.SignUp{Email: "garcia@team.example", Password: bad})
		if err != nil || got.Err != text {
			t.Errorf("signing up with %s = %+v, %v", bad, got, err)
		}
		got, err = s.ChangePassword(ctx, p, auth.PasswordChange{Current: password, New: bad})
		if err != nil || got.Err != text {
			t.Errorf("changing to %s = %+v, %v", bad, got, err)
		}
		if err := s.ResetPassword(ctx, operator, p.UserID, bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("resetting to %s = %v", bad, err)
		}
		if _, err := s.CreateAccount(ctx, operator, auth.NewAccount{Email: "garcia@team.example", Password: bad, Role: auth.External}); !fault.Is(err, fault.Invalid) {
			t.Errorf("an account with %s = %v", bad, err)
		}
	}
	for _, good := range []string{"telemetry of the red car", "garcia likes long ones", "123456789012x!"} {
		if got, err := s.ChangePassword(ctx, p, auth.PasswordChange{Current: password, New: good}); err != nil || got.Err != "" {
			t.Errorf("changing to %s = %+v, %v", good, got, err)
		}
		if err := s.ResetPassword(ctx, operator, p.UserID, password); err != nil {
			t.Fatal(err)
		}
		p, _ = s.Authenticate(ctx, s.signIn(t, "ana.garcia@team.example", password).Token)
	}
}
