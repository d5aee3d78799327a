package timeseries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const chunkRecords = ingest.ChunkRecords

// importFrom imports a stream as the command does.
func (h *server) importFrom(ctx context.Context, opt ingest.Options, in io.Reader) (ingest.Result, error) {
	if opt.Source == "" {
		opt.Source = "test"
	}
	return h.store.Writer.Import(ctx, decode.New(in, decode.Options{SkipBad: opt.SkipBad}), opt)
}

// numberedRun makes n records of a session, from id on.
func numberedRun(session string, n, id int) (records []rec) {
	for i := range n {
		records = append(records, recordAt(session, time.Duration(i)*time.Second, id+i))
	}
	return records
}

// pausedImport imports records and stops in the middle of reading them, when
// some are in the database already. It goes on when told to.
type pausedImport struct {
	h      *server
	goOn   chan struct{}
	done   chan struct{}
	result ingest.Result
	err    error
}

func (h *server) importPaused(ctx context.Context, text string) *pausedImport {
	h.t.Helper()
	p := &pausedImport{h: h, goOn: make(chan struct{}), done: make(chan struct{})}
	body, feed := io.Pipe()
	cut := len(text) * 3 / 4
	go func() {
		io.WriteString(feed, text[:cut])
		<-p.goOn
		io.WriteString(feed, text[cut:])
		feed.Close()
	}()
	go func() {
		defer close(p.done)
		p.result, p.err = h.importFrom(ctx, ingest.Options{}, body)
		body.Close()
	}()
	h.t.Cleanup(func() { p.finish() })
	await.Until(h.t, "records are loaded", func() bool { return h.count("SELECT count(*) FROM ingest_batches WHERE source = 'test'") > 1 })
	return p
}

// finish lets the import read on, and waits for its end.
func (p *pausedImport) finish() (ingest.Result, error) {
	select {
	case <-p.goOn:
	default:
		close(p.goOn)
	}
	<-p.done
	return p.result, p.err
}

