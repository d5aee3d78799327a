package auth_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

func TestSignUpThenIn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	up, err := s.SignUp(t.Context(), auth.SignUp{Email: " Driver@Team.Example ", Password: password, Name: "  Ana   Lo\u0301pez "})
	if err != nil || !auth.WellFormedToken(up.Token) || up.UserID == "" || up.Err != "" {
		t.Fatalf("SignUp = %+v, %v", up, err)
	}
	if left := time.Until(up.ExpiresAt); left < 30*day-time.Minute || left > 30*day+time.Minute {
		t.Errorf("the first session lasts %v, want 30 days", left)
	}
	in := s.signIn(t, "DRIVER@team.example", password)
	if in.UserID != up.UserID || in.Token == up.Token {
		t.Errorf("SignIn = %+v, want another token of %s", in, up.UserID)
	}
	if left := time.Until(in.ExpiresAt); left < 12*time.Hour-time.Minute || left > 12*time.Hour+time.Minute {
		t.Errorf("the session lasts %v, want 12 hours", left)
	}
	remembered, err := s.SignIn(t.Context(), auth.SignIn{Email: "driver@team.example", Password: password, Remember: true})
	if left := time.Until(remembered.ExpiresAt); err != nil || left < 30*day-time.Minute {
		t.Errorf("the remembered session lasts %v (%v), want 30 days", left, err)
	}
	p, err := s.Authenticate(t.Context(), in.Token)
	if err != nil || p.Role != auth.External || p.UserID != up.UserID || !p.ExpiresAt.Equal(in.ExpiresAt) {
		t.Errorf("Authenticate = %+v, %v", p, err)
	}
	profile, err := s.CurrentProfile(t.Context(), p)
	if err != nil || profile.Email != "driver@team.example" || profile.Name != "Ana L\u00f3pez" || profile.Approval != auth.Approved {
		t.Errorf("CurrentProfile = %+v, %v", profile, err)
	}
	want := []string{auth.SignUpSucceeded, auth.SignInSucceeded, auth.SignInSucceeded}
	if diff := cmp.Diff(want, s.events(t, up.UserID)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	// Neither the token nor the password is anywhere in the database.
	var stored string
	err = s.pool.QueryRow(t.Context(), `
		SELECT (SELECT string_agg(u::text, '|') FROM users u) || (SELECT string_agg(s::text, '|') FROM auth_sessions s) ||
		       (SELECT string_agg(a::text, '|') FROM auth_audit a)`).Scan(&stored)
	if err != nil || strings.Contains(stored, in.Token) || strings.Contains(stored, password) {
		t.Errorf("secrets in the tables (%v): %s", err, stored)
	}
}

func TestSignUpMistakes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.signUp(t, "taken@team.example")
	tests := []struct {
		email, name, password, want string
	}{
		{"nobody", "", password, "Enter a valid email address"},
		{"a@team.example", "Bobby; DROP", password, "Name may contain letters, numbers, spaces, apostrophes, periods, and hyphens"},
		{"a@team.example", strings.Repeat("x", 81), password, "Name may contain letters, numbers, spaces, apostrophes, periods, and hyphens"},
		{"a@team.example", "Ana", "elevenchars", "Password must be at least 12 characters"},
		{"a@team.example", "Ana", "", "Password must be at least 12 characters"},
		{"a@team.example", "Ana", strings.Repeat("x", 129), "Password must be at most 128 characters"},
		{"nobody", "<", "short", "Enter a valid email address"}, // e-mail, name, password in this order
		{"a@team.example", "<", "short", "Name may contain letters, numbers, spaces, apostrophes, periods, and hyphens"},
		{"TAKEN@team.example", "Ana", password, "Unable to create an account with those details"},
	}
	for _, tt := range tests {
		got, err := s.SignUp(t.Context(), auth.SignUp{Email: tt.email, Name: tt.name, Password: tt.password})
		if err != nil || got.Err != tt.want || got.Token != "" {
			t.Errorf("SignUp(%s, %.10s, %.10s) = %+v, %v; want %q", tt.email, tt.name, tt.password, got, err, tt.want)
		}
	}
	for i, good := range []string{strings.Repeat("\U0001F600", 6), "   spaces   ", strings.Repeat("x", 128)} {
		email := string(rune('a'+i)) + "@good.example"
		if got, err := s.SignUp(t.Context(), auth.SignUp{Email: email, Password: good}); err != nil || got.Err != "" {
			t.Errorf("SignUp with %.20q = %+v, %v", good, got, err)
		}
		if got := s.signIn(t, email, good); got.Err != "" {
			t.Errorf("SignIn with %.20q: %s", good, got.Err)
		}
	}
	if got := s.signIn(t, "b@good.example", "spaces"); got.Err == "" {
		t.Error("the password was trimmed")
	}
}

