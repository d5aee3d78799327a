package timeseries_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// An upload that is given up while it is decoded and copied leaves nothing
// behind: no record, and nobody who still works on what the next upload uses
// (which the race detector would tell).
func TestUploadGivenUp(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.NeedsBackends(t, "needs a connection that can be broken")
	s := timeseries.New(pool, timeseries.Options{})
	const n = 6_000
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	upload := func(ctx context.Context, session string, body func(io.Reader) io.Reader) error {
		var text bytes.Buffer
		for i := range n {
			fmt.Fprintf(&text, `{"session_id":%q,"timestamp":%q,"speed_ms":%d}`+"\n", session, record.FormatTime(at.Add(time.Duration(i)*time.Millisecond)), i)
		}
		decoder := decode.New(body(&text), decode.Options{})
		_, err := s.Writer.IngestStream(ctx, decoder, ingest.Options{Source: "test"})
		return err
	}
	for i := range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		err := upload(ctx, "given up", func(r io.Reader) io.Reader {
			return &stoppingReader{r: r, left: 120_000 + 35_000*i, stop: cancel}
		})
		cancel()
		if err == nil {
			t.Fatal("an upload was stored although it was given up")
		}
		if err := upload(t.Context(), fmt.Sprint("whole-", i), func(r io.Reader) io.Reader { return r }); err != nil {
			t.Fatal(err)
		}
	}
	var sessions, wrong int
	if err := pool.QueryRow(t.Context(), `
		SELECT count(*), count(*) FILTER (WHERE c.records IS DISTINCT FROM $1)
		FROM sessions s LEFT JOIN (
			SELECT session, count(DISTINCT (time, speed_ms)) AS records FROM telemetry GROUP BY session
		) c USING (session)`, n).Scan(&sessions, &wrong); err != nil {
		t.Fatal(err)
	}
	if sessions != 8 || wrong != 0 {
		t.Errorf("%d sessions, %d of them not whole; want 8", sessions, wrong)
	}
}

// stoppingReader calls stop in the middle of what it reads, and goes on.
type stoppingReader struct {
	r    io.Reader
	left int
	stop func()
}

func (s *stoppingReader) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.stop()
		runtime.Gosched() // so that whoever is told may be quicker than who reads
	}
	n, err := s.r.Read(p[:min(len(p), 8<<10)])
	s.left -= n
	return n, err
}

// An upload that is not admitted, such as one whose body is too long, leaves a
// trace in log and figures like one whose records are bad.
func TestUploadsNotAdmittedLeaveATrace(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	var stats []ingest.Stats
	store := timeseries.New(dbtest.New(t), timeseries.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)), OnIngest: func(s ingest.Stats) { stats = append(stats, s) },
	})
	for i, err := range []error{fault.New(fault.TooLarge, "the body is too long"), fault.New(fault.Invalid, "the body stopped coming")} {
		opt := ingest.Options{Source: "rest", Admit: func(context.Context) error { return err }}
		if _, got := store.Writer.IngestStream(t.Context(), decode.New(strings.NewReader(ndjson(numberedRun("a", 3, 0))), decode.Options{}), opt); got != err {
			t.Errorf("%v, want %v", got, err)
		}
		if len(stats) != i+1 || stats[i].Source != "rest" || stats[i].Rejected != 1 || !strings.Contains(log.String(), err.Error()) || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("%v: figures %+v, log %s", err, stats, log.String())
		}
	}
}
