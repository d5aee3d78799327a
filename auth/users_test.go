package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

func TestUserManagementRefusals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	admin, internal := s.account(t, auth.Admin), s.account(t, auth.Internal)
	key := auth.Principal{Key: &auth.KeyIdentity{ID: "k", Name: "k", Scope: auth.ScopeAdmin}}
	operations := map[string]func(by auth.Principal, target string) error{
		"set role": func(by auth.Principal, target string) error {
			return s.SetRole(t.Context(), by, target, auth.External)
		},
		"reject": func(by auth.Principal, target string) error { return s.Reject(t.Context(), by, target) },
		"ban":    func(by auth.Principal, target string) error { return s.Ban(t.Context(), by, target) },
		"delete": func(by auth.Principal, target string) error { return s.Delete(t.Context(), by, target) },
		"reset password": func(by auth.Principal, target string) error {
			return s.ResetPassword(t.Context(), by, target, password)
		},
	}
	for name, do := range operations {
		t.Run(name, func(t *testing.T) {
			tests := []struct {
				name   string
				by     auth.Principal
				target string
				want   string
			}{
				{"nobody", auth.Principal{}, internal.UserID, "UNAUTHENTICATED"},
				{"not an admin", internal, admin.UserID, "UNAUTHORIZED"},
				{"oneself", admin, admin.UserID, "INVALID_OPERATION"},
				{"unknown", admin, "nobody", "NOT_FOUND"},
				{"unstorable", admin, "a\x00b", "NOT_FOUND"},
				{"broken UTF-8", key, "\xff", "NOT_FOUND"},
				{"last admin", key, admin.UserID, "LAST_ADMIN"},
			}
			for _, tt := range tests {
				want := tt.want
				if name == "delete" && want == "NOT_FOUND" || want == "LAST_ADMIN" && (name == "reject" || name == "reset password") {
					want = "" // allowed
				}
				err := do(tt.by, tt.target)
				if code(err) != want || (err == nil) != (want == "") {
					t.Errorf("%s: %v (%s), want %q", tt.name, err, code(err), want)
				}
			}
		})
	}
}

func TestSetRole(t *testing.T) {
	t.Parallel()
	s := setup(t)
	admin := s.account(t, auth.Admin)
	up, err := s.SignUp(t.Context(), auth.SignUp{Email: "new@team.example", Password: password, RequestedRole: auth.Internal})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := s.PendingUsers(t.Context(), admin)
	if err != nil || len(pending) != 1 || pending[0].UserID != up.UserID || pending[0].RequestedRole != auth.Internal {
		t.Errorf("PendingUsers = %+v, %v", pending, err)
	}
	users, own := s.version(t, schema.TopicUsers), s.version(t, schema.TopicUser(up.UserID))
	if err := s.SetRole(t.Context(), admin, up.UserID, auth.Internal); err != nil {
		t.Fatal(err)
	}
	if s.version(t, schema.TopicUsers) == users || s.version(t, schema.TopicUser(up.UserID)) == own {
		t.Error("the change was not announced")
	}
	if got := s.role(t, up.Token); got != auth.Internal {
		t.Errorf("the session is %s, want to stay and be internal", got)
	}
	all, err := s.Users(t.Context(), admin)
	if err != nil || len(all) != 2 || all[0].UserID != admin.UserID || all[1].Approval != auth.Approved || all[1].RequestedRole != "" {
		t.Errorf("Users = %+v, %v", all, err)
	}
	events, err := s.Audit(t.Context(), admin, auth.AuditQuery{Name: auth.RoleChanged})
	want := map[string]any{"from": "external", "to": "internal"}
	if err != nil || len(events) != 1 || events[0].ActorID != admin.UserID || !cmp.Equal(want, events[0].Detail) {
		t.Errorf("audit log = %+v, %v", events, err)
	}
	if err := s.SetRole(t.Context(), admin, up.UserID, "root"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown role gives %v", err)
	}
}