// snapshot is all that ingest wrote, without the keys that depend on who came first.
func (h *server) snapshot() (all []string) {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `
		SELECT concat_ws(' ', 'session', id, name, records, batch, first_time, last_time, first_text, last_text)
		FROM sessions WHERE deleted_at IS NULL
		UNION ALL
		SELECT concat_ws(' ', 'batch', s.id, b.batch, b.records, b.min_time, b.max_time, encode(b.digest, 'hex'))
		FROM ingest_batches b JOIN sessions s USING (session)
		UNION ALL
		SELECT concat_ws(' ', 'records', s.id, t.batch, count(*), md5(string_agg((to_jsonb(t) - 'session')::text, ' ' ORDER BY t.ord)))
		FROM telemetry t JOIN sessions s USING (session)
		GROUP BY s.id, t.batch`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			h.t.Fatal(err)
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// An import gives the same records, batches, digests, counts and bounds as a
// stream, of new sessions and of one that was there before.
func TestImportIsLikeAStream(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	random := rand.New(rand.NewPCG(41, 1))
	var records []rec
	for i := range 3*chunkRecords + 777 {
		session := "a"
		switch {
		case i > 12_000 && random.IntN(3) == 0:
			session = "b"
		case i > 8_000 && random.IntN(3) == 0:
			session = "there before"
		}
		if i%20 == 0 {
			records = append(records, anyRecord(random, session, i-random.IntN(100)))
		} else {
			records = append(records, recordAt(session, time.Duration(random.IntN(100_000))*time.Second, i))
		}
	}
	records[9_000]["speed_ms"] = "fast"
	text := ndjson(records)
	houses := map[string]*server{"stream": newServer(t)}
	other := dbtest.Another(t, "import")
	houses["import"] = houses["stream"].beside(other)
	snapshots := map[string][]string{}
	for name, h := range houses {
		h.insert(numberedRun("there before", 100, 1_000_000)...)
		opt := ingest.Options{SkipBad: true}
		store := func() (result ingest.Result, err error) {
			if name == "stream" {
				return h.stream(decode.FormatJSON, opt, text)
			}
			return h.importFrom(t.Context(), opt, strings.NewReader(text))
		}
		result, err := store()
		if err != nil || result.Inserted != len(records)-1 || result.Rejected != 1 || len(result.Problems) != 1 || len(result.Sessions) != 3 {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		snapshots[name] = append(h.snapshot(), fmt.Sprintf("%+v", result.Sessions))
		if result, err = store(); err != nil || result.Inserted != 0 || result.AlreadyStored != len(records)-1 {
			t.Errorf("%s again: %+v, %v", name, result, err)
		}
		h.consistent()
	}
	if diff := cmp.Diff(snapshots["stream"], snapshots["import"]); diff != "" {
		t.Errorf("(-stream +import)\n%s", diff)
	}
}

// A pool of one connection has none to spare: the import makes do with it.
func TestImportOverOneConnection(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: how it comes into the hypertable, other uploads show")
	config, err := pgxpool.ParseConfig(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h := &server{t: t, pool: pool, store: timeseries.New(pool, timeseries.Options{})}
	records := numberedRun("one", 2*chunkRecords+1, 0)
	for i, want := range []int{len(records), 0} {
		result, err := h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(ndjson(records)))
		if err != nil || result.Inserted != want || result.Inserted+result.AlreadyStored != len(records) {
			t.Errorf("import %d: %+v, %v", i, result, err)
		}
	}
	h.consistent()
}

// While a file is loaded, nobody sees any of it, nor removes it, and others who
// post to its session wait; then all of it is there.
func TestImportAppearsWhole(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	records := numberedRun("big", 5*chunkRecords+1, 0)
	p := h.importPaused(t.Context(), ndjson(records))

	if s, err := h.store.Session(t.Context(), "big"); err != nil || s != nil {
		t.Errorf("visible: %+v, %v", s, err)
	}
	if got := h.read(timeseries.RecordQuery{SessionID: "big"}); len(got) != 0 {
		t.Errorf("%d records are visible", len(got))
	}
	versions, err := h.store.Deltas.Versions(t.Context(), []string{"session:big"})
	if err != nil || len(versions) != 0 {
		t.Errorf("versions: %v, %v", versions, err)
	}
	if n, err := h.store.PurgeDeleted(t.Context()); n != 0 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if _, err := h.store.DeleteSession(t.Context(), "big"); !fault.Is(err, fault.NotFound) {
		t.Errorf("delete: %v", err)
	}
	posted := make(chan ingest.Result, 1)
	go func() {
		result, err := h.try(ingest.Options{}, numberedRun("big", 10, 900_000))
		if err != nil {
			t.Error(err)
		}
		posted <- result
	}()
	await.Until(h.t, "the other one waits", func() bool {
		return h.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
	})
	result, err := p.finish()
	if err != nil || result.Inserted != len(records) {
		t.Fatalf("%+v, %v", result, err)
	}
	// Who watched from before gets each record once, in order.
	from := delta.Position{Session: int32(h.count("SELECT session FROM sessions WHERE id = 'big' AND deleted_at IS NULL"))}
	deltas, err := h.store.Deltas.Read(t.Context(), []delta.Want{{ID: "big", From: from}}, record.Select("message_id"), len(records)+100)
	if err != nil || len(deltas) != 1 || deltas[0].Len() < len(records) {
		t.Fatalf("%d deltas, %v", len(deltas), err)
	}
	arrived := make([]rec, len(records))
	for i := range arrived {
		if err := json.Unmarshal(deltas[0].AppendRecord(nil, i, record.Select("message_id")), &arrived[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(arrived); !slices.IsSorted(got) || got[0] != 0 || got[len(got)-1] != len(records)-1 {
		t.Errorf("a watcher gets %d records, from %d to %d", len(got), got[0], got[len(got)-1])
	}
	if late := <-posted; late.Inserted != 10 || late.Sessions[0].Batch != 7 {
		t.Errorf("the other one: %+v", late)
	}
	if n, err := h.store.PurgeDeleted(t.Context()); n != 0 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if got := h.count("SELECT count(DISTINCT message_id) FROM telemetry"); got != len(records)+10 {
		t.Errorf("%d records", got)
	}
	h.consistent()
}

// An import that fails leaves nothing, whatever stops it; then the same file is
// stored once.
func TestImportThatFails(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	const records = 3*chunkRecords + 1
	text := ndjson(numberedRun("big", records, 0))
	for name, fail := range map[string]func(t *testing.T, h *server) error{
		"a bad record at the end": func(t *testing.T, h *server) error {
			_, err := h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text+`{"session_id": "big", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": "fast"}`))
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%v", err)
			}
			return err
		},
		"unreadable at the end": func(t *testing.T, h *server) error {
			_, err := h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text+"{"))
			return err
		},
		"cancelled": func(t *testing.T, h *server) error {
			ctx, cancel := context.WithCancel(t.Context())
			p := h.importPaused(ctx, text)
			cancel()
			_, err := p.finish()
			return err
		},
		"all connections lost": func(t *testing.T, h *server) error {
			p := h.importPaused(t.Context(), text)
			h.terminate("true")
			_, err := p.finish()
			return err
		},
		"the leader's connection lost": func(t *testing.T, h *server) error {
			p := h.importPaused(t.Context(), text)
			h.terminate("state = 'idle in transaction'")
			_, err := p.finish()
			return err
		},
		"the leader lost, and all purged": func(t *testing.T, h *server) error {
			p := h.importPaused(t.Context(), text)
			h.terminate("state = 'idle in transaction'")
			await.Until(h.t, "it is purged", func() bool {
				n, err := h.store.PurgeDeleted(t.Context())
				return err == nil && n == 1
			})
			_, err := p.finish()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			h.insert(numberedRun("another", 3, 0)...)
			before := h.rows()
			if err := fail(t, h); err == nil {
				t.Fatal("it did not fail")
			}
			h.pool.Reset() // of connections that were ended
			await.Until(h.t, "it is removed", func() bool {
				if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
					t.Fatal(err)
				}
				return h.rows() == before
			})
			// Rollups may have been made of what was there for a while.
			if h.count("SELECT count(*) FROM rollup_dirty WHERE to_time > from_time") == 0 {
				t.Error("the rollups are not told to forget it")
			}
			result, err := h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text))
			if err != nil || result.Inserted != records {
				t.Fatalf("%+v, %v", result, err)
			}
			result, err = h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text))
			if err != nil || result.Inserted != 0 || result.AlreadyStored != records {
				t.Fatalf("again: %+v, %v", result, err)
			}
			h.consistent()
		})
	}
}

