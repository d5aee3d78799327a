package timeseries_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// anyMember is the JSON of a value without a column, of any kind.
func anyMember(rng *rand.Rand) string {
	sign := []string{"", "-"}[rng.IntN(2)]
	switch rng.IntN(16) {
	case 0:
		return []string{"true", "false", "null", `""`, `"text"`, `"12.5"`, `"\"}{ \\ \u00e9"`, "[1,2.50]", `{"a":1.0,"b":[null,"}"]}`, "{}", "[]"}[rng.IntN(11)]
	case 1:
		return []string{"0", "-0", "0.0", "-0.00", "1.0", "10", "1e2", "1.50e1", "2E-7", "-3.10e+3", "0e5", "1e-310", "1e200", "1e-31", "0.100e-29"}[rng.IntN(15)]
	case 2:
		return []string{"9007199254740993", "-9007199254740992", "288230376151711743", "288230376151711744", "18446744073709551616", "0.30000000000000004",
			"123456789.12345678", "0.000000000000000000000000000001", "0.0000000000000000000000000000001", "12345678901234567890.5"}[rng.IntN(10)]
	case 3:
		return strconv.FormatFloat(rng.NormFloat64(), 'f', rng.IntN(20), 64)
	case 4:
		return strconv.FormatFloat(rng.NormFloat64()*1e5, 'g', -1, 64)
	case 5:
		return []string{"true", "false"}[rng.IntN(2)]
	case 6:
		return sign + strconv.Itoa(1+rng.IntN(1e6))
	}
	return sign + strconv.Itoa(rng.IntN(300)) + "." + fmt.Sprintf("%02d", rng.IntN(100))
}

// Members without a column come back as they were sent, digit by digit, from wherever they
// are asked for: whether their name has a place in the array of numbers, got it later, or
// never will; beside records of an older version, and in the columnstore.
func TestMembersComeBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			m := &memberRun{server: newServer(t), rng: rand.New(rand.NewPCG(seed, 51)), sent: map[string]string{}}
			others := m.beside(dbtest.URL(t))
			names := []string{"Tyre FL", `o'il "x" \ y`, "Müll 🌡", "extra", "numbers", "place", "member", "t", "a\tb"}
			for i := range 80 {
				names = append(names, fmt.Sprintf("sensor_%03d", i))
			}
			if seed == 1 { // few places are left
				if _, err := m.pool.Exec(t.Context(), "INSERT INTO member_places SELECT n, 'old ' || n FROM generate_series(1, $1) n", places.Most-60); err != nil {
					t.Fatal(err)
				}
			}
			m.send(m.server, names[:20], 12)
			m.send(others, names[10:], 12)
			m.check(others)
			m.send(m.server, names, 16)
			if _, err := m.pool.Exec(t.Context(), "UPDATE telemetry SET extra = record_members(numbers, extra), numbers = NULL WHERE ord % 3 = 0"); err != nil {
				t.Fatal(err)
			}
			m.refresh()
			m.compress()
			m.send(others, names[:60], 6) // late
			m.check(m.server)
			if n := m.count("SELECT count(*) FROM telemetry WHERE numbers IS NOT NULL"); n < 12 {
				t.Errorf("%d records have an array of numbers", n)
			}
			if n := m.count("SELECT count(*) FROM member_places"); n > places.Most || n < 60 {
				t.Errorf("%d members have places", n)
			}
		})
	}
}

type memberRun struct {
	*server
	rng  *rand.Rand
	at   int
	sent map[string]string // members as jsonb writes them, by message_id
}

