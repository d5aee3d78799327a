package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
)

// storm is sustained ingest of numbered batches, by the function endpoint and
// by REST, which goes on while its server dies and returns.
type storm struct {
	t    testing.TB
	url  atomic.Pointer[string]
	sent chan struct{} // one for each request, as far as there is room
	next atomic.Int64

	mu      sync.Mutex
	batches map[int]*numbered
}

type numbered struct {
	size         int
	acknowledged bool
}

// stormSensors are members that no channel is named for; each batch has one.
const stormSessions, stormSensors = 3, 7

// perBatch is more than the records of any batch: message_id / perBatch is the batch's number.
const perBatch = 10_000

func newStorm(t testing.TB, url string) *storm {
	s := &storm{t: t, sent: make(chan struct{}, 1000), batches: map[int]*numbered{}}
	s.url.Store(&url)
	return s
}

// start lets four writers run until they are stopped.
func (s *storm) start() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	for writer := range uint64(4) {
		wg.Go(func() { s.run(ctx, writer) })
	}
	return func() { cancel(); wg.Wait() }
}

// run sends batches until the context ends. A batch that failed is sent again
// until it is acknowledged.
func (s *storm) run(ctx context.Context, writer uint64) {
	random := rand.New(rand.NewPCG(31, writer))
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		number := int(s.next.Add(1))
		size := 1 + random.IntN(200)
		asStream := random.IntN(4) == 0
		if asStream {
			size = 1000 + random.IntN(3000) // copied while it is decoded
		}
		s.mu.Lock()
		mine := &numbered{size: size}
		s.batches[number] = mine
		s.mu.Unlock()
		var records []rec
		for i := range size {
			r := recordAt(fmt.Sprint("storm-", number%stormSessions), number)
			r["message_id"] = number*perBatch + i
			r[fmt.Sprint("sensor_", number%stormSensors)] = i
			records = append(records, r)
		}
		r := insertion(records)
		if asStream {
			r = upload(asJSON, marshal(records), nil)
		}
		for ctx.Err() == nil {
			select {
			case s.sent <- struct{}{}:
			default:
			}
			a, err := sendTo(ctx, client, *s.url.Load(), r)
			if err == nil && a.status == http.StatusOK {
				s.mu.Lock()
				mine.acknowledged = true
				s.mu.Unlock()
				break
			}
			if err == nil && a.status < 500 {
				s.t.Errorf("batch %d: %v", number, a)
				return
			}
			select { // as a patient client does
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// requests waits until so many more requests were sent.
func (s *storm) requests(n int) {
	s.t.Helper()
	for len(s.sent) > 0 { // what was tried in vain while the server was away
		<-s.sent
	}
	deadline := time.After(await.Patience)
	for range n {
		select {
		case <-s.sent:
		case <-deadline:
			s.t.Fatal("the storm has died down")
		}
	}
}

func (s *storm) acknowledged() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		if b.acknowledged {
			n++
		}
	}
	return n
}

// check wants every acknowledged batch exactly once and no batch in part.
func (s *storm) check(pool *pgxpool.Pool) {
	s.t.Helper()
	rows, err := pool.Query(s.t.Context(), `SELECT message_id / $1, count(*), count(DISTINCT message_id) FROM telemetry GROUP BY 1`, perBatch)
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[int]int{}
	var number, records, different int
	_, err = pgx.ForEachRow(rows, []any{&number, &records, &different}, func() error {
		if found[number] = records; records != different {
			return fmt.Errorf("batch %d has %d records, %d of them different", number, records, different)
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	acknowledged, silent := 0, 0
	for number, b := range s.batches {
		switch records := found[number]; {
		case b.acknowledged && records != b.size:
			s.t.Errorf("batch %d of %d records was acknowledged, and %d are stored", number, b.size, records)
		case records != 0 && records != b.size:
			s.t.Errorf("batch %d of %d records is there in part: %d", number, b.size, records)
		case b.acknowledged:
			acknowledged++
		case records > 0:
			silent++
		}
	}
	s.t.Logf("%d batches acknowledged, %d stored without an answer, %d not stored", acknowledged, silent, len(s.batches)-acknowledged-silent)
	if acknowledged == 0 {
		s.t.Error("nothing was acknowledged")
	}
	checkConsistent(s.t, pool)
}

// The daemon is killed again and again in the middle of ingest.
func TestKillingTheDaemon(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, which another process cannot share")
	pool := dbtest.New(t)
	p := serve(t, "--database-url", dbtest.URL(t))
	s := newStorm(t, p.url)
	stop := s.start()
	defer stop()
	random := rand.New(rand.NewPCG(32, 1))
	for range 4 {
		s.requests(5 + random.IntN(15))
		p.kill()
		p = serve(t, "--database-url", dbtest.URL(t))
		s.url.Store(&p.url)
	}
	other := serve(t, "--database-url", dbtest.URL(t))
	s.requests(10)
	// The last stop is an operator's: what was accepted is finished and answered.
	p.stop()
	stop()
	s.check(pool)
	s.checkChannels(pool, other)
}

// checkChannels wants an instance to know of all members what records have of them.
func (s *storm) checkChannels(pool *pgxpool.Pool, p *process) {
	s.t.Helper()
	stored, err := schema.List(s.t.Context(), pool, pgx.RowTo[string], `
		SELECT format('%s %s %s', s.id, m.name, count(*))
		FROM telemetry JOIN sessions s USING (session), jsonb_object_keys(record_members(numbers, extra)) m (name)
		GROUP BY s.id, m.name
		ORDER BY 1`)
	if err != nil || len(stored) == 0 {
		s.t.Fatal(err, stored)
	}
	var told []string
	await.Until(s.t, "the channels of all runs have all values", func() bool {
		told = nil
		for run := range stormSessions {
			id := fmt.Sprint("storm-", run)
			a, err := sendTo(s.t.Context(), http.DefaultClient, p.url, request{method: "GET", path: "/api/v1/sessions/" + id + "/channels"})
			if err != nil {
				s.t.Fatal(err)
			}
			var of struct {
				Channels []struct {
					Name    string `json:"name"`
					Records int    `json:"records"`
				} `json:"channels"`
			}
			if err := json.Unmarshal(a.body, &of); err != nil {
				s.t.Fatal(err, a)
			}
			for _, c := range of.Channels {
				if strings.HasPrefix(c.Name, "sensor_") {
					told = append(told, fmt.Sprint(id, " ", c.Name, " ", c.Records))
				}
			}
		}
		slices.Sort(told)
		return slices.Equal(told, stored)
	}, p.log)
}

// PostgreSQL is killed, alone or with all its processes, in the middle of
// ingest; the daemon, which runs it, goes on by itself.
func TestKillingPostgreSQL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, _ := serveOwn(t, dir)
	s := newStorm(t, p.url)
	stop := s.start()
	defer stop()
	random := rand.New(rand.NewPCG(33, 1))
	for _, kill := range []func(postmaster int){killAlone, killAll, killBackend} {
		before := s.acknowledged()
		s.requests(5 + random.IntN(10))
		kill(postmasterPID(t, dir))
		after := s.acknowledged()
		await.Until(t, "it takes batches again", func() bool { return s.acknowledged() >= max(after, before)+8 }, p.log)
	}
	stop()
	s.check(poolOf(t, dir))
	p.stop()
}

func postmasterPID(t *testing.T, dir string) (pid int) {
	t.Helper()
	await.Until(t, "postmaster.pid names a process", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "cluster", "postmaster.pid"))
		line, _, _ := strings.Cut(string(text), "\n")
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(line))
		return err == nil
	})
	return pid
}

func killAlone(postmaster int) { _ = syscall.Kill(postmaster, syscall.SIGKILL) }

// killAll is what the out-of-memory killer or a power cut leaves.
func killAll(postmaster int) {
	all := children(postmaster) // orphans have another parent
	killAlone(postmaster)
	for _, child := range all {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// killBackend makes PostgreSQL itself throw everybody out and recover.
func killBackend(postmaster int) {
	for _, child := range children(postmaster) {
		if title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); err == nil && strings.Contains(string(title), "telemetryd") {
			_ = syscall.Kill(child, syscall.SIGKILL)
			return
		}
	}
}

func children(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
