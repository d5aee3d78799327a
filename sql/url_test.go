package schema_test

import (
	"net/url"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

func TestMigrateTakesURLsWithPoolSettings(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(dbtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	settings := u.Query()
	settings.Set("pool_max_conns", "3")
	u.RawQuery = settings.Encode()
	if err := schema.Migrate(t.Context(), u.String()); err != nil {
		t.Fatal(err)
	}
}

func TestParseURLRefusesNonsense(t *testing.T) {
	t.Parallel()
	if _, err := schema.ParseURL("postgres://host:notaport/db"); err == nil {
		t.Error("a URL with a bad port was accepted")
	}
}
