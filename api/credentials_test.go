package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/request"
)

// now returns the code that an authenticator shows.
func now(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrong returns six digits that no authenticator shows about now.
func wrong(t *testing.T, secret string) string {
	t.Helper()
	var near []string
	for i := -3; i <= 3; i++ {
		code, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(i)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		near = append(near, code)
	}
	for i := range len(near) + 1 {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(near, code) {
			return code
		}
	}
	panic("more codes than there are steps")
}

// later lets a code that was used be the next one, as half a minute would.
func (s site) later(t *testing.T) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), `UPDATE auth_factors SET last_step = 0`); err != nil {
		t.Fatal(err)
	}
}

// enrol gives the account a second factor and returns its secret and recovery codes.
func (s site) enrol(t *testing.T, bearer string) (secret string, codes []any) {
	t.Helper()
	begun := s.call(t, "POST", "/api/v1/auth/second-factor", bearer, object{"current_password": password})
	secret, _ = begun.body["secret"].(string)
	if begun.status != 201 || !strings.Contains(begun.body["url"].(string), "secret="+secret) || !strings.HasPrefix(begun.body["qr"].(string), "data:image/png;base64,") {
		t.Fatalf("beginning = %+v", begun)
	}
	confirmed := s.call(t, "POST", "/api/v1/auth/second-factor/confirm", bearer, object{"code": now(t, secret)})
	codes, _ = confirmed.body["recovery_codes"].([]any)
	if confirmed.status != 200 || len(codes) != 10 {
		t.Fatalf("confirming = %+v", confirmed)
	}
	s.later(t)
	return secret, codes
}

func (s site) signInAs(t *testing.T, email, code string) reply {
	t.Helper()
	body := object{"email": email, "password": password}
	if code != "" {
		body["code"] = code
	}
	return s.call(t, "POST", "/api/v1/auth/signin", "", body)
}

func TestSecondFactorOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password})
	var bearers []string
	for range 2 {
		bearers = append(bearers, "Bearer "+s.signInAs(t, "ana@team.example", "").body["token"].(string))
	}
	me, other := bearers[0], bearers[1]

	if got := s.call(t, "POST", "/api/v1/auth/second-factor", me, object{"current_password": "wrong"}); got.status != 401 {
		t.Errorf("beginning without the password = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/confirm", me, object{"code": "000000"}); got.status != 409 {
		t.Errorf("confirming before beginning = %+v", got)
	}
	begun := s.call(t, "POST", "/api/v1/auth/second-factor", me, object{"current_password": password})
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/confirm", me, object{"code": wrong(t, begun.body["secret"].(string))}); got.status != 401 {
		t.Errorf("confirming by a wrong code = %+v", got)
	}
	if got := s.signInAs(t, "ana@team.example", ""); got.status != 200 {
		t.Errorf("signing in while nothing is confirmed = %+v", got)
	}
	secret, codes := s.enrol(t, me)
	if got := s.call(t, "GET", "/api/v1/auth/session", other, nil); got.status != 401 {
		t.Errorf("another session after enrolment = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/auth/second-factor", me, nil); got.body["enabled"] != true || got.body["recovery_codes_left"] != 10.0 {
		t.Errorf("the second factor = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor", me, object{"current_password": password}); got.status == 201 {
		t.Errorf("replacing it by the password alone = %+v", got)
	}

	signIn := func(what, code string, status int, detail string) {
		t.Helper()
		if got := s.signInAs(t, "ana@team.example", code); got.status != status || detail != "" && got.body["detail"] != detail {
			t.Errorf("signing in with %s = %+v", what, got)
		}
	}
	if got := s.signInAs(t, "ana@team.example", ""); got.status != 401 || got.body["code"] != auth.CodeNeeded {
		t.Errorf("signing in by the password alone = %+v", got)
	}
	signIn("a wrong code", wrong(t, secret), 401, "Invalid code")
	signIn("another text", "no code", 401, "Invalid code")
	code := now(t, secret)
	signIn("the code", code[:3]+" "+code[3:], 200, "")
	signIn("the code again", code, 401, "This code was used already. Please wait for the next one.")
	signIn("a recovery code", strings.ToLower(codes[0].(string)), 200, "")
	signIn("the recovery code again", codes[0].(string), 401, "Invalid code")
	if got := s.signInAs(t, "ana@team.example", ""); got.body["token"] != nil {
		t.Errorf("the password alone, later = %+v", got)
	}

	renewed := s.call(t, "POST", "/api/v1/auth/second-factor/recovery-codes", me, object{"current_password": password, "code": codes[1]})
	fresh, _ := renewed.body["recovery_codes"].([]any)
	if renewed.status != 200 || len(fresh) != 10 {
		t.Fatalf("renewing = %+v", renewed)
	}
	signIn("a code of before", codes[2].(string), 401, "Invalid code")
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/off", me, object{"current_password": password}); got.status != 401 {
		t.Errorf("turning off without a code = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/off", me, object{"current_password": "wrong", "code": fresh[0]}); got.status != 401 {
		t.Errorf("turning off without the password = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/off", me, object{"current_password": password, "code": fresh[0]}); got.status != 204 {
		t.Errorf("turning off = %+v", got)
	}
	signIn("nothing, after it was turned off", "", 200, "")
	for _, never := range append(codes, secret, "otpauth") {
		if strings.Contains(s.log.String(), never.(string)) {
			t.Errorf("the log holds %s", never)
		}
		var held int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth_audit a WHERE strpos(a::text, $1) > 0`, never).Scan(&held); err != nil || held > 0 {
			t.Errorf("the audit log holds %s %d times, %v", never, held, err)
		}
	}
}

// Codes are guessed no more often than passwords, also by who knows the password,
// and by who has an app password besides.
func TestCodesAreThrottled(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	me := "Bearer " + s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password}).body["token"].(string)
	secret, codes := s.enrol(t, me)
	app := s.call(t, "POST", "/api/v1/auth/app-passwords", me, object{"name": "wall", "current_password": password, "code": codes[0]}).body["app_password"].(string)
	bad := wrong(t, secret)
	refused := 0
	for i := range 8 {
		if i%2 == 0 { // no more: an account has 8 sessions
			if got, err := s.auth.SignIn(t.Context(), auth.SignIn{Email: "ana@team.example", Password: app, App: true}); err != nil || got.Err != "" {
				t.Fatalf("signing in by the app password = %+v, %v", got, err)
			}
		}
		if got := s.signInAs(t, "ana@team.example", bad); got.status == 401 {
			refused++
		}
	}
	if got := s.signInAs(t, "ana@team.example", now(t, secret)); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("the right code after %d wrong ones = %+v", refused, got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/off", me, object{"current_password": password, "code": codes[1]}); got.status != 429 {
		t.Errorf("turning off then = %+v", got)
	}
}

// Clients of the function contract know e-mail and password alone: an account with a
// second factor lets them in by an app password, and by the account's own on no path.
func TestAppPasswords(t *testing.T) {
	t.Parallel()
	d := daemontest.Start(t, daemon.Config{HashMemory: 64, HashIterations: 1})
	s := site{url: d.URL(), auth: d.Auth}
	operator := auth.Operator("test")
	id, err := d.Auth.CreateAccount(t.Context(), operator, auth.NewAccount{Email: "ana@team.example", Password: password, Role: auth.Internal})
	if err != nil {
		t.Fatal(err)
	}
	function := func(password string) string {
		t.Helper()
		var answers []string
		for _, args := range []string{
			fmt.Sprintf(`{"email":"ana@team.example","password":%q}`, password),
			fmt.Sprintf(`{"provider":"password","params":{"email":"ana@team.example","password":%q,"flow":"signIn"}}`, password),
		} {
			_, _, text := request.Send(t, "POST", d.URL()+"/api/action", fmt.Sprintf(`{"path":"auth:signIn","args":%s,"format":"json"}`, args))
			answers = append(answers, text)
		}
		if strings.Contains(answers[0], "token") != strings.Contains(answers[1], "token") {
			t.Errorf("the two forms differ: %s", answers)
		}
		return answers[0]
	}
	if got := function(password); !strings.Contains(got, "token") {
		t.Fatalf("the password before there is a second factor: %s", got)
	}
	me := "Bearer " + s.signInAs(t, "ana@team.example", "").body["token"].(string)
	begun := s.call(t, "POST", "/api/v1/auth/second-factor", me, object{"current_password": password})
	secret := begun.body["secret"].(string)
	codes := s.call(t, "POST", "/api/v1/auth/second-factor/confirm", me, object{"code": now(t, secret)}).body["recovery_codes"].([]any)

	make := func(name, code any) reply {
		t.Helper()
		return s.call(t, "POST", "/api/v1/auth/app-passwords", me, object{"name": name, "current_password": password, "code": code})
	}
	if got := make("wall", "000"); got.status != 401 {
		t.Errorf("making one without a code = %+v", got)
	}
	if got := make("\x00", codes[0]); got.status != 400 {
		t.Errorf("making one without a name = %+v", got)
	}
	made := make(" wall ", codes[0]) // the refusal before took nothing
	app, _ := made.body["app_password"].(string)
	if made.status != 201 || made.body["name"] != "wall" || len(app) < 43 {
		t.Fatalf("making one = %+v", made)
	}

	if got := function(password); strings.Contains(got, `"token"`) || !strings.Contains(got, "app password") {
		t.Errorf("the account's own password lets in: %s", got)
	}
	if got := function("wrong password"); !strings.Contains(got, "Invalid email or password") {
		t.Errorf("a wrong one: %s", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/signin", "", object{"email": "ana@team.example", "password": app, "code": codes[1]}); got.status != 401 {
		t.Errorf("the app password over REST = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password}); got.status != 409 {
		t.Errorf("signing up again = %+v", got)
	}
	answer := function(app)
	_, token, _ := strings.Cut(answer, `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if got := s.call(t, "GET", "/api/v1/auth/session", "Bearer "+token, nil); got.status != 200 || got.body["user"].(object)["role"] != "internal" {
		t.Fatalf("the session of %s = %+v", answer, got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/password", "Bearer "+token, object{"current_password": password, "new_password": password + "2"}); got.status != 403 {
		t.Errorf("its session changes the password = %+v", got)
	}
	list := s.call(t, "GET", "/api/v1/auth/app-passwords", me, nil).body["app_passwords"].([]any)
	if len(list) != 1 || list[0].(object)["last_used_at"] == nil || list[0].(object)["app_password"] != nil {
		t.Errorf("the list = %v", list)
	}
	stranger := "Bearer " + s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "bob@team.example", "password": password}).body["token"].(string)
	path := "/api/v1/auth/app-passwords/" + list[0].(object)["id"].(string)
	if got := s.call(t, "DELETE", path, stranger, nil); got.status != 404 {
		t.Errorf("a stranger revokes it = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/app-passwords", stranger, object{"name": "x", "current_password": password, "code": ""}); got.status != 409 {
		t.Errorf("one without a second factor = %+v", got)
	}
	if got := s.call(t, "DELETE", path, me, nil); got.status != 204 {
		t.Errorf("revoking it = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", "Bearer "+token, nil); got.status != 401 {
		t.Errorf("its session after that = %+v", got)
	}
	if got := function(app); strings.Contains(got, "token") {
		t.Errorf("it after that: %s", got)
	}

	// An administrator resets the second factor of who has lost everything.
	admin := s.as(t, auth.Admin)
	if got := s.call(t, "DELETE", "/api/v1/users/"+id+"/second-factor", admin, nil); got.status != 204 {
		t.Errorf("resetting = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", me, nil); got.status != 401 {
		t.Errorf("the account's session after that = %+v", got)
	}
	if got := function(password); !strings.Contains(got, `"token"`) {
		t.Errorf("its password after that: %s", got)
	}
	reset := s.call(t, "GET", "/api/v1/audit?event=second_factor_off&user="+id, admin, nil).body["events"].([]any)
	if len(reset) != 1 || reset[0].(object)["actor_user_id"] == nil {
		t.Errorf("the audit log has %v", reset)
	}
}

func TestAppPasswordsAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	me := "Bearer " + s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password}).body["token"].(string)
	secret, _ := s.enrol(t, me)
	for i := range 21 {
		want := 201
		if i == 20 {
			want = 409
		}
		s.later(t)
		got := s.call(t, "POST", "/api/v1/auth/app-passwords", me, object{"name": "wall", "current_password": password, "code": now(t, secret)})
		if got.status != want {
			t.Fatalf("app password %d = %+v", i, got)
		}
	}
}

// A second factor that nobody confirms is forgotten.
func TestPendingFactorExpires(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	me := s.as(t, auth.External)
	begun := s.call(t, "POST", "/api/v1/auth/second-factor", me, object{"current_password": password})
	if _, err := s.pool.Exec(t.Context(), `UPDATE auth_factors SET created_at = created_at - interval '16 min'`); err != nil {
		t.Fatal(err)
	}
	if got := s.call(t, "POST", "/api/v1/auth/second-factor/confirm", me, object{"code": now(t, begun.body["secret"].(string))}); got.status != 409 {
		t.Errorf("confirming after 16 minutes = %+v", got)
	}
	if err := s.auth.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth_factors`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d are left, %v", left, err)
	}
}

// Where the settings demand it, an administrator without a second factor has the
// rights of an internal account, and is told why.
func TestAdminsNeedFactor(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{}, func(o *auth.Options) { o.AdminsNeedFactor = true })
	admin := s.as(t, auth.Admin)
	if got := s.call(t, "GET", "/api/v1/users", admin, nil); got.status != 403 || got.body["code"] != "SECOND_FACTOR_MISSING" {
		t.Errorf("listing users without one = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/sessions", admin, nil); got.status != 200 {
		t.Errorf("listing runs without one = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", admin, nil); got.body["second_factor_required"] != true {
		t.Errorf("the session = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/sessions", s.as(t, auth.Internal), nil); got.status != 200 {
		t.Errorf("another account = %+v", got)
	}
	s.enrol(t, admin)
	if got := s.call(t, "GET", "/api/v1/users", admin, nil); got.status != 200 {
		t.Errorf("listing users with one = %+v", got)
	}
}

// The secret of a second factor opens under the pepper, or a former one, alone.
func TestSealedFactor(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{}, func(o *auth.Options) { o.Pepper = "grains" })
	secret, _ := s.enrol(t, s.as(t, auth.External))
	var stored string
	if err := s.pool.QueryRow(t.Context(), `SELECT secret FROM auth_factors`).Scan(&stored); err != nil || strings.Contains(stored, secret) || strings.HasPrefix(stored, "p0$") {
		t.Errorf("stored %s, %v", stored, err)
	}
	for _, tt := range []struct {
		options auth.Options
		works   bool
	}{
		{auth.Options{Pepper: "grains"}, true},
		{auth.Options{Pepper: "other"}, false},
		{auth.Options{Pepper: "new grains", FormerPeppers: []string{"grains"}}, true},
		{auth.Options{Pepper: "new grains"}, true}, // sealed anew by the one before
	} {
		s.later(t)
		got, err := auth.New(s.pool, tt.options).SignIn(t.Context(), auth.SignIn{Email: "external@roles.example", Password: password, Code: now(t, secret)})
		if works := err == nil && got.Err == ""; works != tt.works {
			t.Errorf("with %+v: %+v, %v", tt.options, got, err)
		}
	}
}

// Who owns an account is told of what happened to its credentials, until they
// dismiss it.
func TestNotices(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin, me := s.as(t, auth.Admin), s.as(t, auth.Internal)
	id := s.call(t, "GET", "/api/v1/auth/session", me, nil).body["user"].(object)["user_id"].(string)
	secret, codes := s.enrol(t, me)
	if got := s.call(t, "POST", "/api/v1/users/"+id+"/password", admin, object{"new_password": password}); got.status != 204 {
		t.Fatalf("resetting the password = %+v", got)
	}
	me = "Bearer " + s.signInAs(t, "internal@roles.example", codes[0].(string)).body["token"].(string)
	s.call(t, "POST", "/api/v1/auth/password", me, object{"current_password": password, "new_password": password + "2"})
	notices := s.call(t, "GET", "/api/v1/auth/notices", me, nil).body["notices"].([]any)
	var seen []string
	for _, n := range notices {
		n := n.(object)
		seen = append(seen, fmt.Sprint(n["event"], " ", n["client_address"], " ", n["by_administrator"]))
	}
	want := []string{"password_changed 127.0.0.1 false", "recovery_code_used 127.0.0.1 false", "password_changed 127.0.0.1 true", "second_factor_on 127.0.0.1 false"}
	if !slices.Equal(seen, want) {
		t.Errorf("notices = %q, want %q", seen, want)
	}
	if got := s.call(t, "GET", "/api/v1/auth/session", me, nil); got.body["notices"] != 4.0 {
		t.Errorf("the session = %+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/auth/notices/dismiss", me, object{"through": notices[1].(object)["id"]}); got.status != 204 {
		t.Errorf("dismissing = %+v", got)
	}
	if left := s.call(t, "GET", "/api/v1/auth/notices", me, nil).body["notices"].([]any); len(left) != 1 || left[0].(object)["event"] != "password_changed" {
		t.Errorf("left = %v", left)
	}
	// One may not dismiss what is yet to come.
	s.call(t, "POST", "/api/v1/auth/notices/dismiss", me, object{"through": int64(1) << 60})
	s.later(t)
	s.call(t, "POST", "/api/v1/auth/app-passwords", me, object{"name": "wall", "current_password": password + "2", "code": now(t, secret)})
	if left := s.call(t, "GET", "/api/v1/auth/notices", me, nil).body["notices"].([]any); len(left) != 1 || left[0].(object)["event"] != "app_password_created" {
		t.Errorf("after dismissing all and making an app password: %v", left)
	}
}

func TestUnban(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	id := s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": "ana@team.example", "password": password}).body["user_id"].(string)
	for _, step := range []struct {
		path   string
		role   string
		signIn int
	}{
		{"/unban", "external", 200}, // was not banned
		{"/ban", "guest", 403}, {"/unban", "external", 200}, {"/unban", "external", 200},
	} {
		if got := s.call(t, "POST", "/api/v1/users/"+id+step.path, admin, nil); got.status != 200 || got.body["role"] != step.role {
			t.Errorf("%s = %+v", step.path, got)
		}
		if got := s.signInAs(t, "ana@team.example", ""); got.status != step.signIn {
			t.Errorf("signing in after %s = %+v", step.path, got)
		}
	}
	if got := s.call(t, "POST", "/api/v1/users/none/unban", admin, nil); got.status != 404 {
		t.Errorf("unbanning nobody = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/audit?event=user_unbanned", admin, nil); len(got.body["events"].([]any)) != 1 {
		t.Errorf("the audit log = %+v", got)
	}
}

// The audit log is read by subject, actor, event and time, page by page.
func TestAuditFilters(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	boss := s.call(t, "GET", "/api/v1/auth/session", admin, nil).body["user"].(object)["user_id"].(string)
	var ids []string
	for i := range 3 {
		id := s.call(t, "POST", "/api/v1/auth/signup", "", object{"email": fmt.Sprintf("u%d@team.example", i), "password": password}).body["user_id"].(string)
		s.call(t, "PATCH", "/api/v1/users/"+id, admin, object{"role": "internal"})
		s.call(t, "POST", "/api/v1/users/"+id+"/ban", "Bearer admin|key:1", nil)
		ids = append(ids, id)
	}
	count := func(query string) int {
		t.Helper()
		n, cursor := 0, ""
		for {
			got := s.call(t, "GET", "/api/v1/audit?limit=2&"+query+cursor, admin, nil)
			if got.status != 200 {
				t.Fatalf("%s = %+v", query, got)
			}
			n += len(got.body["events"].([]any))
			next, more := got.body["next_cursor"].(string)
			if !more {
				return n
			}
			cursor = "&cursor=" + next
		}
	}
	at := s.call(t, "GET", "/api/v1/audit?event=role_changed&user="+ids[1], admin, nil).body["events"].([]any)[0].(object)["at"].(string)
	for query, want := range map[string]int{
		"event=role_changed":                           3,
		"user=" + ids[0]:                               3,
		"actor=" + boss:                                3,
		"actor=static":                                 3,
		"actor=static&user=" + ids[2]:                  1,
		"actor=" + boss + "&event=user_banned":         0,
		"event=role_changed&from=" + at:                2,
		"event=role_changed&to=" + at:                  1,
		"event=role_changed&from=2999-01-01T00:00:00Z": 0,
		"actor=%00":                                    0,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d entries, want %d", query, got, want)
		}
	}
}
