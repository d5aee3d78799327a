package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/doctor"
)

func TestGoodDatabasePasses(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	if err := doctor.Require(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	findings, err := doctor.Database(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range findings {
		seen[f.Subject] = true
	}
	for _, subject := range []string{"PostgreSQL", "TimescaleDB", "Edition", "Clock", "Schema"} {
		if !seen[subject] {
			t.Errorf("nothing was said about %s", subject)
		}
	}
}

func TestEmptyDatabasePasses(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "this server loads TimescaleDB when it is used, not at its start")
	conn, err := pgx.Connect(t.Context(), dbtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := doctor.Require(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
}

// A database whose schema is not what this version makes of it is refused, with the reason.
func TestSchemasThatAreRefused(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]string{"dirty = true": "half-way", "version = version + 1": "by a newer telemetryd"} {
		t.Run(change, func(t *testing.T) {
			pool := dbtest.New(t)
			if _, err := pool.Exec(t.Context(), "UPDATE schema_migrations SET "+change); err != nil {
				t.Fatal(err)
			}
			if err := doctor.Require(t.Context(), pool); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one about %q", err, want)
			}
		})
	}
}

func TestMachineLooksAtTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	find := func() doctor.Finding {
		for _, f := range doctor.Machine(dir) {
			if f.Subject == "Data directory" {
				return f
			}
		}
		return doctor.Finding{}
	}
	if f := find(); f.Subject != "" {
		t.Errorf("a folder that is not there was judged: %v", f)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if f := find(); f.Level != doctor.Warning {
		t.Errorf("an open folder is %v", f.Level)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if f := find(); f.Level != doctor.Fine {
		t.Errorf("a closed folder is %v", f.Level)
	}
}