func TestSignUpAskingForInternal(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for role, want := range map[auth.Role]auth.Approval{auth.Internal: auth.Pending, auth.External: auth.Approved, auth.Admin: auth.Approved, "": auth.Approved} {
		got, err := s.SignUp(t.Context(), auth.SignUp{Email: "x" + string(role) + "@team.example", Password: password, RequestedRole: role})
		if err != nil {
			t.Fatal(err)
		}
		profile, err := s.FindUser(t.Context(), operator, got.UserID)
		if err != nil || profile.Role != auth.External || profile.Approval != want || (profile.RequestedRole == auth.Internal) != (role == auth.Internal) {
			t.Errorf("asking for %q: %+v, %v; want external, %s", role, profile, err, want)
		}
	}
}

func TestSignInMistakes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.signUp(t, "known@team.example")
	tests := []struct{ email, password, want string }{
		{"", password, "Email and password are required"},
		{"known@team.example", "", "Email and password are required"},
		{"not an address", password, "Invalid email or password"},
		{"known@team.example", strings.Repeat("x", 129), "Invalid email or password"},
		{"known@team.example", "wrong", "Invalid email or password"},
		{"unknown@team.example", password, "Invalid email or password"},
		{"known@team.example", password + " ", "Invalid email or password"},
	}
	for _, tt := range tests {
		if got := s.signIn(t, tt.email, tt.password); got.Err != tt.want || got.Token != "" || got.RetryAfter != 0 {
			t.Errorf("SignIn(%s, %.10s) = %+v, want %q", tt.email, tt.password, got, tt.want)
		}
	}
}

// The contract's limit, counted by two instances together.
func TestAttemptLimit(t *testing.T) {
	t.Parallel()
	s := setup(t)
	instances := []bundle{s, {auth.New(s.pool, auth.Options{Hash: cheap}), s.pool}}
	user := s.signUp(t, "target@team.example")
	const blocked = "Too many attempts. Please try again later."

	for i := range 8 {
		if got := instances[i%2].signIn(t, "target@team.example", "wrong"); got.Err != "Invalid email or password" {
			t.Fatalf("attempt %d = %+v", i+1, got)
		}
	}
	// The ninth blocks, even with the right password, for 15 minutes.
	if got := instances[0].signIn(t, "target@team.example", password); got.Err != blocked || got.RetryAfter != 15*time.Minute {
		t.Errorf("the ninth attempt = %+v, want a block of 15 minutes", got)
	}
	s.pass(t, 5*time.Minute)
	if got := instances[1].signIn(t, "target@team.example", password); got.Err != blocked || got.RetryAfter > 10*time.Minute || got.RetryAfter < 9*time.Minute {
		t.Errorf("5 minutes later = %+v, want what remains", got)
	}
	if got := instances[1].signIn(t, "other@team.example", "wrong"); got.Err != "Invalid email or password" {
		t.Errorf("another account = %+v", got)
	}
	s.pass(t, 10*time.Minute)
	if got := instances[1].signIn(t, "target@team.example", password); got.Err != "" {
		t.Errorf("15 minutes later = %+v", got)
	}
	events := s.events(t, "")
	if n := len(slices.DeleteFunc(slices.Clone(events), func(e string) bool { return e != auth.SignInBlocked })); n != 1 {
		t.Errorf("the block was recorded %d times in %v", n, events)
	}
	_ = user
}

