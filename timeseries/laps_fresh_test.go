package timeseries_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// TestLapsAtOnce asks for the laps of an hour that was stored a moment ago,
// before the database has looked at what it got.
func TestLapsAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	decoder := decode.New(bytes.NewReader(lapsOfACar("a", 60)), decode.Options{})
	if _, err := store.Writer.IngestStream(t.Context(), decoder, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience) // a bad plan takes many times as long
	defer cancel()
	race, err := store.Analysis.Laps(ctx, analysis.LapRequest{Session: "a"})
	if err != nil || len(race.Laps) < 10 {
		t.Fatalf("%v, %+v", err, race)
	}
}
