package schema_test

import (
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

func TestMigrateTakesURLsWithPoolSettings(t *testing.T) {
	t.Parallel()
	if err := schema.Migrate(t.Context(), dbtest.With(dbtest.Empty(t), "pool_max_conns=3")); err != nil {
		t.Fatal(err)
	}
}

func TestConnectRefusesNonsense(t *testing.T) {
	t.Parallel()
	if _, err := schema.Connect(t.Context(), "postgres://host:notaport/db"); err == nil {
		t.Error("a URL with a bad port was accepted")
	}
}
