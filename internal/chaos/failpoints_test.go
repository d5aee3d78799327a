package chaos

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// Each step is reached, and a connection that ends there leaves a batch that is
// there as a whole, where its commit was asked for, or not at all.
func TestSteps(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, which holds on to what was cut")
	pool := dbtest.New(t)
	config := pool.Config()
	host, port := config.ConnConfig.Host, strconv.Itoa(int(config.ConnConfig.Port))
	to := target{network: "tcp", address: net.JoinHostPort(host, port), database: true}
	if host[0] == '/' {
		to.network, to.address = "unix", host+"/.s.PGSQL."+port
	}
	p, err := newProxy(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	ours, theirs, _ := net.SplitHostPort(p.address())
	n, _ := strconv.Atoi(theirs)
	config.ConnConfig.Host, config.ConnConfig.Port, config.ConnConfig.TLSConfig, config.ConnConfig.Fallbacks = ours, uint16(n), nil, nil
	cut, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut.Close)
	store := timeseries.New(cut, timeseries.Options{})
	stored := func(session string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM telemetry JOIN sessions USING (session) WHERE id = $1", session).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	send := func(session string) error {
		b := decode.NewBatch()
		defer b.Release()
		for i := range 3 {
			if err := decode.Records(fmt.Appendf(nil, `[{"session_id":%q,"timestamp":"2026-06-03T10:00:0%dZ","speed_ms":3}]`, session, i), b, time.Now()); err != nil {
				t.Error(err)
			}
		}
		_, err := store.Writer.Ingest(t.Context(), b, ingest.Options{Source: "test"})
		return err
	}
	committing := slices.IndexFunc(steps, func(s step) bool { return s.refresh }) - 1
	for i, s := range steps {
		for _, after := range []bool{false, true} {
			session := fmt.Sprint(s.name, after)
			work, all := func() error { return send(session) }, 0
			switch {
			case s.refresh:
				if err := send(session); err != nil {
					t.Fatal(err)
				}
				all = 3
				work = func() error {
					_, err := store.Rollups.Refresh(t.Context())
					return err
				}
			case after && i >= committing-1: // the log goes out with the commit
				all = 3
			}
			f := &failpoint{step: s, after: after, reached: make(chan *wire, 1), over: make(chan struct{})}
			p.armed[0].Store(f)
			done := make(chan error, 1)
			go func() { done <- work() }()
			select {
			case w := <-f.reached:
				w.cut()
				close(f.over)
			case err := <-done:
				t.Errorf("%s was not reached: %v", s.name, err)
				continue
			}
			p.armed[0].Store(nil)
			if err := <-done; err == nil {
				t.Errorf("%s, after %t: no error", s.name, after)
			}
			// The server takes its time to notice that a connection is gone.
			await.Until(t, fmt.Sprintf("%d records of what was cut at the %s, after it: %t", all, s.name, after), func() bool { return stored(session) == all })
			if err := send(session); err != nil || stored(session) != 3 {
				t.Errorf("%s, after %t, sent again: %d records, %v", s.name, after, stored(session), err)
			}
			if !s.refresh {
				continue
			}
			r := &run{url: dbtest.URL(t)}
			if err := r.charts(t.Context(), pool); err != nil || r.report.Charts != 0 {
				t.Errorf("%s, after %t: %d buckets differ, %v", s.name, after, r.report.Charts, err)
			}
		}
	}
}
