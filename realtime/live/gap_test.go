package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/realtime/hub"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

var gapRecords = flag.Int64("gap", 50, "how many records the gap test takes in before, between and after the outages")

// link is an instance's way to its database, which a test can cut.
type link struct {
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

var errCut = errors.New("the link is cut")

func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errCut
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if l.conns == nil {
		l.conns = map[net.Conn]struct{}{}
	}
	l.conns[conn] = struct{}{}
	return conn, nil
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for conn := range l.conns {
			conn.Close()
		}
		clear(l.conns)
	}
}

// through makes an instance's pool use the link.
func (l *link) through(most int32) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) {
		c.ConnConfig.DialFunc = l.dial
		c.MaxConns = min(most, c.MaxConns)
	}
}

// stored lists the ids of a session's records in order of arrival.
func (in *instance) stored(t *testing.T, session string) []string {
	t.Helper()
	rows, err := in.pool.Query(t.Context(), `
		SELECT format('%s.%s.%s', t.session, t.batch, t.ord) FROM telemetry t JOIN sessions s USING (session)
		WHERE s.id = $1 ORDER BY t.batch, t.ord`, session)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	ids := []string{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// diary is what a client has received, in order.
type diary struct {
	mu     sync.Mutex
	ids    []string
	cursor string
}

// note adds a message with records.
func (d *diary) note(m protocol.ServerMessage) error {
	switch m.Type {
	case "records", "snapshot":
	case "begun":
		d.mu.Lock()
		d.cursor = m.Cursor
		d.mu.Unlock()
		return nil
	case "hello", "subscribed", "status", "dropped":
		return nil
	default:
		return fmt.Errorf("unexpected message %+v", m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, raw := range m.Records {
		var record struct {
			ID string `json:"_id"`
		}
		if err := json.Unmarshal(raw, &record); err != nil {
			return err
		}
		d.ids = append(d.ids, record.ID)
	}
	d.cursor = m.Cursor
	return nil
}

func (d *diary) since() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cursor
}

func (d *diary) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids)
}

// race is what the gap tests go through: three instances, each with a way to
// the database that can be cut.
type race struct {
	links     [3]link
	instances [3]*instance
}

func newRace(t *testing.T, url string) *race {
	t.Helper()
	r := &race{}
	for i := range r.instances {
		r.instances[i] = start(t, url, setup{
			hub:  hub.Options{Tick: 50 * time.Millisecond, MaxBackOff: 200 * time.Millisecond},
			pool: r.links[i].through(4),
		})
	}
	return r
}

// away cuts all instances off the database until that was noticed.
func (r *race) away(noticed func()) {
	for i := range r.links {
		r.links[i].set(true)
	}
	noticed()
	for i := range r.links {
		r.links[i].set(false)
	}
}

// The links to the database are cut twice, and its backends killed once.
func TestNoGaps(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "needs several connections")
	r := newRace(t, dbtest.URL(t))
	r.run(t, func(outage int, noticed func()) {
		if outage != 1 {
			r.away(noticed)
			return
		}
		_, err := r.instances[0].pool.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Error(err)
		}
	})
}

// PostgreSQL is stopped and started again twice, and its links cut once.
func TestNoGapsWhenPostgresRestarts(t *testing.T) {
	t.Parallel()
	url, stop, again := restartable(t)
	r := newRace(t, url)
	r.run(t, func(outage int, noticed func()) {
		if outage == 1 {
			r.away(noticed)
			return
		}
		stop()
		noticed()
		again()
	})
}

// run lets the three instances take in 50 records a second, while one client
// drops its connection at random and turns to another instance, and one stays.
// Three times the database is interrupted; noticed waits until a writer was
// refused and the steady client's instance knows. Both clients must end with
// exactly the records of the database, in order.
func (r *race) run(t *testing.T, interrupt func(outage int, noticed func())) {
	instances := &r.instances
	instances[0].ingest(t, "run", 0, 1)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	var next, taken, retried atomic.Int64
	for _, in := range instances {
		work.Go(func() { // 3 writers, 50 records a second together
			for ctx.Err() == nil {
				count := 1 + rand.IntN(4)
				first := int(next.Add(int64(count))) - count + 1
				for in.tryIngest(t.Context(), "run", first, count) != nil {
					retried.Add(1)
					time.Sleep(20 * time.Millisecond) // the bridge's retry, in small
				}
				taken.Add(int64(count))
				time.Sleep(time.Duration(count) * 60 * time.Millisecond)
			}
		})
	}

	total := atomic.Int64{} // known once all is stored
	all, stored := context.WithCancel(t.Context())
	defer stored()
	const query = "session=run&fields=_id&snapshot_records=20000"
	steady, restless := &diary{}, &diary{}
	drops := 0
	follow := func(in *instance, d *diary, until func() bool, life time.Duration) error {
		conn, err := in.tryDial(query + "&since=" + d.since())
		if err != nil {
			return nil // the database is away; come again
		}
		defer conn.Close()
		c := &screen{t, conn}
		if total.Load() == 0 { // then look whether all is there already
			defer context.AfterFunc(all, func() { conn.NetConn().Close() })()
		}
		if life > 0 {
			timer := time.AfterFunc(life, func() { conn.NetConn().Close() })
			defer timer.Stop()
		}
		for !until() {
			m, err := c.tryNext()
			if err != nil {
				return nil
			}
			if err := d.note(m); err != nil {
				return err
			}
		}
		return nil
	}
	finished := func(d *diary) func() bool {
		return func() bool { n := total.Load(); return n > 0 && d.len() >= int(n) }
	}
	clients := make(chan error, 2)
	go func() {
		done := finished(steady)
		for !done() {
			if err := follow(instances[1], steady, done, 0); err != nil {
				clients <- err
				return
			}
		}
		clients <- nil
	}()
	go func() {
		done := finished(restless)
		for !done() {
			drops++
			life := time.Duration(1+rand.IntN(40)) * time.Millisecond
			if total.Load() > 0 {
				life = 0
			}
			if err := follow(instances[rand.IntN(3)], restless, done, life); err != nil {
				clients <- err
				return
			}
		}
		clients <- nil
	}()

	calm := func() {
		t.Helper()
		before := taken.Load()
		await.Until(t, "records are taken in", func() bool { return taken.Load() >= before+*gapRecords })
	}
	noticed := func() {
		t.Helper()
		before := retried.Load()
		await.Until(t, "the outage is noticed", func() bool {
			healthy, _ := instances[1].hub.Healthy()
			return retried.Load() > before && !healthy
		})
	}
	for outage := range 3 {
		calm()
		interrupt(outage, noticed)
	}
	calm()
	stop()
	work.Wait()
	want := instances[2].stored(t, "run")
	total.Store(int64(len(want)))
	stored()
	for range 2 {
		select {
		case err := <-clients:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(await.Patience):
			t.Fatalf("not all came: %d stored, %d with the steady client, %d with the other", len(want), steady.len(), restless.len())
		}
	}
	for name, d := range map[string]*diary{"steady": steady, "restless": restless} {
		if diff := cmp.Diff(want, d.ids); diff != "" {
			t.Errorf("records of the %s client (-stored +received):\n%s", name, diff)
		}
	}
	t.Logf("%d records, %d writes tried again, %d connections of the restless client", len(want), retried.Load(), drops)
	if retried.Load() == 0 {
		t.Error("no writer noticed that the database was away")
	}
}
