package column

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// fill holds n rows of a column, a second apart, in blocks of 100 s.
func fill(t *testing.T, m *Memory, s State, n int) {
	t.Helper()
	q := &request{run: Run{m: m, State: s}, table: Table{From: "records"}, columns: []string{"speed"}}
	for at := 0; at < n; at += 100 {
		var read scratch
		for i := at; i < min(at+100, n); i++ {
			r := row{at: len(read.values)}
			r.Micros = int64(i) * 1e6
			read.rows, read.values = append(read.rows, r), append(read.values, float64(i)/10)
		}
		blocks, err := read.pack(q, s, q.columns, int64(at)*1e6)
		if err != nil {
			t.Fatal(err)
		}
		m.put(s, 100e6, blocks)
	}
}

func rowsOf(r *Rows) (times []int64, values []float64) {
	r.Each(func(at []int64, columns [][]float64) {
		times, values = append(times, at...), append(values, columns[0]...)
	})
	return times, values
}

func TestBlocksThatAreReadStay(t *testing.T) {
	t.Parallel()
	m := New(20_000, slog.New(slog.DiscardHandler))
	m.loading = true // nobody is to load what is missing
	s := State{ID: "a", Session: 1, Batch: 1, Records: 1000, From: 0, To: 1000e6}
	fill(t, m, s, 100)
	rows, ok := Run{m: m, State: s}.Rows(Table{From: "records"}, []string{"speed"}, 10e6, 20e6)
	if !ok {
		t.Fatal("nothing is held")
	}
	fill(t, m, State{ID: "b", Session: 2, Batch: 1, Records: 1000, To: 1000e6}, 1000)
	if m.Holds([]string{"a"}) || !m.Holds([]string{"b"}) || m.Stats().Bytes > 20_000 {
		t.Errorf("what was read last does not make room: %+v", m.Stats())
	}
	times, values := rowsOf(rows)
	rows.Release()
	if len(times) != 10 || times[0] != 10e6 || values[9] != 1.9 {
		t.Errorf("rows whose blocks were put out meanwhile are %v at %v", values, times)
	}
}

// What cannot be loaded leaves a trace, and the next who misses it has it tried again.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
	var log bytes.Buffer
	m := New(1<<20, slog.New(slog.NewTextHandler(&log, nil)))
	s := State{ID: "run 7", Session: 1, Batch: 1, Records: 1000, From: 0, To: 1000e6}
	for want := range int64(2) {
		if _, ok := (Run{m: m, l: Loader{Pool: pool}, State: s}).Rows(Table{From: "records"}, []string{"speed"}, 0, 900e6); ok {
			t.Fatal("something is held")
		}
		m.Wait()
		if got := m.Stats().Failures; got != want+1 || !strings.Contains(log.String(), "run 7") {
			t.Errorf("%d failures, want %d; the log has %q", got, want+1, log.String())
		}
	}
}

func TestSnapshotsDoNotSeeWhatIsNewer(t *testing.T) {
	t.Parallel()
	m := New(1<<16, slog.New(slog.DiscardHandler))
	m.loading = true
	s := State{ID: "a", Session: 1, Batch: 5, Rewritten: 2, Records: 1000, From: 0, To: 1000e6}
	fill(t, m, s, 100)
	for _, c := range []struct {
		batch, rewritten int32
		held             bool
	}{{5, 2, true}, {4, 2, false}, {6, 2, false}, {5, 0, false}, {5, 3, false}} {
		other := s
		other.Batch, other.Rewritten = c.batch, c.rewritten
		rows, ok := Run{m: m, State: other}.Rows(Table{From: "records"}, []string{"speed"}, 0, 50e6)
		if ok != c.held {
			t.Errorf("batch %d, rewritten %d: %v", c.batch, c.rewritten, ok)
		}
		if ok {
			rows.Release()
		}
	}
	if _, ok := (Run{}).Rows(Table{From: "records"}, []string{"speed"}, 0, 50e6); ok {
		t.Error("no memory has rows")
	}
	var none *Memory
	if none.Holds([]string{"a"}) || none.Stats() != (Stats{}) {
		t.Error("no memory holds something")
	}
}

func TestRunsThatBecomeOthers(t *testing.T) {
	t.Parallel()
	m := New(1<<16, slog.New(slog.DiscardHandler))
	m.loading = true
	s := State{ID: "a", Session: 1, Batch: 1, Records: 100, To: 100e6}
	fill(t, m, s, 100)
	ask := func(s State) bool {
		m.queue = nil
		rows, ok := Run{m: m, State: s}.Rows(Table{From: "records"}, []string{"speed"}, s.From, s.To)
		if ok {
			rows.Release()
		}
		return ok
	}
	if !ask(s) {
		t.Error("blocks of about the length of the run's are not read")
	}
	// From a record each second to one a minute: a day in blocks of 100 s would never be held.
	s.Records, s.To = 24*60, 24*3600e6
	if ask(s) || len(m.queue) != 1 || m.queue[0].width < 1000e6 || m.Stats().Bytes != 0 {
		t.Errorf("%d requests, %d bytes are held: the run is still read in the blocks of its first minutes", len(m.queue), m.Stats().Bytes)
	}
}

// A retention policy may drop records between two columns being read.
func TestColumnsOfOneRange(t *testing.T) {
	t.Parallel()
	m := New(1<<16, slog.New(slog.DiscardHandler))
	m.loading = true
	s := State{ID: "a", Session: 1, Batch: 1, Records: 100, To: 100e6}
	fill(t, m, s, 100)
	m.drop(m.runs[1].tables["records"].columns[timeColumn][0])
	fill(t, m, s, 90)
	if _, ok := (Run{m: m, State: s}).Rows(Table{From: "records"}, []string{"speed"}, 0, 100e6); ok {
		t.Error("100 values have 90 times")
	}
}
