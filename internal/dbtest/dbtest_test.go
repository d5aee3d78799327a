package dbtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			var rows int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM changes").Scan(&rows); err != nil {
				t.Fatalf("the schema is missing: %v", err)
			}
			if rows != 0 {
				t.Errorf("another test's %d rows are in this database", rows)
			}
			if _, err := pool.Exec(t.Context(), "INSERT INTO changes (topic) VALUES ($1)", name); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSameTestSharesADatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	if _, err := pool.Exec(t.Context(), "INSERT INTO changes (topic) VALUES ('x')"); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := dbtest.New(t).QueryRow(t.Context(), "SELECT count(*) FROM changes").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 1 {
		t.Errorf("a second pool of the same test sees %d rows, want 1", rows)
	}
	if dbtest.Another(t, "other") == dbtest.URL(t) {
		t.Error("Another gave the test's first database")
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) { url = dbtest.URL(t) })
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		conn.Close(t.Context())
		t.Error("the database outlived its test")
	}
}

func TestExtensionIsThereAndEditionKnown(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	var version string
	if err := pool.QueryRow(t.Context(), "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if edition := dbtest.Edition(t, pool); edition != "apache" && edition != "community" {
		t.Errorf("edition %q", edition)
	}
}

func TestEmptyHoldsNothing(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), dbtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var there bool
	if err := conn.QueryRow(t.Context(), "SELECT to_regclass('changes') IS NOT NULL").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Error("an empty database has the schema")
	}
}
