package timeseries_test

import (
	"bytes"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

func TestRollupStaleness(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	stale := func() bool {
		t.Helper()
		age, err := store.Rollups.Staleness(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return age > 0
	}
	if stale() {
		t.Error("rollups of nothing are stale")
	}
	decoder := decode.New(bytes.NewReader(lapsOfACar("a", 2)), decode.Options{})
	if _, err := store.Writer.IngestStream(t.Context(), decoder, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	if !stale() {
		t.Error("after a batch they are not stale")
	}
	if _, err := store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stale() {
		t.Error("after a refresh they are stale")
	}
}
