package archive_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/archive"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

var raceStart = time.Date(2026, 3, 21, 10, 0, 0, 0, time.UTC)

// sample is a record that a test can recognise.
type sample struct {
	at  time.Duration // after raceStart
	num int           // in message_id
}

// storeSamples stores them as one batch.
func storeSamples(t testing.TB, store *timeseries.Store, session string, samples []sample) {
	t.Helper()
	var text bytes.Buffer
	for i, s := range samples {
		text.WriteByte("[,"[min(i, 1)])
		fmt.Fprintf(&text, `{"session_id":%q,"timestamp":%q,"message_id":%d,"speed_ms":%g}`,
			session, record.FormatTime(raceStart.Add(s.at)), s.num, float64(s.num%50)/4)
	}
	text.WriteByte(']')
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records(text.Bytes(), b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Writer.Ingest(t.Context(), b, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
}

func gunzip(t testing.TB, file []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func archiveFile(t testing.TB, a *archive.Archives, name string) []byte {
	t.Helper()
	file, err := a.File(t.Context(), name)
	if err != nil {
		t.Fatalf("file %s: %v", name, err)
	}
	return gunzip(t, file)
}

// numbers returns the message ids of a JSON array of records.
func numbers(t testing.TB, text []byte) []int {
	t.Helper()
	var records []struct {
		Number int `json:"message_id"`
	}
	if err := json.Unmarshal(text, &records); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	list := make([]int, len(records))
	for i, r := range records {
		list[i] = r.Number
	}
	return list
}

func partList(t testing.TB, a *archive.Archives, session string) *archive.List {
	t.Helper()
	list, err := a.List(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Whatever arrives in whatever order, the parts together are the session, each
// is full but the last, and a file once named never changes.
func TestArchiveOfRecordsInAnyOrder(t *testing.T) {
	t.Parallel()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	archives := store.Archives
	rng := rand.New(rand.NewPCG(7, 11))
	var all []sample // in order of storage
	named := map[string][]byte{}
	for round := range 8 {
		var batch []sample
		switch round {
		case 4: // all at one moment, in the middle
			for range 3500 {
				batch = append(batch, sample{40 * time.Minute, len(all) + len(batch)})
			}
		case 5: // before everything
			batch = append(batch, sample{-time.Hour, len(all)})
		case 6: // behind everything
			batch = append(batch, sample{9 * time.Hour, len(all)})
		default:
			for range 1500 + rng.IntN(1500) {
				at := time.Duration(rng.IntN(100*60)) * time.Second // many coincide
				batch = append(batch, sample{at, len(all) + len(batch)})
			}
		}
		storeSamples(t, store, "run", batch)
		all = append(all, batch...)

		inOrder := slices.Clone(all)
		slices.SortStableFunc(inOrder, func(a, b sample) int { return int(a.at - b.at) })
		list := partList(t, archives, "run")
		if list.Records != int64(len(all)) {
			t.Fatalf("round %d: %d records, want %d", round, list.Records, len(all))
		}
		place := 0
		for i, p := range list.Parts {
			if p.Number != i || p.Records != archive.PartRecords && i < len(list.Parts)-1 {
				t.Errorf("round %d: part %d is number %d with %d records", round, i, p.Number, p.Records)
			}
			want := make([]int, p.Records)
			for j := range want {
				want[j] = inOrder[place+j].num
			}
			text := archiveFile(t, archives, p.Name)
			if diff := cmp.Diff(want, numbers(t, text)); diff != "" {
				t.Fatalf("round %d, part %d (-want +got):\n%s", round, i, diff)
			}
			first, last := raceStart.Add(inOrder[place].at), raceStart.Add(inOrder[place+p.Records-1].at)
			if !p.First.Equal(first) || !p.Last.Equal(last) {
				t.Errorf("round %d, part %d: from %v to %v, want %v to %v", round, i, p.First, p.Last, first, last)
			}
			place += p.Records
			named[p.Name] = text
		}
		if place != len(all) {
			t.Errorf("round %d: the parts hold %d of %d records", round, place, len(all))
		}
	}
	for name, text := range named {
		if !bytes.Equal(archiveFile(t, archives, name), text) {
			t.Errorf("the file %s changed", name)
		}
	}
}

// While batches arrive at any time of the session, every division that is seen
// is of one moment, and every file is what its part says.
func TestArchiveWhileRecordsArrive(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	storeSamples(t, store, "run", []sample{{0, 0}})
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(3, 5))
		for range 40 {
			var batch []sample
			for range 200 {
				batch = append(batch, sample{time.Duration(rng.IntN(600)) * time.Second, rng.IntN(1e9)})
			}
			storeSamples(t, store, "run", batch)
		}
	})
	for range 2 { // instances of the daemon
		wg.Go(func() {
			archives := timeseries.New(dbtest.New(t), timeseries.Options{}).Archives
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				list := partList(t, archives, "run")
				var total int64
				for i, p := range list.Parts {
					total += int64(p.Records)
					if p.Records != archive.PartRecords && i < len(list.Parts)-1 {
						t.Errorf("part %d of %d has %d records", i, len(list.Parts), p.Records)
					}
				}
				last := list.Parts[len(list.Parts)-1]
				if n := len(numbers(t, archiveFile(t, archives, last.Name))); n != last.Records {
					t.Errorf("the file has %d records, its part %d", n, last.Records)
				}
				if total != list.Records || (total-1)%200 != 0 {
					t.Errorf("the parts have %d records, the archive %d", total, list.Records)
				}
			}
		})
	}
	wg.Wait()
	if list := partList(t, store.Archives, "run"); list.Records != 8001 {
		t.Errorf("%d records in the end, want 8001", list.Records)
	}
}

func TestPartsThatNothingReachedKeepTheirNames(t *testing.T) {
	t.Parallel()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	archives := store.Archives
	storeRun := func(from, n int) {
		var batch []sample
		for i := range n {
			batch = append(batch, sample{time.Duration(from+i) * time.Second, from + i})
		}
		storeSamples(t, store, "run", batch)
	}
	names := func() (list []string) {
		for _, p := range partList(t, archives, "run").Parts {
			list = append(list, p.Name)
		}
		return list
	}
	storeRun(0, 7000)
	first := names()
	if diff := cmp.Diff(first, names()); diff != "" {
		t.Errorf("nothing arrived, but names changed:\n%s", diff)
	}
	storeRun(7000, 2500) // fills the third part and begins a fourth
	second := names()
	if len(second) != 4 || second[0] != first[0] || second[1] != first[1] || second[2] == first[2] {
		t.Errorf("names before %v and after %v", first, second)
	}
	storeSamples(t, store, "run", []sample{{4500 * time.Second, -1}}) // into the second
	third := names()
	if third[0] != second[0] {
		t.Error("a late record changed a part before it")
	}
	for i := 1; i < 4; i++ {
		if third[i] == second[i] {
			t.Errorf("a late record left part %d as it was", i)
		}
	}
	storeRun(9500, 2499) // one more than fits into the fourth
	if got := len(partList(t, archives, "run").Parts); got != 4 {
		t.Errorf("%d parts for 12,000 records", got)
	}
	fourth := names()
	storeSamples(t, store, "run", []sample{{20000 * time.Second, -2}})
	fifth := names()
	if diff := cmp.Diff(fourth, fifth[:4]); diff != "" || len(fifth) != 5 {
		t.Errorf("a record behind full parts changed them:\n%s", diff)
	}
}

func TestArchivePreviewAndOverview(t *testing.T) {
	t.Parallel()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	archives := store.Archives
	for _, n := range []int{1, 2, 159, 160, 161, 1499, 1500, 1501, 3000, 7001} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			session := fmt.Sprint("run", n)
			var batch []sample
			for i := range n {
				batch = append(batch, sample{time.Duration(i/3) * time.Second, i}) // three at a time
			}
			storeSamples(t, store, session, batch)

			preview := numbers(t, archiveFile(t, archives, partList(t, archives, session).Parts[0].PreviewName))
			checkSpacing(t, preview, min(n, 3000), 160, 0)

			named, err := archives.Overview(t.Context(), session)
			if err != nil {
				t.Fatal(err)
			}
			name := named.Name
			var overview struct {
				Version string
				Records json.RawMessage
				Stats   archive.Stats
			}
			if err := json.Unmarshal(archiveFile(t, archives, name), &overview); err != nil {
				t.Fatal(err)
			}
			got := numbers(t, overview.Records)
			checkSpacing(t, got, n, 1500, 0)
			if overview.Version != "overview-v1" || overview.Stats != named.Stats || named.Stats.RecordCount != float64(n) || named.Points != len(got) || named.Records != int64(n) {
				t.Errorf("version %q, stats %+v, %+v announced and %d given", overview.Version, overview.Stats, named, len(got))
			}
			// A record more, and the old name still shows the old session.
			storeSamples(t, store, session, []sample{{-time.Hour, -1}})
			if err := json.Unmarshal(archiveFile(t, archives, name), &overview); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, numbers(t, overview.Records)); diff != "" {
				t.Errorf("the overview changed under its name:\n%s", diff)
			}
			if other, err := archives.Overview(t.Context(), session); err != nil || other.Name == name {
				t.Errorf("the same name for another content, error %v", err)
			}
		})
	}
}

