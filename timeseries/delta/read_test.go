package delta_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// logged is a store whose batches a test lays out by hand.
type logged struct {
	t      *testing.T
	pool   *pgxpool.Pool
	deltas *delta.Reader
	start  time.Time
}

func newLogged(t *testing.T) *logged {
	pool := dbtest.New(t)
	return &logged{t, pool, delta.New(pool), time.Date(2026, 3, 21, 21, 41, 10, 0, time.UTC)}
}

func (l *logged) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.pool.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatal(err)
	}
}

// session begins a session.
func (l *logged) session(id string) (key int32) {
	l.t.Helper()
	err := l.pool.QueryRow(l.t.Context(), `INSERT INTO sessions (id, name) VALUES ($1, 'Run of '||$1) RETURNING session`, id).Scan(&key)
	if err != nil {
		l.t.Fatal(err)
	}
	return key
}

// batch adds records measured so many seconds after the start. message_id
// counts 100*batch + ord.
func (l *logged) batch(key int32, seconds ...float64) {
	l.t.Helper()
	var number int32
	err := l.pool.QueryRow(l.t.Context(), `UPDATE sessions SET batch = batch + 1 WHERE session = $1 RETURNING batch`, key).Scan(&number)
	if err != nil {
		l.t.Fatal(err)
	}
	lo, hi := seconds[0], seconds[0]
	for ord, s := range seconds {
		lo, hi = min(lo, s), max(hi, s)
		l.exec(`INSERT INTO telemetry (time, session, batch, ord, message_id, speed_ms, session_name)
			VALUES ($1, $2, $3, $4, $5, $6, 'M "233"')`, l.at(s), key, number, ord, int(number)*100+ord, s/2)
	}
	l.exec(`INSERT INTO ingest_batches (session, batch, digest, min_time, max_time, records, source)
		VALUES ($1, $2, $3, $4, $5, $6, 'test')`, key, number, fmt.Appendf(nil, "%d.%d", key, number), l.at(lo), l.at(hi), len(seconds))
}

func (l *logged) at(seconds float64) time.Time {
	return l.start.Add(time.Duration(seconds * float64(time.Second)))
}

// messages lists the records' message_id.
func messages(t *testing.T, d delta.Delta) []int {
	t.Helper()
	ids := []int{}
	set := record.Select("message_id")
	for i := range d.Len() {
		var record struct {
			ID int `json:"message_id"`
		}
		if err := json.Unmarshal(d.AppendRecord(nil, i, set), &record); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, record.ID)
	}
	return ids
}