// TestSignInOutcomes hears how sign-ins end, for who watches the service.
func TestSignInOutcomes(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	heard := map[string]int{}
	s := bundle{auth.New(pool, auth.Options{Hash: cheap, OnSignIn: func(outcome string) { heard[outcome]++ }}), pool}
	s.signUp(t, "driver@team.example")
	s.signIn(t, "driver@team.example", password)
	for range 10 {
		s.signIn(t, "driver@team.example", "wrong")
	}
	s.signIn(t, "nobody at all", password)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.SignIn(gone, auth.SignIn{Email: "driver@team.example", Password: password}); err == nil {
		t.Error("a sign-in that was given up succeeded")
	}
	if diff := cmp.Diff(map[string]int{"succeeded": 1, "refused": 9, "blocked": 2, "failed": 1}, heard); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestAttemptWindow(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.signUp(t, "target@team.example")
	for range 7 {
		s.signIn(t, "target@team.example", "wrong")
	}
	if got := s.signIn(t, "target@team.example", password); got.Err != "" {
		t.Fatalf("the eighth attempt = %+v", got)
	}
	// Success forgot the seven.
	for i := range 8 {
		if got := s.signIn(t, "target@team.example", "wrong"); got.RetryAfter != 0 {
			t.Fatalf("attempt %d after a success = %+v", i+1, got)
		}
	}
	// A new window begins 15 minutes after the first attempt of the old one.
	s.pass(t, 15*time.Minute)
	for i := range 8 {
		if got := s.signIn(t, "target@team.example", "wrong"); got.RetryAfter != 0 {
			t.Fatalf("attempt %d of the next window = %+v", i+1, got)
		}
	}
	if got := s.signIn(t, "target@team.example", "wrong"); got.RetryAfter == 0 {
		t.Error("the next window has no limit")
	}
}

func TestSignUpLimit(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.signUp(t, "taken@team.example")
	for i := range 9 {
		got, err := s.SignUp(t.Context(), auth.SignUp{Email: "taken@team.example", Password: password})
		if err != nil || (got.RetryAfter != 0) != (i == 8) {
			t.Errorf("attempt %d = %+v, %v", i+1, got, err)
		}
	}
	if events := s.events(t, ""); events[len(events)-1] != auth.SignUpBlocked {
		t.Errorf("audit log ends with %s", events[len(events)-1])
	}
}

// However many instances and attempts at once: no more than eight are looked at.
func TestAttemptLimitUnderConcurrency(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	options := auth.Options{Hash: cheap, HashSlots: 4, HashQueue: 1000}
	instances := []*auth.Service{auth.New(pool, options), auth.New(pool, options)}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		looked  int
		refused int
	)
	for i := range 60 {
		wg.Go(func() {
			got, err := instances[i%2].SignIn(t.Context(), auth.SignIn{Email: "target@team.example", Password: "wrong"})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got.RetryAfter == 0 {
				looked++
			} else {
				refused++
			}
		})
	}
	wg.Wait()
	if looked != 8 || refused != 52 {
		t.Errorf("%d attempts were looked at and %d refused, want 8 and 52", looked, refused)
	}
}

func TestAddressLimit(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	options := auth.Options{Hash: cheap, AddressBurst: 3, AddressEvery: time.Minute}
	b := bundle{auth.New(pool, options), pool}
	other := auth.New(pool, options)
	try := func(s *auth.Service, address, email string) auth.Result {
		t.Helper()
		got, err := s.SignIn(t.Context(), auth.SignIn{Email: email, Password: "wrong", Address: address})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	// One network, whatever the host part and the account.
	for i, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"} {
		if got := try(b.Service, address, string(rune('a'+i))+"@x.example"); got.RetryAfter != 0 {
			t.Errorf("attempt %d = %+v", i+1, got)
		}
	}
	if got := try(other, "2001:db8::3", "d@x.example"); got.Err != "Too many attempts. Please try again later." || got.RetryAfter <= 0 || got.RetryAfter > time.Minute {
		t.Errorf("the fourth attempt = %+v, want to be refused for up to a minute", got)
	}
	if got := try(other, "2001:db8:0:1::3", "d@x.example"); got.RetryAfter != 0 {
		t.Errorf("another network = %+v", got)
	}
	b.pass(t, time.Minute)
	if got := try(other, "2001:db8::3", "d@x.example"); got.RetryAfter != 0 {
		t.Errorf("a minute later = %+v", got)
	}
	if got := try(other, "2001:db8::3", "d@x.example"); got.RetryAfter == 0 {
		t.Error("a minute gave back more than one attempt")
	}
}