// The overview of a long session is found by marks, not by counting through it.
// It must show the same, even after records arrived in the middle, at the end,
// and at the time of a mark.
func TestOverviewOfALongSession(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	archives := store.Archives
	const n = 157_001 // five at a time
	_, err := pool.Exec(t.Context(), `
		WITH s AS (
			INSERT INTO sessions (id, first_time, last_time, records, batch)
			VALUES ('run', $1::timestamptz, $1::timestamptz + interval '1 s' * (($2::int - 1) / 5), $2::int, 1) RETURNING session
		), b AS (
			INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
			SELECT session, 1, '', $1::timestamptz, $1::timestamptz + interval '1 s' * (($2::int - 1) / 5), $2::int, 'test' FROM s
		)
		INSERT INTO telemetry (time, session, batch, ord, message_id)
		SELECT $1::timestamptz + interval '1 s' * (i / 5), session, 1, i, i FROM s, generate_series(0, $2::int - 1) i`, raceStart, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} {
		if divided, err := archives.KeepUp(t.Context()); divided != want || err != nil {
			t.Errorf("kept up with %d sessions, error %v; want %d", divided, err, want)
		}
	}
	overview := func() (string, []int) {
		t.Helper()
		named, err := archives.Overview(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		return named.Name, overviewNumbers(t, archiveFile(t, archives, named.Name))
	}
	name, first := overview()
	checkSpacing(t, first, n, 1500, 50)
	for i, place := range first[:1499] {
		if place%100 != 0 {
			t.Fatalf("record %d of the overview is at %d, which is no mark", i, place)
		}
	}
	order := make([]int, n) // message ids in the session's order
	for i := range order {
		order[i] = i
	}
	for i, at := range []time.Duration{40000 * time.Second, 20000 * time.Second, 10000 * time.Second, -time.Second} {
		storeSamples(t, store, "run", []sample{{at, -1 - i}})
		place := min(max(0, (int(at/time.Second)+1)*5), len(order)) // behind the five of that time
		order = slices.Insert(order, place, -1-i)
		if diff := cmp.Diff(first, overviewNumbers(t, archiveFile(t, archives, name))); diff != "" {
			t.Fatalf("after %d late records, the first overview is another:\n%s", i+1, diff)
		}
		_, now := overview()
		places := make([]int, len(now))
		for j, number := range now {
			places[j] = slices.Index(order, number)
		}
		checkSpacing(t, places, len(order), 1500, 50)
	}
}

func overviewNumbers(t *testing.T, text []byte) []int {
	t.Helper()
	var overview struct{ Records json.RawMessage }
	if err := json.Unmarshal(text, &overview); err != nil {
		t.Fatal(err)
	}
	return numbers(t, overview.Records)
}

// checkSpacing wants most of the numbers 0 to n-1, evenly and both ends, each off
// its place by so much at most.
func checkSpacing(t *testing.T, got []int, n, most int, off float64) {
	t.Helper()
	if len(got) != min(n, most) || got[0] != 0 || got[len(got)-1] != n-1 {
		t.Fatalf("%d of %d records from %d to %d", len(got), n, got[0], got[len(got)-1])
	}
	if len(got) < 2 {
		return
	}
	stride := float64(n-1) / float64(len(got)-1)
	for i := 1; i < len(got); i++ {
		if step := float64(got[i] - got[i-1]); step < stride-1-2*off || step > stride+1+2*off {
			t.Fatalf("a step of %v where the stride is %v", step, stride)
		}
	}
}

func TestArchiveRecordsAreWhole(t *testing.T) {
	t.Parallel()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	archives := store.Archives
	text := `[{"session_id":"run","session_name":"Ünïcode","timestamp":"2026-03-21T10:00:00.5Z","speed_ms":-0.25,"message_id":3,` +
		`"outliers":{"severity":"info"},"data_source":"csv \"x\"","my_own":[1,null]}]`
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records([]byte(text), b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Writer.Ingest(t.Context(), b, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	p := partList(t, archives, "run").Parts[0]
	overview, err := archives.Overview(t.Context(), "run")
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{p.Name, p.PreviewName} {
		if err := json.Unmarshal(archiveFile(t, archives, name), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
	}
	if err := json.Unmarshal(archiveFile(t, archives, overview.Name), &got); err != nil {
		t.Fatal(err)
	}
	file := got.(map[string]any)
	stats := file["stats"].(map[string]any)
	if diff := cmp.Diff(want, file["records"]); diff != "" || file["version"] != "overview-v1" || len(file) != 3 || len(stats) != 15 {
		t.Errorf("overview with %v (-want +got):\n%s", stats, diff)
	}
}

func TestArchiveOfNoSession(t *testing.T) {
	t.Parallel()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	archives := store.Archives
	for _, session := range []string{"none", "", "a\x00b"} {
		if a, err := archives.List(t.Context(), session); a != nil || err != nil {
			t.Errorf("%q: %+v, %v", session, a, err)
		}
		if overview, err := archives.Overview(t.Context(), session); overview != nil || err != nil {
			t.Errorf("%q: overview %+v, %v", session, overview, err)
		}
	}
	storeSamples(t, store, "run", []sample{{0, 1}})
	name := partList(t, archives, "run").Parts[0].Name
	if _, err := store.DeleteSession(t.Context(), "run"); err != nil {
		t.Fatal(err)
	}
	if _, err := archives.File(t.Context(), name); !fault.Is(err, fault.NotFound) {
		t.Errorf("a file of a deleted session: error %v", err)
	}
}

func TestArchiveNamesCannotBeMadeUp(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	archives := store.Archives
	storeSamples(t, store, "run", []sample{{0, 1}})
	name := partList(t, archives, "run").Parts[0].Name
	bad := []string{"", "x", name[:len(name)-1], name + "A", strings.Repeat("A", 72), "../" + name, name[:70] + "=="}
	for i := range name { // every character counts
		c := byte('A')
		if name[i] == c {
			c = 'B'
		}
		bad = append(bad, name[:i]+string(c)+name[i+1:])
	}
	for _, name := range bad {
		if _, err := archives.File(t.Context(), name); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: error %v, want not found", name, err)
		}
	}
	// Another instance on the same database knows the names.
	if _, err := timeseries.New(pool, timeseries.Options{}).Archives.File(t.Context(), name); err != nil {
		t.Error(err)
	}
}

// Whoever asks for many files leaves others a place to have theirs made.
func TestArchiveFilesAreSharedByCaller(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend: nobody can wait for another's lock")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	storeSamples(t, store, "run", []sample{{0, 1}})
	name := partList(t, store.Archives, "run").Parts[0].Name
	// Who holds the table keeps each file that has a place where it is.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	waiting := func() (n int) {
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slots := max(2, runtime.GOMAXPROCS(0))
	done := make(chan error)
	ask := func(caller string) {
		_, err := store.Archives.File(load.WithCaller(t.Context(), caller), name)
		done <- err
	}
	for range slots + 2 {
		go ask("flood")
	}
	await.Until(t, "the flood has its places", func() bool { return waiting() == slots/2 })
	go ask("crew")
	await.Until(t, "the crew has one, too", func() bool { return waiting() == slots/2+1 })
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range slots + 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