func TestReadDeltas(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	a, b := l.session("a"), l.session("b")
	l.batch(a, 0, 0.2, 0.4)        // 1
	l.batch(a, 3600, 3600.2)       // 2: an hour later
	l.batch(a, 0.6, 0.8)           // 3: late
	l.batch(a, 3600.4, 86400*3)    // 4: over three days
	l.batch(b, 3600, 3600.2, 3601) // another car
	at := func(key, batch, next int32) delta.Position {
		return delta.Position{Session: key, Batch: batch, Next: next}
	}

	for _, test := range []struct {
		name  string
		want  delta.Want
		limit int
		ids   []int
		to    delta.Position
	}{
		{"all", delta.Want{ID: "a", From: at(a, 0, 0)}, 100, []int{100, 101, 102, 200, 201, 300, 301, 400, 401}, at(a, 4, 0)},
		{"after a batch", delta.Want{ID: "a", From: at(a, 2, 0)}, 100, []int{300, 301, 400, 401}, at(a, 4, 0)},
		{"inside a batch", delta.Want{ID: "a", From: at(a, 0, 2)}, 100, []int{102, 200, 201, 300, 301, 400, 401}, at(a, 4, 0)},
		{"up to a batch", delta.Want{ID: "a", From: at(a, 1, 0), Upto: 3}, 100, []int{200, 201, 300, 301}, at(a, 3, 0)},
		{"nothing new", delta.Want{ID: "a", From: at(a, 4, 0)}, 100, []int{}, at(a, 4, 0)},
		{"a limit inside the first batch", delta.Want{ID: "a", From: at(a, 0, 0)}, 2, []int{100, 101}, at(a, 0, 2)},
		{"a limit from inside a batch", delta.Want{ID: "a", From: at(a, 0, 1)}, 1, []int{101}, at(a, 0, 2)},
		{"a limit at a batch's end", delta.Want{ID: "a", From: at(a, 0, 2)}, 1, []int{102}, at(a, 1, 0)},
		{"a limit inside the second batch", delta.Want{ID: "a", From: at(a, 0, 0)}, 4, []int{100, 101, 102}, at(a, 1, 0)},
		{"not before", delta.Want{ID: "a", From: at(a, 0, 0), NotBefore: l.at(3600.1)}, 100, []int{201, 400, 401}, at(a, 4, 0)},
		{"of an earlier life", delta.Want{ID: "a", From: at(a+100, 1, 0)}, 100, []int{}, at(a+100, 1, 0)},
		{"of no session", delta.Want{ID: "x\x00", From: at(0, 0, 0)}, 100, []int{}, at(0, 0, 0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := l.deltas.Read(t.Context(), []delta.Want{test.want}, record.Select("message_id"), test.limit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.ids, messages(t, got[0])); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.to, got[0].To); diff != "" {
				t.Errorf("position (-want +got):\n%s", diff)
			}
			if n := got[0].Len(); n > 0 && got[0].After(n-1) != test.to {
				t.Errorf("After the last record is %v, want %v", got[0].After(n-1), test.to)
			}
		})
	}

	t.Run("several sessions", func(t *testing.T) {
		got, err := l.deltas.Read(t.Context(), []delta.Want{
			{ID: "b", From: at(b, 0, 0)}, {ID: "none"}, {ID: "a", From: at(a, 2, 0)},
		}, record.All, 100)
		if err != nil {
			t.Fatal(err)
		}
		ids := [][]int{messages(t, got[0]), messages(t, got[1]), messages(t, got[2])}
		if diff := cmp.Diff([][]int{{100, 101, 102}, {}, {300, 301, 400, 401}}, ids); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if got[0].Now != at(b, 1, 0) || got[1].Now != at(0, 0, 0) || got[2].Now != at(a, 4, 0) {
			t.Errorf("standings: %v, %v, %v", got[0].Now, got[1].Now, got[2].Now)
		}
		if got[0].Name != "Run of b" {
			t.Errorf("name %q", got[0].Name)
		}
	})

	t.Run("every position inside is a cursor", func(t *testing.T) {
		whole, err := l.deltas.Read(t.Context(), []delta.Want{{ID: "a", From: at(a, 0, 0)}}, record.All, 100)
		if err != nil {
			t.Fatal(err)
		}
		ids := messages(t, whole[0])
		for i := range ids {
			rest, err := l.deltas.Read(t.Context(), []delta.Want{{ID: "a", From: whole[0].After(i)}}, record.All, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ids[i+1:], messages(t, rest[0])); diff != "" {
				t.Errorf("after record %d (-want +got):\n%s", i, diff)
			}
		}
	})

	for _, page := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprintf("pages of %d", page), func(t *testing.T) {
			from, ids := at(a, 0, 0), []int{}
			for range 20 {
				got, err := l.deltas.Read(t.Context(), []delta.Want{{ID: "a", From: from}}, record.All, page)
				if err != nil {
					t.Fatal(err)
				}
				if got[0].To == got[0].Now {
					ids = append(ids, messages(t, got[0])...)
					break
				}
				if got[0].Len() == 0 || got[0].To.Compare(from) <= 0 {
					t.Fatalf("no progress from %v", from)
				}
				ids, from = append(ids, messages(t, got[0])...), got[0].To
			}
			if diff := cmp.Diff([]int{100, 101, 102, 200, 201, 300, 301, 400, 401}, ids); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeltaRecords(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	key := l.session("a")
	l.batch(key, 0.272851)
	l.batch(key, 1)
	l.exec(`UPDATE telemetry SET extra = '{"tyre": [1, 2], "pit": "in \"box\""}', outliers = '{"flagged": ["speed_ms"]}',
		speed_ms = 1e-7, time_text = '2026-03-21 21:41:11' WHERE batch = 2`)
	got, err := l.deltas.Read(t.Context(), []delta.Want{{ID: "a", From: delta.Position{Session: key}}}, record.All, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		record int
		set    *record.Selection
		want   string
	}{
		{0, record.All, `{"timestamp":"2026-03-21T21:41:10.272851+00:00","session_name":"M \"233\"","speed_ms":0.1364255,"message_id":100}`},
		{0, record.Select("message_id", "speed_ms", "speed_ms", "voltage_v", "timestamp"), `{"timestamp":"2026-03-21T21:41:10.272851+00:00","speed_ms":0.1364255,"message_id":100}`},
		{0, record.Select("tyre"), `{"timestamp":"2026-03-21T21:41:10.272851+00:00"}`},
		{1, record.All, `{"timestamp":"2026-03-21 21:41:11","session_name":"M \"233\"","speed_ms":1e-07,"message_id":200,"outliers":{"flagged": ["speed_ms"]},"pit": "in \"box\"", "tyre": [1, 2]}`},
		{1, record.Select("tyre", "outliers", "nope"), `{"timestamp":"2026-03-21 21:41:11","outliers":{"flagged": ["speed_ms"]},"tyre":[1, 2]}`},
	} {
		record := got[0].AppendRecord(nil, test.record, test.set)
		if diff := cmp.Diff(test.want, string(record)); diff != "" {
			t.Errorf("record %d, fields %v (-want +got):\n%s", test.record, test.set.Names(), diff)
		}
		if !json.Valid(record) {
			t.Errorf("not JSON: %s", record)
		}
	}
}

func TestRecentStart(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	key := l.session("a")
	l.batch(key, 0, 1, 2)   // 1
	l.batch(key, 10, 11)    // 2
	l.batch(key, 12, 13)    // 3
	l.batch(key, 3, 4, 5.5) // 4: late
	now := delta.Position{Session: key, Batch: 4}
	for _, test := range []struct {
		name   string
		now    delta.Position
		recent delta.Recent
		ids    []int
	}{
		{"nothing wanted", now, delta.Recent{}, []int{}},
		{"newest by time, not by arrival", now, delta.Recent{Records: 1}, []int{301}},
		{"three", now, delta.Recent{Records: 3}, []int{201, 300, 301}},
		{"three seconds", now, delta.Recent{Period: 3 * time.Second}, []int{200, 201, 300, 301}},
		{"both", now, delta.Recent{Period: time.Hour, Records: 2}, []int{300, 301}},
		{"more than there is", now, delta.Recent{Records: 1000}, []int{100, 101, 102, 200, 201, 300, 301, 400, 401, 402}},
		{"as of an earlier batch", delta.Position{Session: key, Batch: 2}, delta.Recent{Records: 2}, []int{200, 201}},
		{"no session", delta.Position{}, delta.Recent{Records: 2}, []int{}},
		{"before the first batch", delta.Position{Session: key}, delta.Recent{Records: 2}, []int{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, notBefore, err := l.deltas.RecentStart(t.Context(), test.now, test.recent)
			if err != nil {
				t.Fatal(err)
			}
			ids := []int{}
			if from != test.now {
				got, err := l.deltas.Read(t.Context(),
					[]delta.Want{{ID: "a", From: from, Upto: test.now.Batch, NotBefore: notBefore}}, record.All, 100)
				if err != nil {
					t.Fatal(err)
				}
				if got[0].To != test.now {
					t.Errorf("snapshot ends at %v, want %v", got[0].To, test.now)
				}
				ids = messages(t, got[0])
			}
			if diff := cmp.Diff(test.ids, ids); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
	count, err := l.deltas.CountBetween(t.Context(), delta.Position{Session: key, Batch: 1, Next: 1}, delta.Position{Session: key, Batch: 3, Next: 2})
	if err != nil || count != 5 {
		t.Errorf("%d records between, %v; want 5", count, err)
	}
}

// Places in a batch may have gaps where records were left out.
func TestReadDeltasWithGaps(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	key := l.session("a")
	l.batch(key, 0, 1, 2, 3, 4)
	l.batch(key, 5, 6)
	l.exec(`UPDATE telemetry SET ord = ord * 7 + 3 WHERE batch = 1`)
	for page := range 4 {
		from, ids := delta.Position{Session: key}, []int{}
		for from.Batch < 2 {
			got, err := l.deltas.Read(t.Context(), []delta.Want{{ID: "a", From: from}}, record.All, page+1)
			if err != nil {
				t.Fatal(err)
			}
			if got[0].To.Compare(from) <= 0 {
				t.Fatalf("no progress from %v", from)
			}
			ids, from = append(ids, messages(t, got[0])...), got[0].To
		}
		if diff := cmp.Diff([]int{100, 101, 102, 103, 104, 200, 201}, ids); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", page+1, diff)
		}
	}
}