func TestSessionsOfOneAccount(t *testing.T) {
	t.Parallel()
	s := setup(t)
	tokens := []string{s.signUp(t, "many@team.example").Token}
	for range 8 {
		tokens = append(tokens, s.signIn(t, "many@team.example", password).Token)
	}
	for i, token := range tokens {
		want := auth.External
		if i == 0 {
			want = auth.Guest // evicted by the ninth
		}
		if got := s.role(t, token); got != want {
			t.Errorf("session %d is %s, want %s", i+1, got, want)
		}
	}
}

func TestConcurrentSignInsKeepTheBound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	up := s.signUp(t, "many@team.example")
	other := auth.New(s.pool, auth.Options{Hash: cheap, HashSlots: 4})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			service := s.Service
			if i%2 == 0 {
				service = other
			}
			if got, err := service.SignIn(t.Context(), auth.SignIn{Email: "many@team.example", Password: password}); err != nil || got.Err != "" {
				t.Errorf("SignIn = %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth_sessions WHERE user_id = $1`, up.UserID).Scan(&n); err != nil || n != 8 {
		t.Errorf("%d sessions (%v), want 8", n, err)
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := bundle{auth.New(s.pool, auth.Options{Hash: cheap}), s.pool}
	up := s.signUp(t, "driver@team.example")
	topic := schema.TopicUser(up.UserID)
	before := s.version(t, topic)
	for range 2 {
		if err := s.SignOut(t.Context(), up.Token, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := other.role(t, up.Token); got != auth.Guest {
		t.Errorf("after signing out another instance sees a %s", got)
	}
	if after := s.version(t, topic); after != before+1 {
		t.Errorf("announced %d times, want once", after-before)
	}
	if diff := cmp.Diff([]string{auth.SignUpSucceeded, auth.SignedOut}, s.events(t, up.UserID)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	for _, token := range []string{"", "short", strings.Repeat("é", 43), "\x00"} {
		if err := s.SignOut(t.Context(), token, ""); err != nil {
			t.Errorf("SignOut(%q): %v", token, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := setup(t)
	up := s.signUp(t, "driver@team.example")
	in := s.signIn(t, "driver@team.example", password)
	if session, err := s.VerifySession(t.Context(), in.Token); err != nil || session == nil || session.UserID != up.UserID || session.Persistent || session.ID == "" {
		t.Errorf("VerifySession = %+v, %v", session, err)
	}
	s.pass(t, 12*time.Hour)
	if got := s.role(t, in.Token); got != auth.Guest {
		t.Errorf("an expired session is %s before any clean-up", got)
	}
	if session, err := s.VerifySession(t.Context(), in.Token); err != nil || session != nil {
		t.Errorf("VerifySession of an expired session = %+v, %v", session, err)
	}
	if session, err := s.VerifySession(t.Context(), up.Token); err != nil || session == nil || !session.Persistent {
		t.Errorf("VerifySession of the 30-day session = %+v, %v", session, err)
	}

	before := s.version(t, schema.TopicUser(up.UserID))
	for range 2 {
		if err := s.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := s.version(t, schema.TopicUser(up.UserID)); after != before+1 {
		t.Errorf("the expiry was announced %d times, want once", after-before)
	}
	events := s.events(t, up.UserID)
	if events[len(events)-1] != auth.SessionExpired {
		t.Errorf("audit log = %v, want session_expired last", events)
	}
	if got := s.role(t, up.Token); got != auth.External {
		t.Errorf("the clean-up ended a live session: %s", got)
	}
}
