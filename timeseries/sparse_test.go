package timeseries_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// daily makes so many records on each of so many days of years ago.
func daily(session string, days, each int) (all []rec) {
	for d := range days {
		for i := range each {
			all = append(all, recordAt(session, time.Duration(d-1500)*24*time.Hour+time.Duration(i)*time.Second, len(all)))
		}
	}
	return all
}

// However it comes in, a batch does not cut the records into many days that hold
// next to nothing; a long history with something in each day does go in, and so
// does one that is sent in parts.
func TestSparseDaysAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	ways := []struct {
		name  string
		store func(*server, []rec) (ingest.Result, error)
	}{
		{"batch", func(h *server, all []rec) (ingest.Result, error) { return h.try(ingest.Options{}, all) }},
		{"stream", func(h *server, all []rec) (ingest.Result, error) {
			return h.stream(decode.FormatJSON, ingest.Options{}, ndjson(all))
		}},
		{"import", func(h *server, all []rec) (ingest.Result, error) {
			return h.importFrom(t.Context(), ingest.Options{Source: "import"}, strings.NewReader(ndjson(all)))
		}},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			_, err := way.store(h, daily("scattered", 1500, 1))
			if f := fault.As(err); f == nil || f.Kind != fault.Invalid || len(f.Problems) != 1 || f.Problems[0].Field != "timestamp" ||
				!strings.Contains(f.Problems[0].Reason, "1500 days") || !strings.Contains(f.Problems[0].Reason, "2022-02-10, 2022-02-11, ") {
				t.Errorf("a record a day for 1500 days: %v, want Invalid with the days", err)
			}
			if n := h.count("SELECT count(*) FROM sessions WHERE deleted_at IS NULL"); n != 0 {
				t.Errorf("%d sessions are there", n)
			}
			if n := h.count("SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'telemetry'"); n != 0 {
				t.Errorf("%d chunks were made", n)
			}
			all := daily("season", 45, 100)
			if result, err := way.store(h, all); err != nil || result.Inserted != 4500 {
				t.Errorf("100 records a day for 45 days: %+v, %v", result, err)
			}
			// The days are there now, whoever asks.
			if result, err := way.store(h, daily("guest", 45, 1)); err != nil || result.Inserted != 45 {
				t.Errorf("on days that have records: %+v, %v", result, err)
			}
			for from := 0; from < 85; from += 40 {
				part := daily("slow", min(from+40, 85), 3)[3*from:]
				if result, err := way.store(h, part); err != nil || result.Inserted != len(part) {
					t.Errorf("three records a day, 40 days at once: %+v, %v", result, err)
				}
			}
			h.consistent()
		})
	}
}
