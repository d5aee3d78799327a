package timeseries_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// anyRecord makes a record with random members of every type, and a timestamp
// in any of the forms that clients send.
func anyRecord(random *rand.Rand, session string, i int) rec {
	texts := []string{"", "eco", "é€😀", "a,b", `"quoted"`, "two\nlines\r\n", "tab\t", " spaces ", "\u2028", "{}", "null", "5"}
	float := func() float64 {
		switch random.IntN(4) {
		case 0:
			return float64(random.IntN(100))
		case 1:
			return math.Round(random.NormFloat64()*1e4) / 1e2
		case 2:
			return 0
		}
		for {
			if v := math.Float64frombits(random.Uint64()); math.Abs(v) <= 1e100 { // which NaN is not
				return v
			}
		}
	}
	var value func(depth int) any
	value = func(depth int) any {
		switch n := random.IntN(7); {
		case n == 0:
			return texts[random.IntN(len(texts))]
		case n == 1:
			return random.IntN(2) == 0
		case n == 2 && depth > 0:
			return []any{value(depth - 1), value(depth - 1)}
		case n == 3 && depth > 0:
			return map[string]any{"a": value(depth - 1), "b é": value(depth - 1), "null": nil}
		default:
			return math.Round(random.NormFloat64()*1e6) / 1e3
		}
	}
	at := raceStart.Add(time.Duration(i)*time.Second + time.Duration(random.IntN(1000))*time.Millisecond)
	r := rec{"session_id": session}
	switch random.IntN(6) {
	case 0:
		r["timestamp"] = at.Format("2006-01-02T15:04:05.000Z")
	case 1:
		r["timestamp"] = at.In(time.FixedZone("", 7200)).Format("2006-01-02T15:04:05.000000-07:00")
	case 2:
		r["timestamp"] = at.Format("2006-01-02 15:04:05.000000")
	default:
		r["timestamp"] = record.FormatTime(at)
	}
	for _, f := range channel.All {
		if random.IntN(3) == 0 {
			continue
		}
		switch f.Type {
		case channel.Float:
			r[f.Name] = float()
		case channel.Int:
			r[f.Name] = float64(random.Int64N(1<<53) - 1<<52)
		case channel.Text:
			r[f.Name] = texts[random.IntN(len(texts))]
		case channel.JSON:
			r[f.Name] = value(2)
		}
	}
	for range random.IntN(4) {
		r[fmt.Sprintf("sensor %d", random.IntN(10))] = value(2)
	}
	return r
}

// Whatever goes in comes back, value for value and timestamp for timestamp, in
// every form; and what an export holds can be imported.
func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	random := rand.New(rand.NewPCG(7, 8))
	var want []rec
	for i := range 600 {
		want = append(want, anyRecord(random, "run", i))
	}
	result, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(want))
	if err != nil || result.Inserted != len(want) {
		t.Fatalf("%+v, %v", result, err)
	}
	if diff := cmp.Diff(want, h.read(timeseries.RecordQuery{SessionID: "run"})); diff != "" {
		t.Errorf("(-sent +read)\n%s", diff)
	}
	// Through CSV into another session. An empty text is an empty cell there.
	rs, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "run"})
	if err != nil {
		t.Fatal(err)
	}
	text := rs.CSVHeader()
	for rs.Next() {
		text = rs.Record().AppendCSV(text)
	}
	dec := decode.New(strings.NewReader(string(text)), decode.Options{Format: decode.FormatCSV, SessionID: "again"})
	result, err = h.store.Writer.IngestStream(t.Context(), dec, ingest.Options{Source: "test"})
	if err != nil || result.Inserted != len(want) {
		t.Fatalf("from CSV: %+v, %v", result, err)
	}
	for _, r := range want {
		r["session_id"] = "again"
		maps.DeleteFunc(r, func(name string, value any) bool {
			f, known := channel.ByName(name)
			return known && f.Type == channel.Text && value == ""
		})
	}
	if diff := cmp.Diff(want, h.read(timeseries.RecordQuery{SessionID: "again"})); diff != "" {
		t.Errorf("through CSV (-sent +read)\n%s", diff)
	}
	h.consistent()
}