func TestReject(t *testing.T) {
	t.Parallel()
	s := setup(t)
	admin := s.account(t, auth.Admin)
	up, _ := s.SignUp(t.Context(), auth.SignUp{Email: "new@team.example", Password: password, RequestedRole: auth.Internal})
	for range 2 {
		if err := s.Reject(t.Context(), admin, up.UserID); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.FindUser(t.Context(), admin, "NEW@team.example")
	if err != nil || got.Role != auth.External || got.Approval != auth.Rejected || got.RequestedRole != "" {
		t.Errorf("after the rejection %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{auth.SignUpSucceeded, auth.UserRejected}, s.events(t, up.UserID)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	// Rejected as external, one keeps external access and may sign in.
	if got := s.signIn(t, "new@team.example", password); got.Err != "" || s.role(t, got.Token) != auth.External {
		t.Errorf("a rejected external account signs in: %+v", got)
	}
}

func TestBan(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := bundle{auth.New(s.pool, auth.Options{Hash: cheap}), s.pool}
	admin := s.account(t, auth.Admin)
	up := s.signUp(t, "bad@team.example")
	if err := s.Ban(t.Context(), admin, up.UserID); err != nil {
		t.Fatal(err)
	}
	if got := other.role(t, up.Token); got != auth.Guest {
		t.Errorf("another instance still sees a %s", got)
	}
	if got := s.signIn(t, "bad@team.example", password); got.Err != "This account is unavailable" {
		t.Errorf("the right password gives %+v", got)
	}
	if got := s.signIn(t, "bad@team.example", "wrong password"); got.Err != "Invalid email or password" {
		t.Errorf("a wrong password gives %+v", got)
	}
	// Without a rejection a guest may sign in, and gets a guest's session.
	if err := s.SetRole(t.Context(), admin, up.UserID, auth.Guest); err != nil {
		t.Fatal(err)
	}
	if got := s.signIn(t, "bad@team.example", password); got.Err != "" {
		t.Errorf("an approved guest signs in: %+v", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := setup(t)
	admin := s.account(t, auth.Admin)
	up := s.signUp(t, "gone@team.example")
	for range 2 {
		if err := s.Delete(t.Context(), admin, up.UserID); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.role(t, up.Token); got != auth.Guest {
		t.Errorf("the deleted account's session is %s", got)
	}
	if diff := cmp.Diff([]string{auth.SignUpSucceeded, auth.UserDeleted, auth.UserDeleted}, s.events(t, up.UserID)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	s.signUp(t, "gone@team.example") // the address is free again
}

// Two administrators who demote, ban or delete one another at the same moment:
// one of them stays.
func TestLastAdminUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := auth.New(s.pool, auth.Options{Hash: cheap})
	a, b := s.account(t, auth.Admin), s.account(t, auth.Admin)
	key := auth.Operator("test")
	operations := []func(*auth.Service, auth.Principal, string) error{
		func(s *auth.Service, by auth.Principal, target string) error {
			return s.SetRole(t.Context(), by, target, auth.External)
		},
		func(s *auth.Service, by auth.Principal, target string) error {
			return s.Ban(t.Context(), by, target)
		},
	}
	for round := range 10 {
		do := operations[round%2]
		byKey := round >= 5 // a key needs no account, so only the count protects
		var wg sync.WaitGroup
		results := make([]error, 2)
		for i, p := range []struct{ by, target auth.Principal }{{a, b}, {b, a}} {
			service := []*auth.Service{s.Service, other}[i]
			by := p.by
			if byKey {
				by = key
			}
			wg.Go(func() { results[i] = do(service, by, p.target.UserID) })
		}
		wg.Wait()
		if (results[0] == nil) == (results[1] == nil) {
			t.Fatalf("round %d: %v and %v, want one refusal", round, results[0], results[1])
		}
		refused := results[0]
		if refused == nil {
			refused = results[1]
		}
		if want := map[bool]string{true: "LAST_ADMIN", false: "UNAUTHORIZED"}[byKey]; code(refused) != want {
			t.Errorf("round %d: refused with %v, want %s", round, refused, want)
		}
		for _, p := range []auth.Principal{a, b} {
			if err := s.SetRole(t.Context(), key, p.UserID, auth.Admin); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRequestUpgrade(t *testing.T) {
	t.Parallel()
	s := setup(t)
	admin := s.account(t, auth.Admin)
	if err := s.RequestUpgrade(t.Context(), auth.Principal{}); code(err) != "UNAUTHENTICATED" {
		t.Errorf("nobody asks: %v", err)
	}
	if err := s.RequestUpgrade(t.Context(), auth.Principal{Role: auth.External, UserID: "gone"}); code(err) != "NOT_FOUND" {
		t.Errorf("a deleted account asks: %v", err)
	}
	for role, want := range map[auth.Role]auth.Approval{auth.Guest: auth.Pending, auth.External: auth.Pending, auth.Internal: auth.Approved, auth.Admin: auth.Approved} {
		p := s.account(t, role)
		for range 2 {
			if err := s.RequestUpgrade(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.CurrentProfile(t.Context(), p)
		if err != nil || got.Approval != want || got.Role != role {
			t.Errorf("a %s who asked is %+v, %v; want %s", role, got, err, want)
		}
		if err := s.Ban(t.Context(), admin, p.UserID); err != nil {
			t.Fatal(err)
		}
		if err := s.RequestUpgrade(t.Context(), p); code(err) != "UNAUTHORIZED" {
			t.Errorf("a banned account asks: %v", err)
		}
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := setup(t)
	up := s.signUp(t, "driver@team.example")
	other := s.signIn(t, "driver@team.example", password)
	p, _ := s.Authenticate(t.Context(), up.Token)
	const next = "a better password"
	try := func(current, next string) auth.Result {
		t.Helper()
		got, err := s.ChangePassword(t.Context(), p, auth.PasswordChange{Current: current, New: next})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := try(password, "short"); got.Err != "Password must be at least 12 characters" {
		t.Errorf("a short password = %+v", got)
	}
	if got := try("wrong password", next); got.Err != "Invalid email or password" {
		t.Errorf("a wrong current password = %+v", got)
	}
	if got := try(password, next); got.Err != "" {
		t.Errorf("changing the password = %+v", got)
	}
	if s.role(t, up.Token) != auth.External || s.role(t, other.Token) != auth.Guest {
		t.Error("want this session to stay and the other one to end")
	}
	if s.signIn(t, "driver@team.example", password).Err == "" || s.signIn(t, "driver@team.example", next).Err != "" {
		t.Error("want the new password to work instead of the old one")
	}
	if err := s.ResetPassword(t.Context(), operator, p.UserID, password); err != nil {
		t.Fatal(err)
	}
	if s.role(t, up.Token) != auth.Guest || s.signIn(t, "driver@team.example", password).Err != "" {
		t.Error("want a reset to end all sessions and set the password")
	}
	for range 9 {
		try("wrong password", next)
	}
	if got := try(password, next); got.RetryAfter == 0 {
		t.Errorf("guessing the current password has no limit: %+v", got)
	}
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	s := setup(t)
	other := auth.New(s.pool, auth.Options{Hash: cheap})
	// Somebody registered the address before.
	early := s.signUp(t, "boss@team.example")
	const secret = "the password of the settings"
	var wg sync.WaitGroup
	made := make([]bool, 2)
	for i, service := range []*auth.Service{s.Service, other} {
		wg.Go(func() {
			var err error
			if made[i], err = service.Bootstrap(t.Context(), "Boss@team.example", secret); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made[0] == made[1] {
		t.Errorf("two instances report %v, want one to have done it", made)
	}
	if s.role(t, early.Token) != auth.Guest || s.signIn(t, "boss@team.example", password).Err == "" {
		t.Error("who registered the address before got in")
	}
	in := s.signIn(t, "boss@team.example", secret)
	if got := s.role(t, in.Token); got != auth.Admin {
		t.Errorf("the first administrator is %s", got)
	}
	if made, err := s.Bootstrap(t.Context(), "second@team.example", secret); err != nil || made {
		t.Errorf("with an administrator there, Bootstrap = %v, %v", made, err)
	}

}

func TestBootstrapOfAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if _, err := s.Bootstrap(t.Context(), "boss@team.example", "short"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short password gives %v", err)
	}
	if made, err := s.Bootstrap(t.Context(), "boss@team.example", password); err != nil || !made {
		t.Errorf("on an empty database Bootstrap = %v, %v", made, err)
	}
	if got := s.role(t, s.signIn(t, "boss@team.example", password).Token); got != auth.Admin {
		t.Errorf("the first administrator is %s", got)
	}
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 5 {
		s.signIn(t, "nobody@team.example", "wrong")
	}
	first, err := s.Audit(t.Context(), operator, auth.AuditQuery{Limit: 2})
	if err != nil || len(first) != 2 || first[0].ID <= first[1].ID || len(first[0].EmailHash) != 64 || first[0].At.IsZero() {
		t.Fatalf("the first page = %+v, %v", first, err)
	}
	rest, err := s.Audit(t.Context(), operator, auth.AuditQuery{Before: first[1].ID})
	if err != nil || len(rest) != 3 || rest[0].ID >= first[1].ID {
		t.Errorf("the rest = %+v, %v", rest, err)
	}
	if _, err := s.Audit(t.Context(), auth.Principal{Role: auth.Internal, UserID: "i"}, auth.AuditQuery{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an internal account reads the log: %v", err)
	}
	if _, err := s.Audit(t.Context(), operator, auth.AuditQuery{Limit: 1001}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a limit of 1001: %v", err)
	}
	if got, err := s.Audit(t.Context(), operator, auth.AuditQuery{UserID: "\x00"}); err != nil || len(got) != 0 {
		t.Errorf("an id that nobody has: %v, %v", got, err)
	}

	kept := bundle{auth.New(s.pool, auth.Options{Hash: cheap, KeepAudit: day}), s.pool}
	s.pass(t, day)
	s.signUp(t, "late@team.example")
	if err := kept.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.events(t, ""); !cmp.Equal(got, []string{auth.SignUpSucceeded}) {
		t.Errorf("after a day the log holds %v", got)
	}
}

func TestImportAccount(t *testing.T) {
	t.Parallel()
	s := setup(t)
	legacy := auth.ImportedAccount{
		ID: "k57abc", Email: "old@team.example", Name: "Old Hand", Role: auth.Internal, Approval: auth.Approved,
		PasswordHash: "f4d7f3d4b3a9b5e6c9d8c3b2a1f0e9d8c7b6a5948372615041302f1e0d9c8b7a", CreatedAt: now,
	}
	steps := []struct {
		name      string
		change    func(*auth.ImportedAccount)
		overwrite bool
		want      auth.ImportOutcome
	}{
		{"new", func(*auth.ImportedAccount) {}, false, auth.Imported},
		{"again", func(a *auth.ImportedAccount) { a.Name = "Ignored" }, false, auth.Unchanged},
		{"overwriting", func(a *auth.ImportedAccount) { a.Role = auth.External }, true, auth.Updated},
	}
	for _, step := range steps {
		a := legacy
		step.change(&a)
		if got, err := s.ImportAccount(t.Context(), operator, a, step.overwrite); err != nil || got != step.want {
			t.Errorf("%s: %s, %v; want %s", step.name, got, err, step.want)
		}
	}
	got, err := s.FindUser(t.Context(), operator, "k57abc")
	want := auth.Profile{UserID: "k57abc", Email: "old@team.example", Name: "Old Hand", Role: auth.External, Approval: auth.Approved, CreatedAt: now}
	got.CreatedAt = got.CreatedAt.UTC()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("imported (-want +got), %v:\n%s", err, diff)
	}
	clash := legacy
	clash.ID = "other"
	if _, err := s.ImportAccount(t.Context(), operator, clash, true); !fault.Is(err, fault.Conflict) {
		t.Errorf("an address that is taken: %v", err)
	}
	for name, spoil := range map[string]func(*auth.ImportedAccount){
		"id":       func(a *auth.ImportedAccount) { a.ID = "" },
		"email":    func(a *auth.ImportedAccount) { a.Email = "x" },
		"name":     func(a *auth.ImportedAccount) { a.Name = "<b>" },
		"role":     func(a *auth.ImportedAccount) { a.Role = "root" },
		"request":  func(a *auth.ImportedAccount) { a.RequestedRole = auth.Admin },
		"approval": func(a *auth.ImportedAccount) { a.Approval = "" },
		"hash":     func(a *auth.ImportedAccount) { a.PasswordHash = "plain text" },
	} {
		a := legacy
		spoil(&a)
		if _, err := s.ImportAccount(t.Context(), operator, a, false); !fault.Is(err, fault.Invalid) {
			t.Errorf("a bad %s: %v", name, err)
		}
	}
	if _, err := s.ImportAccount(t.Context(), auth.Principal{}, legacy, false); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody imports: %v", err)
	}
}

// A thousand wrong sign-ins at once: few get in, the rest is turned away at
// once, and then a user signs in as always.
func TestSignInFlood(t *testing.T) {
	t.Parallel()
	s := setup(t)
	user := s.signUp(t, "driver@team.example")
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 1000 {
		wg.Go(func() {
			got, err := s.SignIn(t.Context(), auth.SignIn{Email: "target@team.example", Password: "wrong", Address: "192.0.2.1"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case fault.Is(err, fault.Unavailable) && fault.As(err).RetryAfter > 0:
				answers["busy"]++
			case err != nil:
				t.Error(err)
			default:
				answers[got.Err]++
			}
		})
	}
	wg.Wait()
	if answers["Invalid email or password"] > 8 || answers["busy"] == 0 {
		t.Errorf("answers %v: want at most 8 looked at, and some turned away", answers)
	}
	got, err := s.SignIn(t.Context(), auth.SignIn{Email: "driver@team.example", Password: password, Address: "192.0.2.2"})
	if err != nil || got.UserID != user.UserID {
		t.Errorf("afterwards SignIn = %+v, %v", got, err)
	}
	// Those behind the same address wait for seconds at most.
	s.pass(t, 2*time.Second)
	got, err = s.SignIn(t.Context(), auth.SignIn{Email: "driver@team.example", Password: password, Address: "192.0.2.1"})
	if err != nil || got.UserID != user.UserID {
		t.Errorf("from the same address SignIn = %+v, %v", got, err)
	}
}

// Clients take any failure of a deletion for a missing function and do
// something else instead, so losing a deadlock must not show.
func TestDeleteSurvivesDeadlock(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "a deadlock takes two backends")
	s := setup(t)
	up := s.signUp(t, "gone@team.example")
	// Another transaction holds a row that the deletion needs, and then wants
	// one that the deletion holds.
	other, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(context.Background())
	if _, err := other.Exec(t.Context(), `SELECT FROM auth_sessions WHERE user_id = $1 FOR UPDATE`, up.UserID); err != nil {
		t.Fatal(err)
	}
	// The deletion notices the deadlock first, and loses.
	if _, err := other.Exec(t.Context(), `SET LOCAL deadlock_timeout = '1min'`); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	go func() { deleted <- s.Delete(t.Context(), operator, up.UserID) }()
	await.Until(t, "the removal waits for the row", func() (waits bool) {
		if err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	if _, err := other.Exec(t.Context(), `SELECT FROM users WHERE id = $1 FOR UPDATE`, up.UserID); err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; err != nil {
		t.Errorf("Delete: %v", err)
	}
	if got := s.role(t, up.Token); got != auth.Guest {
		t.Errorf("the account is %s", got)
	}
}
