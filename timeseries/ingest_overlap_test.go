package timeseries_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// TestIngestStreamLarge uploads streams that are copied while they are decoded,
// and such as turn out, in the middle, not to fit that way.
func TestIngestStreamLarge(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: how it comes into the hypertable, other uploads show")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	plain := func(session string, i int) string {
		return fmt.Sprintf(`{"session_id":%q,"timestamp":%q,"speed_ms":%d.5}`, session, record.FormatTime(start.Add(time.Duration(i)*time.Second)), i)
	}
	for _, tc := range []struct {
		name     string
		records  int
		record   func(session string, i int) string
		skip     bool
		want     int // stored in the session itself
		others   int // stored in a second session
		rejected int
		fails    bool
	}{
		{name: "one chunk", records: 4000, record: plain, want: 4000},
		{name: "exactly one chunk", records: ingest.ChunkRecords, record: plain, want: ingest.ChunkRecords},
		{name: "several chunks", records: 12_345, record: plain, want: 12_345},
		{name: "more columns later", records: 4000, want: 4000, record: func(s string, i int) string {
			if i < 1700 {
				return plain(s, i)
			}
			return fmt.Sprintf(`{"session_id":%q,"timestamp":%q,"voltage_v":%d,"new_sensor":[%d]}`, s, record.FormatTime(start.Add(time.Duration(i)*time.Second)), i, i)
		}},
		{name: "another session later", records: 4000, want: 2500, others: 1500, record: func(s string, i int) string {
			if i < 2500 {
				return plain(s, i)
			}
			return plain(s+"/2", i)
		}},
		{name: "bad record later", records: 7000, fails: true, record: func(s string, i int) string {
			if i == 2600 {
				return `{"session_id":"x","timestamp":"2026-05-01T12:00:00Z","speed_ms":"fast"}`
			}
			return plain(s, i)
		}},
		{name: "bad record later, skipped", records: 7000, skip: true, want: 6999, rejected: 1, record: func(s string, i int) string {
			if i == 2600 {
				return `{"session_id":"x","timestamp":"2026-05-01T12:00:00Z","speed_ms":"fast"}`
			}
			return plain(s, i)
		}},
		{name: "syntax error later", records: 4000, fails: true, record: func(s string, i int) string {
			if i == 3600 {
				return `{"session_id":`
			}
			return plain(s, i)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body bytes.Buffer
			for i := range tc.records {
				body.WriteString(tc.record(tc.name, i))
				body.WriteByte('\n')
			}
			// A second upload of the same must find the first one.
			for upload := range 2 {
				decoder := decode.New(bytes.NewReader(body.Bytes()), decode.Options{SkipBad: tc.skip})
				result, err := store.Writer.IngestStream(t.Context(), decoder, ingest.Options{Source: "test", SkipBad: tc.skip})
				if (err != nil) != tc.fails {
					t.Fatalf("upload %d: error %v", upload, err)
				}
				inserted, already := tc.want+tc.others, 0
				if upload == 1 {
					inserted, already = 0, inserted
				}
				if tc.fails {
					inserted, already = 0, 0
				}
				if result.Inserted != inserted || result.AlreadyStored != already || result.Rejected != tc.rejected {
					t.Errorf("upload %d: %d inserted, %d already stored, %d rejected; want %d, %d, %d",
						upload, result.Inserted, result.AlreadyStored, result.Rejected, inserted, already, tc.rejected)
				}
			}
			for session, want := range map[string]int{tc.name: tc.want, tc.name + "/2": tc.others} {
				var rows, places, counter int
				err := pool.QueryRow(t.Context(), `
					SELECT count(*), count(DISTINCT (t.batch, t.ord)), coalesce(max(s.records), 0)
					FROM sessions s JOIN telemetry t USING (session)
					WHERE s.id = $1`, session).Scan(&rows, &places, &counter)
				if err != nil {
					t.Fatal(err)
				}
				if rows != want || places != want || counter != want {
					t.Errorf("session %s: %d rows in %d places, counter %d; want %d", session, rows, places, counter, want)
				}
			}
		})
	}
}
