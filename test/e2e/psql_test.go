package e2e

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// TestPsqlIsTheAnalysts opens psql on a database of telemetryd's own: what the
// session may do is the analyst's, whatever is typed, unless the owner is asked
// for.
func TestPsqlIsTheAnalysts(t *testing.T) {
	t.Parallel()
	if _, err := pgserver.Find(t.Context(), "", 0); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	psql := func(args ...string) (string, error) {
		t.Helper()
		cmd := exec.Command(program(t), append([]string{"psql"}, args...)...)
		cmd.Env, cmd.Dir = environment("TELEMETRYD_DATA_DIR="+dir+"/data"), dir
		out, err := cmd.Output() // beside it, the log tells of the server
		return string(out), err
	}
	stored := exec.Command(program(t), "import", "--quiet", "--session-id", "run", "-")
	stored.Env, stored.Dir, stored.Stdin = environment("TELEMETRYD_DATA_DIR="+dir+"/data"), dir, strings.NewReader(`{"timestamp":"2026-06-03T10:00:00Z","speed_ms":3}`)
	if out, err := stored.CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	out, err := psql("--", "-Atq", "-c", "SET ROLE NONE; SET SESSION AUTHORIZATION DEFAULT; RESET ALL", "-c",
		"SELECT session_user, current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = session_user), current_setting('temp_file_limit'), (SELECT count(*) FROM records)")
	if err != nil || strings.TrimSpace(out) != "telemetry_analyst|telemetry_analyst|f|2GB|1" {
		t.Errorf("psql said %s, %v", out, err)
	}
	statements := []string{
		"COPY (SELECT 1) TO PROGRAM 'cat'", "SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE t (i int)", "SELECT lo_create(0)",
		"DELETE FROM public.telemetry", "SELECT * FROM public.users", "SET temp_file_limit = -1", "ALTER ROLE telemetry_analyst RESET temp_file_limit",
	}
	args := []string{"--", "-q", "-c", "SET ROLE NONE; SET default_transaction_read_only = off"}
	for _, statement := range statements {
		args = append(args, "-c", statement, "-c", `\echo :SQLSTATE`)
	}
	out, err = psql(args...)
	said := strings.Fields(out)
	if err != nil || len(said) != len(statements) {
		t.Fatalf("psql said %s, %v", out, err)
	}
	for i, statement := range statements {
		if said[i] != "42501" { // insufficient_privilege
			t.Errorf("%s: %s", statement, said[i])
		}
	}
	if out, err := psql("--owner", "--", "-Atc", "SELECT rolsuper FROM pg_roles WHERE rolname = session_user"); err != nil || strings.TrimSpace(out) != "t" {
		t.Errorf("the owner: %s, %v", out, err)
	}
}

// analystURL is how analysts sign in to the test's database.
func analystURL(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(dbtest.URL(t))
	if err == nil {
		_, err = dbtest.New(t).Exec(t.Context(), "ALTER ROLE telemetry_analyst PASSWORD 'read'")
	}
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("telemetry_analyst", "read")
	return u.String()
}

// TestPsqlElsewhere opens psql on a database that somebody else runs.
func TestPsqlElsewhere(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, whoever connects")
	owner, analyst := dbtest.URL(t), analystURL(t)
	const who = "SELECT session_user || ' ' || count(*) FROM sessions"
	for _, test := range []struct {
		name, says string
		ok         bool
		env        []string
		args       []string
	}{
		{"by the owner's address", "TELEMETRYD_ANALYST_URL", false, []string{"TELEMETRYD_DATABASE_URL=" + owner}, nil},
		{"by an analyst's", "telemetry_analyst 0", true, []string{"TELEMETRYD_DATABASE_URL=" + owner, "TELEMETRYD_ANALYST_URL=" + analyst}, nil},
		{"by an analyst's alone", "telemetry_analyst 0", true, []string{"TELEMETRYD_ANALYST_URL=" + analyst}, nil},
		{"by a superuser's", "superuser", false, []string{"TELEMETRYD_ANALYST_URL=" + owner}, nil},
		{"as the owner", " 0", true, []string{"TELEMETRYD_DATABASE_URL=" + owner}, []string{"--owner"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program(t), append(append([]string{"psql"}, test.args...), "--", "-Atc", who)...)
			cmd.Env, cmd.Dir = environment(test.env...), t.TempDir()
			out, err := cmd.CombinedOutput()
			if (err == nil) != test.ok || !strings.Contains(string(out), test.says) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