// terminate ends the other connections of the test's database.
func (h *server) terminate(which string) {
	h.t.Helper()
	h.count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND " + which)
}

// The same new file is imported several times at once, while its session is
// posted to and the purger is at work: it is stored once.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	text := ndjson(append(numberedRun("x", 2*chunkRecords, 0), numberedRun("y", 2*chunkRecords, 500_000)...))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	purged := make(chan struct{})
	go func() {
		defer close(purged)
		// Each is let finish: the server may be busy with one given up, and the
		// last purge passes over what it holds.
		for ctx.Err() == nil {
			if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	inserted := make(chan int, 3)
	for range 3 {
		mine := h.beside(dbtest.URL(t)) // an import has its pool for itself
		go func() {
			result, err := mine.importFrom(t.Context(), ingest.Options{}, strings.NewReader(text))
			if err != nil {
				t.Error(err)
			}
			inserted <- result.Inserted
		}()
	}
	for i := range 20 {
		h.insert(numberedRun("y", 5, 900_000+5*i)...)
	}
	total := 0
	for range 3 {
		total += <-inserted
	}
	stop()
	<-purged
	if total != 4*chunkRecords {
		t.Errorf("%d records were stored, want %d", total, 4*chunkRecords)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Error(err)
	}
	if all, different := h.count("SELECT count(*) FROM telemetry"), h.count("SELECT count(DISTINCT message_id) FROM telemetry"); all != total+100 || different != all {
		t.Errorf("%d records, %d of them different", all, different)
	}
	h.consistent()
}
