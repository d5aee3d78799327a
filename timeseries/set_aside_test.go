package timeseries_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

func (h *server) aside(session string) (all []timeseries.OddRecord) {
	h.t.Helper()
	all, _, err := h.store.SetAside(h.t.Context(), timeseries.SetAsideQuery{SessionID: session, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// wantAside fails unless so many records of session s are set aside.
func (h *server) wantAside(want int) {
	h.t.Helper()
	if n := len(h.aside("s")); n != want {
		h.t.Errorf("%d records are set aside, want %d", n, want)
	}
}

// A record of a GPS receiver without a fix keeps the others of its batch not
// out, and is kept itself.
func TestOddTimesAreSetAside(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	batch := []rec{
		{"session_id": "a", "timestamp": "1980-01-06T00:00:03+00:00", "speed_ms": 0.5, "message_id": 1, "new": "x"},
		recordAt("a", 0, 2), recordAt("a", 200*time.Millisecond, 3),
		{"session_id": "a", "timestamp": "soon", "message_id": 4, "session_name": "N"},
	}
	if result := h.insert(batch...); result.Inserted != 4 || result.SetAside != 2 || len(result.Odd) != 2 || *result.Odd[0].Index != 0 || *result.Odd[1].Index != 3 {
		t.Errorf("%+v", result)
	}
	if got := fmt.Sprint(ids(h.read(timeseries.RecordQuery{SessionID: "a"}))); got != "[2 3]" {
		t.Errorf("read back: %s", got)
	}
	s, err := h.store.Session(t.Context(), "a")
	if err != nil || s.Records != 2 || s.SetAside != 2 || !s.Start.Equal(raceStart) {
		t.Errorf("%+v, %v", s, err)
	}
	latest, err := h.store.Latest(t.Context(), "a")
	if err != nil || latest.Records != 4 {
		t.Errorf("%+v, %v", latest, err)
	}
	odd := h.aside("a")
	if len(odd) != 2 || odd[0].Reason != "too early" || odd[0].Timestamp != "1980-01-06T00:00:03+00:00" || odd[0].Time == nil ||
		string(odd[0].Record) != `{"new": "x", "speed_ms": 0.5, "message_id": 1}` || odd[0].Source != "test" ||
		odd[1].Reason != "no time" || odd[1].Timestamp != "soon" || odd[1].Time != nil || string(odd[1].Record) != `{"message_id": 4, "session_name": "N"}` {
		t.Errorf("%+v", odd)
	}
	if result := h.insert(batch...); result.Inserted != 0 || result.AlreadyStored != 4 || len(h.aside("a")) != 2 {
		t.Errorf("again: %+v", result)
	}
	// A run of such records only is there, but in no list of runs with times.
	h.insert(rec{"session_id": "b", "timestamp": "never"})
	s, err = h.store.Session(t.Context(), "b")
	if err != nil || s.Records != 0 || s.SetAside != 1 || !s.Start.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	for all, want := range map[bool]int{false: 1, true: 2} {
		if list, err := h.store.Sessions(t.Context(), timeseries.SessionFilter{All: all}); err != nil || len(list) != want {
			t.Errorf("all %t: %d runs, %v", all, len(list), err)
		}
	}
	if _, err := h.store.Deltas.Read(t.Context(), []delta.Want{{ID: "b", From: delta.Position{Session: 2}}}, nil, 10); err != nil {
		t.Error(err)
	}
	h.consistent()
	if _, err := h.store.DeleteSession(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil || h.count("SELECT count(*) FROM set_aside") != 1 {
		t.Errorf("set-aside records outlive their run: %v", err)
	}
}

// A record with too many members is set aside with all of them where its time cannot
// be right; when it is put back, those beyond the bound stay aside.
func TestTooManyMembersPutBack(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	h := newServer(t)
	many := rec{"session_id": "s", "timestamp": "2000-01-01T00:00:00Z", "speed_ms": 1.0}
	for i := range 1030 {
		many[fmt.Sprintf("f%04d", i)] = i
	}
	if result := h.insert(many, recordAt("s", 0, 1)); result.SetAside != 1 || len(result.Odd) != 1 {
		t.Fatalf("%+v", result)
	}
	if _, err := h.store.Writer.Repair(t.Context(), ingest.Repair{Session: "s", At: raceStart}); err != nil {
		t.Fatal(err)
	}
	for again := range 2 {
		if n := h.count("SELECT sum((SELECT count(*) FROM jsonb_object_keys(members))) FROM members_aside"); n != 6 {
			t.Errorf("%d members are set aside, want 6", n)
		}
		if n := h.count("SELECT count(*) FROM jsonb_object_keys((SELECT extra FROM analytics.records WHERE extra ? 'f0000'))"); n != 1024 {
			t.Errorf("%d members are kept, want 1024", n)
		}
		if again == 0 {
			if _, err := h.store.Writer.Repair(t.Context(), ingest.Repair{Session: "s", Shift: time.Hour, All: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := h.store.DeleteSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil || h.count("SELECT count(*) FROM members_aside") != 0 {
		t.Errorf("members outlive their run: %v", err)
	}
}

// A real-time clock that was reset: the file's run begins where its good
// records do, on each way in.
func TestClockReset(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var file strings.Builder
	file.WriteString("session_id,timestamp,speed_ms\n")
	for i := range 5 {
		fmt.Fprintf(&file, "in09,2000-01-01T00:00:0%dZ,0\n", i)
	}
	for i := range 60 {
		fmt.Fprintf(&file, "in09,2026-06-03T10:00:%02d.000Z,%d\n", i, 5+i%3)
	}
	for i := range 2 {
		result, err := h.store.Writer.Import(t.Context(), decode.New(strings.NewReader(file.String()), decode.Options{Format: decode.FormatCSV}), ingest.Options{Source: "import"})
		if err != nil || result.Inserted != 65*(1-i) || result.SetAside != 5*(1-i) || result.AlreadyStored != 65*i {
			t.Errorf("%+v, %v", result, err)
		}
	}
	s, err := h.store.Session(t.Context(), "in09")
	if err != nil || s.StartText != "2026-06-03T10:00:00.000Z" || s.Records != 60 || s.SetAside != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	h.consistent()
}

// Whatever the timestamps are, in whatever order they come and on whichever way:
// every record is stored or set aside, once.
func TestNoRecordIsLost(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	random := rand.New(rand.NewPCG(11, 7))
	odd := []string{"", "soon", "1970-01-01T00:00:00Z", "1980-01-06T00:00:00+00:00", "2000-01-01T12:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "0"}
	for run := range 6 {
		session := fmt.Sprint("run ", run)
		n := 1 + random.IntN(7_000)
		var records []rec
		want := 0
		for i := range n {
			r := recordAt(session, time.Duration(random.IntN(100_000))*time.Millisecond, i)
			if random.IntN(10) == 0 {
				r["timestamp"] = odd[random.IntN(len(odd))]
				want++
			}
			records = append(records, r)
		}
		for again := range 2 {
			var result ingest.Result
			var err error
			switch run % 3 {
			case 0:
				result, err = h.try(ingest.Options{}, records)
			case 1:
				result, err = h.stream(decode.FormatJSON, ingest.Options{}, ndjson(records))
			default:
				result, err = h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(ndjson(records)))
			}
			if err != nil || result.Inserted != n*(1-again) || result.AlreadyStored != n*again || result.SetAside != want*(1-again) {
				t.Fatalf("run %d of %d records, %d odd: %d inserted, %d before, %d set aside, %v", run, n, want, result.Inserted, result.AlreadyStored, result.SetAside, err)
			}
			records[0]["session_name"] = "another name" // recognises nothing
		}
		if got := h.count(`
			SELECT count(DISTINCT id) FROM (
				SELECT message_id AS id FROM telemetry JOIN sessions s USING (session) WHERE s.id = $1
				UNION ALL
				SELECT (record->>'message_id')::bigint FROM set_aside JOIN sessions s USING (session) WHERE s.id = $1) kept`, session); got != n {
			t.Errorf("run %d: %d of %d records are kept", run, got, n)
		}
	}
	h.consistent()
}

// Batches that a version of form 1 stored are recognised: by the values, over
// all chunks of a file.
func TestBatchesOfFormOne(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are known by their digests")
	h := newServer(t)
	records := numberedRun("old", 2*chunkRecords+10, 0)
	text := ndjson(records)
	if _, err := h.stream(decode.FormatJSON, ingest.Options{}, text); err != nil {
		t.Fatal(err)
	}
	// What that version would have logged.
	dec := decode.New(strings.NewReader(text), decode.Options{})
	var chain []byte
	for batch := 1; batch <= 3; batch++ {
		b := decode.NewBatch()
		err := dec.Next(b, chunkRecords)
		if err != nil && batch < 3 {
			t.Fatal(err)
		}
		sum := sha256.New()
		for i := range b.Len() {
			v := b.Record(i)
			sum.Write(v.AppendCanonical(nil))
		}
		digest := sum.Sum(nil)
		if chain != nil {
			linked := sha256.Sum256(append(chain, digest...))
			digest = linked[:]
		}
		chain = digest
		if _, err := h.pool.Exec(t.Context(), "UPDATE ingest_batches SET digest = $1, form = 1 WHERE batch = $2", digest, batch); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	for range 2 {
		result, err := h.stream(decode.FormatJSON, ingest.Options{}, text)
		if err != nil || result.Inserted != 0 || result.AlreadyStored != len(records) {
			t.Errorf("sent again: %+v, %v", result, err)
		}
	}
	if result := h.insert(recordAt("old", time.Hour, -1)); result.Inserted != 1 {
		t.Errorf("another batch: %+v", result)
	}
	if result := h.insert(recordAt("old", time.Hour, -1)); result.AlreadyStored != 1 {
		t.Errorf("the other batch again: %+v", result)
	}
	h.consistent()
}

// What was set aside can be exported as what is stored: whole, by pages, by
// channels, and stored again elsewhere.
func TestExportSetAside(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	h := newServer(t)
	odd := []rec{
		{"session_id": "a", "timestamp": "soon", "message_id": 4.0, "session_name": "N", "time": "noon"},
		{"session_id": "a", "timestamp": "1980-01-06T00:00:03.5+00:00", "speed_ms": 0.1, "message_id": 1.0, "new": "x", "outliers": map[string]any{"severity": nil}},
		{"session_id": "a", "timestamp": "2999-01-01T00:00:00", "message_id": 2.0},
	}
	h.insert(append(odd, recordAt("a", 0, 3))...)
	if diff := cmp.Diff(odd, h.read(timeseries.RecordQuery{SessionID: "a", SetAside: true})); diff != "" {
		t.Errorf("-sent +read:\n%s", diff)
	}
	var paged []rec
	var after *record.Cursor
	for range odd {
		rs, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "a", SetAside: true, Limit: 1, After: after, Fields: []string{"message_id"}})
		if err != nil || !rs.Next() {
			t.Fatalf("%v, %v", err, rs.Err())
		}
		var r rec
		if err := json.Unmarshal(rs.Record().AppendJSON(nil), &r); err != nil {
			t.Fatal(err)
		}
		paged = append(paged, r)
		cursor := rs.Record().Cursor()
		after = &cursor
	}
	if fmt.Sprint(ids(paged)) != "[4 1 2]" {
		t.Errorf("by pages: %v", paged)
	}
	if got := h.read(timeseries.RecordQuery{SessionID: "a", SetAside: true, From: raceStart}); len(got) != 1 {
		t.Errorf("from a time on: %v", got)
	}
}

// A page of large records ends before it has as many as were asked for, and the
// next one goes on behind it.
func TestPagesOfSetAsideEndByBytes(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	h := newServer(t)
	h.store.PageBytes = 1 << 20
	const n, size = 14, 100_000
	for i := range n {
		h.insert(rec{"session_id": "large", "timestamp": "never", "message_id": float64(i), "note": []any{strings.Repeat("x", size)}})
	}
	q := timeseries.SetAsideQuery{SessionID: "large", Limit: 1000}
	var pages []int
	for more := true; more; {
		var list []timeseries.OddRecord
		var err error
		if list, more, err = h.store.SetAside(t.Context(), q); err != nil || len(list) == 0 {
			t.Fatalf("%d records, %v", len(list), err)
		}
		q.After = list[len(list)-1].ID
		pages = append(pages, len(list))
	}
	if len(pages) != 2 || pages[0] > h.store.PageBytes/size+1 || pages[0]+pages[1] != n {
		t.Errorf("pages of %d records", pages)
	}
}