// send stores records with some of the names, each in an order of its own or in that of
// the record before, and now and then a name twice.
func (m *memberRun) send(to *server, names []string, n int) {
	m.t.Helper()
	var text strings.Builder
	names = slices.Clone(names)
	for range n {
		if m.rng.IntN(3) == 0 {
			m.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		var members []string
		for _, name := range names[:m.rng.IntN(len(names)+1)] {
			for range 1 + m.rng.IntN(1000)/999 {
				key, _ := json.Marshal(name)
				if v := anyMember(m.rng); v != "null" {
					members = append(members, string(key)+":"+v)
				}
			}
		}
		m.at++
		object := "{" + strings.Join(members, ",") + "}"
		var want string
		if err := m.pool.QueryRow(m.t.Context(), "SELECT $1::text::jsonb::text", object).Scan(&want); err != nil {
			m.t.Fatal(err)
		}
		m.sent[strconv.Itoa(m.at)] = want
		fmt.Fprintf(&text, `{"session_id":"run","timestamp":%q,"message_id":%d,"speed_ms":1`, record.FormatTime(raceStart.Add(time.Duration(m.rng.IntN(5e6))*time.Microsecond)), m.at)
		if len(members) > 0 {
			text.WriteString("," + object[1:])
		} else {
			text.WriteString("}")
		}
		text.WriteString("\n")
	}
	for _, already := range []int{0, n} { // and again: it is recognised
		result, err := to.stream(decode.FormatJSON, ingest.Options{}, text.String())
		if err != nil || result.AlreadyStored != already || len(result.Problems)+len(result.Odd) > 0 {
			m.t.Fatalf("%+v, %v", result, err)
		}
	}
}

// same compares objects member by member, by how their values stand there.
func (m *memberRun) same(where, id string, got map[string]json.RawMessage) {
	m.t.Helper()
	want := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(m.sent[id]), &want); err != nil {
		m.t.Fatal(err)
	}
	for name, value := range want {
		if other, ok := got[name]; !ok || !bytes.Equal(value, other) && (len(value) <= 32 || !record.SameJSON(value, other)) {
			m.t.Errorf("%s: %q of record %s is %s, want %s", where, name, id, other, value)
		}
	}
	if len(got) != len(want) {
		m.t.Errorf("%s: record %s has %d members, want %d", where, id, len(got), len(want))
	}
}

// members takes those without a column out of a record.
func members(t testing.TB, text []byte) (id string, others map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(text, &others); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	id = string(others["message_id"])
	maps.DeleteFunc(others, func(name string, _ json.RawMessage) bool {
		return slices.Contains([]string{"session_id", "timestamp", "message_id", "speed_ms"}, name)
	})
	return id, others
}

func (m *memberRun) check(by *server) {
	t := m.t
	t.Helper()
	rows, err := m.pool.Query(t.Context(), "SELECT message_id::text, coalesce(extra::text, '{}') FROM analytics.records")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for rows.Next() {
		var id, extra string
		if err := rows.Scan(&id, &extra); err != nil {
			t.Fatal(err)
		}
		if seen++; extra != m.sent[id] {
			t.Errorf("SQL: record %s has %s, want %s", id, extra, m.sent[id])
		}
	}
	if rows.Err() != nil || seen != len(m.sent) {
		t.Fatalf("%d of %d records, %v", seen, len(m.sent), rows.Err())
	}
	// A number is the same float wherever it is, and stands in one of both columns.
	if n := m.count(`
		SELECT count(*)
		FROM telemetry t
		CROSS JOIN LATERAL jsonb_each(record_members(t.numbers, t.extra)) m
		LEFT JOIN member_places p ON p.member = m.key
		WHERE coalesce(channel_number(t.numbers[p.place]), channel_number(t.extra, m.key)) IS DISTINCT FROM channel_number(m.value)
		   OR t.numbers[p.place] IS NOT NULL AND t.extra ? m.key`); n != 0 {
		t.Errorf("%d numbers are others than what was sent", n)
	}
	rs, err := by.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "run", Limit: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	table.Write(rs.CSVHeader())
	var some []string
	for rs.Next() {
		table.Write(rs.Record().AppendCSV(nil))
		id, got := members(t, rs.Record().AppendJSON(nil))
		m.same("export", id, got)
		for name := range got {
			if len(some) < 30 && !slices.Contains(some, name) {
				some = append(some, name)
			}
		}
	}
	if rs.Err() != nil {
		t.Fatal(rs.Err())
	}
	lines, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	of := func(line []string, column string) string { return line[slices.Index(lines[0], column)] }
	for _, line := range lines[1:] {
		_, got := members(t, []byte(cmp.Or(of(line, "extra"), "{}")))
		m.same("CSV", of(line, "message_id"), got)
	}
	m.checkLive(by, record.All, nil)
	slices.Sort(some)
	m.checkLive(by, record.Select(append(some, "message_id")...), some)
}

// checkLive reads what came as those do who follow the run.
func (m *memberRun) checkLive(by *server, fields *record.Selection, only []string) {
	t := m.t
	t.Helper()
	got, err := by.store.Deltas.Read(t.Context(), []delta.Want{{ID: "run", From: delta.Position{Session: int32(m.count("SELECT session FROM sessions"))}}}, fields, 1e6)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Len() != len(m.sent) {
		t.Fatalf("%d of %d records came live", got[0].Len(), len(m.sent))
	}
	for i := range got[0].Len() {
		id, others := members(t, got[0].AppendRecord(nil, i, fields))
		if only == nil {
			m.same("live", id, others)
			continue
		}
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(m.sent[id]), &want); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(want, func(name string, _ json.RawMessage) bool { return !slices.Contains(only, name) })
		if diff := gocmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(others))); diff != "" {
			t.Errorf("live: of record %s (-want +got)\n%s", id, diff)
		}
	}
}