// A selection of fields gives those and no others.
func TestSelectedFields(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T10:00:00.5Z", "speed_ms": 1, "voltage_v": 2, "odd": 3})
	got := h.read(timeseries.RecordQuery{SessionID: "s", Fields: []string{"voltage_v", "timestamp", "power_w", "voltage_v"}})
	if diff := cmp.Diff([]rec{{"session_id": "s", "timestamp": "2026-03-21T10:00:00.5Z", "voltage_v": 2.0}}, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"odd", "time", "batch; DROP TABLE telemetry", ""} {
		if _, err := h.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "s", Fields: []string{name}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("field %q: %v", name, err)
		}
	}
}

func TestBatchesAreAtomic(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(recordAt("a", 0, 1), recordAt("b", 0, 1))
	before := h.rows()
	good := []rec{recordAt("a", time.Second, 2), recordAt("b", time.Second, 2), recordAt("new", time.Second, 2)}

	bad := recordAt("a", 2*time.Second, 3)
	bad["speed_ms"] = "fast"
	if _, err := h.try(ingest.Options{}, append(slices.Clone(good), bad)); !fault.Is(err, fault.Invalid) {
		t.Errorf("with a bad record: %v", err)
	}
	if got := h.rows(); got != before {
		t.Errorf("a bad record left %s, had %s", got, before)
	}

	// The database itself fails after the sessions before were copied.
	for _, sql := range []string{
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON telemetry FOR EACH ROW WHEN (NEW.message_id = 666) EXECUTE FUNCTION refuse()`,
	} {
		if _, err := h.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.try(ingest.Options{}, append(slices.Clone(good), recordAt("z", 0, 666))); err == nil || fault.As(err) != nil {
		t.Errorf("refused by the database: %v", err)
	}
	var late []rec
	for i := range 12_000 {
		late = append(late, recordAt("a", time.Duration(i)*time.Second, i+1000))
	}
	late = append(late, recordAt("a", 0, 666))
	if _, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(late)); err == nil {
		t.Error("a stream that the database refused at its end was stored")
	}
	if got := h.rows(); got != before {
		t.Errorf("a failure left %s, had %s", got, before)
	}

	// With SkipBad the good ones stay.
	result, err := h.try(ingest.Options{SkipBad: true}, append(slices.Clone(good), bad))
	if err != nil || result.Inserted != 3 || result.Rejected != 1 || len(result.Problems) != 1 || *result.Problems[0].Index != 3 {
		t.Errorf("with SkipBad: %+v, %v", result, err)
	}
	if result := h.insert(); result.Inserted != 0 || len(result.Sessions) != 0 {
		t.Errorf("an empty batch: %+v", result)
	}
	h.consistent()
}

func TestBatchesAreStoredOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are known by their digests")
	h := newServer(t)
	batch := func(session string) (records []rec) {
		for i := range 20 {
			records = append(records, recordAt(session, time.Duration(i)*time.Second, i))
		}
		return records
	}
	check := func(what string, result ingest.Result, err error, inserted, already int) {
		t.Helper()
		if err != nil || result.Inserted != inserted || result.AlreadyStored != already {
			t.Errorf("%s: %d inserted, %d already stored, %v; want %d, %d", what, result.Inserted, result.AlreadyStored, err, inserted, already)
		}
	}
	a := batch("a")
	first := h.insert(a...)
	check("first", first, nil, 20, 0)
	again := h.insert(a...)
	check("again", again, nil, 0, 20)
	if again.Sessions[0].Batch != first.Sessions[0].Batch {
		t.Errorf("the repeated batch is said to be number %d, was %d", again.Sessions[0].Batch, first.Sessions[0].Batch)
	}
	result, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(a))
	check("as a stream", result, err, 0, 20)
	csv := "session_id,message_id,speed_ms,timestamp\n"
	for _, r := range a {
		csv += fmt.Sprintf("%s,%d,%g,%s\n", r["session_id"], r["message_id"], r["speed_ms"], r["timestamp"])
	}
	result, err = h.stream(decode.FormatCSV, ingest.Options{}, csv)
	check("as CSV", result, err, 0, 20)
	check("in another session", h.insert(batch("b")...), nil, 20, 0)
	check("both sessions mixed", h.insert(append(batch("a"), batch("b")...)...), nil, 0, 40)
	check("one of them grown", h.insert(append(batch("a"), append(batch("b"), recordAt("b", time.Hour, 99))...)...), nil, 21, 20)
	slices.Reverse(a)
	check("in another order, which is another batch", h.insert(a...), nil, 20, 0)

	// The same rows twice in one batch or one file are meant.
	twice := append(batch("c"), batch("c")...)
	check("rows twice", h.insert(twice...), nil, 40, 0)
	var file []rec
	for range ingest.ChunkRecords * 2 / 20 {
		file = append(file, batch("d")...)
	}
	result, err = h.stream(decode.FormatJSON, ingest.Options{}, ndjson(file))
	check("two equal chunks", result, err, len(file), 0)
	result, err = h.stream(decode.FormatJSON, ingest.Options{}, ndjson(file))
	check("two equal chunks again", result, err, 0, len(file))
	h.consistent()
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	h := newServer(t)
	key := ingest.Options{IdempotencyKey: "upload 1"}
	var records []rec
	for i := range 12_000 {
		records = append(records, recordAt("a", time.Duration(i)*time.Second, i))
	}
	for upload := range 2 {
		result, err := h.stream(decode.FormatJSON, key, ndjson(records))
		if err != nil || result.Inserted != 12_000*(1-upload) || result.AlreadyStored != 12_000*upload {
			t.Fatalf("upload %d: %+v, %v", upload, result, err)
		}
	}
	before := h.rows()
	for name, other := range map[string][]rec{
		"other records": {recordAt("a", 0, -1)}, "fewer records": records[:6000], "more records": append(slices.Clone(records), recordAt("a", 0, -1)),
	} {
		if result, err := h.stream(decode.FormatJSON, key, ndjson(other)); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s under the same key: %+v, %v", name, result, err)
		}
	}
	if got := h.rows(); got != before {
		t.Errorf("conflicts left %s, had %s", got, before)
	}
	// The key belongs to the upload; without it the records are known all the same.
	if result, err := h.stream(decode.FormatJSON, key, ndjson([]rec{recordAt("b", 0, 1)})); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), `"upload 1"`) {
		t.Errorf("another session: %+v, %v", result, err)
	}
	for i, name := range []string{"upload 1#1", "upload 1#2"} { // no key of a chunk
		if result, err := h.stream(decode.FormatJSON, ingest.Options{IdempotencyKey: name}, ndjson([]rec{recordAt("a", time.Hour, -i)})); err != nil || result.Inserted != 1 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	// An upload whose first chunk is bad throughout, and one of several sessions.
	bad := slices.Repeat([]rec{{"session_id": "c", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": "fast"}}, chunkRecords)
	for name, upload := range map[string][]rec{"bad first": append(bad, recordAt("c", 0, 1)), "two sessions": {recordAt("d", 0, 1), recordAt("e", 0, 1), recordAt("d", time.Second, 2)}} {
		for _, again := range []bool{false, true} {
			result, err := h.stream(decode.FormatJSON, ingest.Options{IdempotencyKey: name, SkipBad: true}, ndjson(upload))
			if err != nil || (result.Inserted == 0) != again {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
		if result, err := h.stream(decode.FormatJSON, ingest.Options{IdempotencyKey: name}, ndjson([]rec{recordAt("f", 0, 1)})); !fault.Is(err, fault.Conflict) {
			t.Errorf("another session after %s: %+v, %v", name, result, err)
		}
	}
	if result, err := h.store.DeleteSession(t.Context(), "c"); err != nil {
		t.Error(result, err)
	}
	if result, err := h.stream(decode.FormatJSON, ingest.Options{IdempotencyKey: "bad first"}, ndjson([]rec{recordAt("f", 0, 1)})); err != nil || result.Inserted != 1 {
		t.Errorf("after the run was deleted: %+v, %v", result, err)
	}
	if result, err := h.stream(decode.FormatJSON, ingest.Options{IdempotencyKey: "upload 2"}, ndjson(records)); err != nil || result.AlreadyStored != 12_000 {
		t.Errorf("another key: %+v, %v", result, err)
	}
	h.consistent()
}

// An upload that comes again under its key is the same when some of its runs were
// deleted: they stay so, and another one under the key is refused all the same.
func TestIdempotencyKeyOfDeletedRuns(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	h := newServer(t)
	key := ingest.Options{IdempotencyKey: "nightly"}
	var records []rec
	for i := range chunkRecords + 100 { // the second run begins in the second chunk
		records = append(records, recordAt([]string{"a", "b"}[i/chunkRecords], time.Duration(i)*time.Second, i))
	}
	send := func(records []rec) (ingest.Result, error) { return h.stream(decode.FormatJSON, key, ndjson(records)) }
	if result, err := send(records); err != nil || result.Inserted != len(records) {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, gone := range []string{"a", "b"} {
		if _, err := h.store.DeleteSession(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if gone == "b" {
			break
		}
		if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := h.rows()
		for range 2 {
			if result, err := send(records); err != nil || result.Inserted != 0 || result.AlreadyStored != len(records) {
				t.Errorf("without %s: %+v, %v", gone, result, err)
			}
		}
		other := slices.Clone(records)
		other[0] = recordAt("a", 0, -1)
		for name, upload := range map[string][]rec{"other": other, "more": append(slices.Clone(records), recordAt("c", 0, 1)), "fewer": records[1:]} {
			if result, err := send(upload); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), `"nightly"`) {
				t.Errorf("%s records without %s: %+v, %v", name, gone, result, err)
			}
		}
		if got := h.rows(); got != before {
			t.Errorf("repeats left %s, had %s", got, before)
		}
	}
	// Nothing of it is left: the key is as good as new, as the ids of its runs are.
	if result, err := send(records); err != nil || result.Inserted != len(records) {
		t.Errorf("%+v, %v", result, err)
	}
	h.consistent()
}

// Of two uploads of one key at once, whatever their sessions, one is stored.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	for round := range 10 {
		failed := make(chan error, 2)
		for i := range 2 {
			go func() {
				_, err := h.try(ingest.Options{IdempotencyKey: fmt.Sprint("key ", round)}, []rec{recordAt(fmt.Sprint("s", i), 0, round)})
				failed <- err
			}()
		}
		one, other := <-failed, <-failed
		if one == nil {
			one, other = other, one
		}
		if other != nil || !fault.Is(one, fault.Conflict) {
			t.Errorf("round %d: %v, %v", round, one, other)
		}
	}
	h.consistent()
}

// Many writers send batches of several sessions in any order, each batch twice.
func TestWritersAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	random := rand.New(rand.NewPCG(9, 10))
	const writers, batches = 6, 60
	total := map[string]int{}
	jobs := make(chan []rec, 2*batches)
	for b := range batches {
		var records []rec
		for i := range 1 + random.IntN(40) {
			session := fmt.Sprintf("s%d", random.IntN(4))
			records = append(records, recordAt(session, time.Duration(random.IntN(3600))*time.Second, b*1000+i))
			total[session]++
		}
		jobs <- records
		jobs <- records
	}
	close(jobs)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for records := range jobs {
				if result, err := h.try(ingest.Options{}, records); err != nil || result.Inserted+result.AlreadyStored != len(records) {
					t.Errorf("%d records: %+v, %v", len(records), result, err)
				}
			}
		})
	}
	wg.Wait()
	h.consistent()
	for session, want := range total {
		if got := h.read(timeseries.RecordQuery{SessionID: session, Fields: []string{"message_id"}}); len(got) != want {
			t.Errorf("session %s has %d records, want %d", session, len(got), want)
		}
	}
}

// Two long uploads take the same sessions in opposite order. One of them may be
// sent away; nothing is lost or stored in part.
func TestStreamsThatMeet(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend")
	h := newServer(t)
	const chunk = ingest.ChunkRecords
	upload := func(id int, sessions ...string) string {
		var records []rec
		for part, session := range sessions {
			for i := range chunk {
				records = append(records, recordAt(session, time.Duration(i)*time.Second, id+part*chunk+i))
			}
		}
		return ndjson(records)
	}
	var wg sync.WaitGroup
	for _, text := range []string{upload(0, "x", "y", "x"), upload(1_000_000, "y", "x", "y"), upload(2_000_000, "x", "y", "y")} {
		wg.Go(func() {
			for range 20 {
				result, err := h.stream(decode.FormatJSON, ingest.Options{}, text)
				if err == nil {
					if result.Inserted != 3*chunk {
						t.Errorf("%+v", result)
					}
					return
				}
				if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
					t.Errorf("%v", err)
					return
				}
			}
			t.Error("never let through")
		})
	}
	wg.Wait()
	h.consistent()
	if got := h.count("SELECT count(DISTINCT message_id) FROM telemetry"); got != 9*chunk {
		t.Errorf("%d records, want %d", got, 9*chunk)
	}
}

// Records come in any order. Start, end and newest record follow the time of
// measurement, never the time of arrival.
func TestBoundsFollowMeasurement(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	random := rand.New(rand.NewPCG(11, 12))
	all := make([]rec, 60)
	for i := range all {
		all[i] = recordAt("s", time.Duration(i)*time.Second, i)
		if i%3 == 0 {
			all[i]["timestamp"] = raceStart.Add(time.Duration(i) * time.Second).Format("2006-01-02T15:04:05.000Z")
		}
	}
	for round := range 15 {
		session := fmt.Sprint("s", round)
		order := random.Perm(len(all))
		oldest, newest := len(all), -1
		for len(order) > 0 {
			n := min(len(order), 1+random.IntN(20))
			var batch []rec
			for _, i := range order[:n] {
				r := maps.Clone(all[i])
				r["session_id"] = session
				batch = append(batch, r)
				oldest, newest = min(oldest, i), max(newest, i)
			}
			order = order[n:]
			h.insert(batch...)
			got, err := h.store.Session(t.Context(), session)
			if err != nil {
				t.Fatal(err)
			}
			if got.StartText != all[oldest]["timestamp"] || got.EndText != all[newest]["timestamp"] || got.Records != int64(len(all)-len(order)) {
				t.Fatalf("%s to %s, %d records; want %s to %s, %d", got.StartText, got.EndText, got.Records, all[oldest]["timestamp"], all[newest]["timestamp"], len(all)-len(order))
			}
			latest, err := h.store.Latest(t.Context(), session)
			if err != nil {
				t.Fatal(err)
			}
			if *latest.Timestamp != all[newest]["timestamp"] || *latest.LatestMessageID != int64(newest) || latest.Records != got.Records {
				t.Fatalf("latest %+v, want record %d", latest, newest)
			}
			if got := ids(h.read(timeseries.RecordQuery{SessionID: session, Newest: true, Limit: 1})); !cmp.Equal(got, []int{newest}) {
				t.Fatalf("newest record %v, want %d", got, newest)
			}
		}
		if got := ids(h.read(timeseries.RecordQuery{SessionID: session})); !slices.IsSorted(got) || len(got) != len(all) {
			t.Fatalf("order %v", got)
		}
	}
	h.consistent()
}

// Of records with the same time, the one stored last is the newest.
func TestEqualTimesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for i := range 5 {
		h.insert(recordAt("s", time.Second, 2*i), recordAt("s", time.Second, 2*i+1))
	}
	if got := ids(h.read(timeseries.RecordQuery{SessionID: "s"})); !cmp.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("order %v", got)
	}
	latest, err := h.store.Latest(t.Context(), "s")
	if err != nil || *latest.LatestMessageID != 9 {
		t.Errorf("latest %+v, %v", latest, err)
	}
	if got := ids(h.read(timeseries.RecordQuery{SessionID: "s", Newest: true, Limit: 3})); !cmp.Equal(got, []int{7, 8, 9}) {
		t.Errorf("newest three %v", got)
	}
}

func TestSessionNames(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: how it comes into the hypertable, other uploads show")
	h := newServer(t)
	named := func(i int, name any) rec {
		r := recordAt("s", time.Duration(i)*time.Second, i)
		if name != nil {
			r["session_name"] = name
		}
		return r
	}
	for i, step := range []struct {
		batch []rec
		want  *string
	}{
		{[]rec{named(0, nil)}, nil},
		{[]rec{named(1, "Morning"), named(2, "Ignored")}, ptr("Morning")},
		{[]rec{named(3, nil)}, ptr("Morning")},
		{[]rec{named(4, "Evening")}, ptr("Evening")},
	} {
		h.insert(step.batch...)
		session, err := h.store.Session(t.Context(), "s")
		if err != nil || !cmp.Equal(session.Name, step.want) {
			t.Errorf("step %d: name %v, %v", i, session.Name, err)
		}
	}
}

// An empty session id is stored, as the contract has it, but is no session in the list.
func TestEmptySessionID(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: how it comes into the hypertable, other uploads show")
	h := newServer(t)
	if result := h.insert(recordAt("", 0, 1), recordAt("s", 0, 1)); result.Inserted != 2 {
		t.Errorf("%+v", result)
	}
	list, err := h.store.Sessions(t.Context(), timeseries.SessionFilter{})
	if err != nil || len(list) != 1 || list[0].ID != "s" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSkipExisting(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	skip := ingest.Options{SkipExisting: true}
	full := func(i int) rec { // as the bridge posts it
		r := recordAt("s", time.Duration(i)*time.Second, i)
		maps.Copy(r, rec{"session_name": "M 233", "avg_speed_kmh": float64(i) / 3, "outliers": map[string]any{"confidence": 1e2}, "odd": []any{1.0, "x"}, "more": true, "large": 1 << 53, "data_source": "ESP32_REAL"})
		return r
	}
	rescued := func(i int) rec { // as its rescue file has it: without what it derived
		r := full(i)
		delete(r, "avg_speed_kmh")
		delete(r, "more")
		return r
	}
	import_ := func(what string, records []rec, inserted, already int) {
		t.Helper()
		result, err := h.stream(decode.FormatJSON, skip, ndjson(records))
		if err != nil || result.Inserted != inserted || result.AlreadyStored != already {
			t.Errorf("%s: %d inserted, %d already stored, %v; want %d, %d", what, result.Inserted, result.AlreadyStored, err, inserted, already)
		}
		h.consistent()
	}
	import_("a new session", []rec{rescued(-2), rescued(-1)}, 2, 0)
	var stored, rescue []rec
	for i := range 100 {
		rescue = append(rescue, rescued(i))
		if i%10 != 3 { // lost on the way
			stored = append(stored, full(i))
		}
	}
	for batch := range slices.Chunk(stored, 7) {
		h.insert(batch...)
	}
	import_("the rescue file", rescue, 10, 90)
	import_("the rescue file again", rescue, 0, 100)
	reversed := slices.Clone(rescue)
	slices.Reverse(reversed)
	import_("the rescue file in another order", reversed, 0, 100)

	// A stored record stands for one.
	import_("a record twice", []rec{rescued(5), rescued(5)}, 1, 1)
	import_("a record three times", []rec{rescued(5), rescued(5), rescued(5)}, 1, 2)

	for name, change := range map[string]func(r rec){
		"another value":    func(r rec) { r["speed_ms"] = 99.5 },
		"another integer":  func(r rec) { r["message_id"] = 1 << 40 },
		"another text":     func(r rec) { r["data_source"] = "MOCK" },
		"another object":   func(r rec) { r["outliers"] = map[string]any{"confidence": 101} },
		"another unknown":  func(r rec) { r["odd"] = []any{1.0, "y"} },
		"another large id": func(r rec) { r["large"] = json.Number("9007199254740993") },
		"one more field":   func(r rec) { r["voltage_v"] = 1 },
		"one more unknown": func(r rec) { r["odder"] = 1 },
		"a later time":     func(r rec) { r["timestamp"] = "2026-03-21T10:00:07.000001+00:00" },
	} {
		r := full(7)
		change(r)
		import_(name, []rec{r}, 1, 0)
	}
	// What somebody worked out, or called the run, tells no record from another.
	for name, change := range map[string]func(r rec){
		"another name": func(r rec) { r["session_name"] = "M 234" },
		"another mean": func(r rec) { r["avg_speed_kmh"] = 99.5 },
		"what importers add": func(r rec) {
			maps.Copy(r, rec{"cumulative_energy_kwh": 1, "route_distance_km": 2, "accel_magnitude": 3})
		},
		"the historical page's": func(r rec) {
			maps.Copy(r, rec{"speed_kmh": 3, "g_force": 1.5, "optimalRange": "[object Object]", "outliers": "[object Object]", "voltage_v": 0, "power_w": 7, "qualityScore": 1})
		},
	} {
		r := full(9)
		change(r)
		import_(name, []rec{r}, 0, 1)
	}
	lost := full(9)
	maps.Copy(lost, rec{"speed_kmh": 3, "voltage_v": 48})
	import_("a measurement that the historical page has and this run lost", []rec{lost}, 1, 0)
	import_("nothing but what was worked out", []rec{{"session_id": "s", "timestamp": full(9)["timestamp"], "avg_speed_kmh": 3}}, 1, 0)

	other := full(8)
	other["timestamp"] = "2026-03-21T12:00:08+02:00" // the same time, written in another way
	import_("the same time in another form", []rec{other}, 0, 1)

	// Exact matches are not taken away by records with fewer fields.
	h.insert(rec{"session_id": "t", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": 1}, rec{"session_id": "t", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": 1, "power_w": 2})
	import_("few fields first", []rec{
		{"session_id": "t", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": 1}, {"session_id": "t", "timestamp": "2026-03-21T10:00:00Z", "speed_ms": 1, "power_w": 2},
	}, 0, 2)

	// A file of several chunks and sessions, whose equal rows are far apart.
	var file []rec
	for i := range 2 * ingest.ChunkRecords {
		file = append(file, recordAt("long", time.Duration(i%4000)*time.Second, i%4000))
	}
	file = append(file, recordAt("u", 0, 1))
	for i := range 3000 {
		h.insert(recordAt("long", time.Duration(i)*time.Second, i))
		if i >= 30 {
			break
		}
	}
	import_("a long file", file, len(file)-31, 31)
	if result, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(file)); err != nil || result.Inserted != 0 {
		t.Errorf("the long file, without comparing: %+v, %v", result, err)
	}
	import_("a long file again, with one more row", append(slices.Clone(file), recordAt("long", 0, 0)), 1, len(file))
}
