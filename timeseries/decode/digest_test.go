package decode

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// made is a record with its members by name: a float64, a string, a bool, or a
// map for a JSON value.
type made struct {
	at      time.Time
	members map[string]any
}

// makeRecord makes a record of some channels and some members without one.
func makeRecord(random *rand.Rand) made {
	m := made{time.UnixMicro(1_774_129_270_000_000 + random.Int64N(1e12)), map[string]any{}}
	for _, c := range channel.All {
		if random.IntN(4) > 0 || c.Name == "session_name" || c.Name == "altitude_m" || c.Name == "avg_power" {
			continue
		}
		switch c.Type {
		case channel.Float:
			m.members[c.Name] = float64(random.IntN(2e6)-1e6) / 1000
		case channel.Int:
			m.members[c.Name] = float64(random.IntN(1e6))
		case channel.Text:
			m.members[c.Name] = []string{"ESP32", "x, \"y\"", "a'é\\", "line\nline", "12x"}[random.IntN(5)]
		case channel.JSON:
			m.members[c.Name] = map[string]any{"b": 0.5, "a": []any{"s", 1e21}}
		}
	}
	sensors := random.IntN(4)
	if random.IntN(100) == 0 { // more than a digest keeps in mind, of which each record has some
		sensors = 3000
	}
	for i := range sensors {
		if sensors < 4 || random.IntN(4) == 0 {
			m.members[fmt.Sprint("sensor", i)] = sensorValue(random)
		}
	}
	return m
}

func sensorValue(random *rand.Rand) any {
	return []any{1.25, math.Copysign(0, -1), "text", true, 1e-7, "007", "}, \"", -40.5, 3.0}[random.IntN(9)]
}

// asJSON writes the members in any order, with numbers in any spelling.
func (m made) asJSON(random *rand.Rand) string {
	names := slices.Collect(maps.Keys(m.members))
	random.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	var b strings.Builder
	fmt.Fprintf(&b, `{"timestamp":%q,"absent":null`, m.at.UTC().Format([]string{time.RFC3339Nano, "2006-01-02T15:04:05.000000+00:00"}[random.IntN(2)]))
	for _, name := range names {
		value, _ := json.Marshal(m.members[name])
		if v, ok := m.members[name].(float64); ok {
			value = []byte(strconv.FormatFloat(v, []byte("efg")[random.IntN(3)], -1, 64))
			if random.IntN(3) == 0 && !strings.ContainsAny(string(value), "e.") {
				value = append(value, ".000"...)
			}
		}
		fmt.Fprintf(&b, `%s"%s":%s%s`, []string{",", " ,\t"}[random.IntN(2)], name, []string{"", " "}[random.IntN(2)], value)
	}
	return b.String() + `,"session_id":"s"}`
}

// asCSV writes the records as a table, with columns in any order.
func asCSV(random *rand.Rand, records []made) string {
	columns := map[string]bool{"timestamp": true, "nothing": true}
	for _, m := range records {
		for name := range m.members {
			columns[name] = true
		}
	}
	names := slices.Collect(maps.Keys(columns))
	random.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	names = append(names, "session_id", "session_name")
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(names)
	for _, m := range records {
		row := make([]string, len(names))
		for i, name := range names {
			switch v := m.members[name].(type) {
			case float64:
				row[i] = strconv.FormatFloat(v, 'f', -1, 64)
			case map[string]any:
				text, _ := json.MarshalIndent(v, "", " ")
				row[i] = string(text)
			case nil:
			default:
				row[i] = fmt.Sprint(v)
			}
		}
		row[slices.Index(names, "timestamp")] = m.at.UTC().Format(time.RFC3339Nano)
		row[len(row)-2], row[len(row)-1] = "other", "a name"
		_ = w.Write(row)
	}
	w.Flush()
	return b.String()
}

// digestOf reads a text.
func digestOf(t *testing.T, format Format, text string, n int) [32]byte {
	t.Helper()
	b, err := readAll(strings.NewReader(text), Options{Format: format}, 100)
	if err != nil || b.Len() != n {
		t.Fatalf("%d records of %d, %v, %s\n%s", b.Len(), n, err, reasons(b.Problems()), text)
	}
	d := record.NewDigest()
	for i := range b.Len() {
		v := b.Record(i)
		d.Add(&v)
	}
	return d.Sum()
}

// The same records are recognised however they are written; others are not.
func TestDigest(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 2))
	for range 500 {
		records := make([]made, 1+random.IntN(5))
		for i := range records {
			records[i] = makeRecord(random)
			if i > 0 && random.IntN(2) == 0 { // one sender's records have the same members
				records[i].members = maps.Clone(records[i-1].members)
				for name := range records[i].members {
					if strings.HasPrefix(name, "sensor") {
						records[i].members[name] = sensorValue(random)
					}
				}
			}
		}
		written := func() string {
			var lines strings.Builder
			for _, m := range records {
				lines.WriteString(m.asJSON(random) + "\n")
			}
			return lines.String()
		}
		want := digestOf(t, FormatJSON, written(), len(records))
		if got := digestOf(t, FormatJSON, written(), len(records)); got != want {
			t.Fatalf("another spelling is another batch\n%s", written())
		}
		if got := digestOf(t, FormatCSV, asCSV(random, records), len(records)); got != want {
			t.Fatalf("as CSV it is another batch\n%s\n%s", written(), asCSV(random, records))
		}
		m := &records[random.IntN(len(records))]
		names := slices.Sorted(maps.Keys(m.members))
		switch change := random.IntN(4); {
		case change == 0 || len(names) == 0:
			m.at = m.at.Add(time.Microsecond)
		case change == 1:
			m.members["one more"] = 0.0
		default:
			name := names[random.IntN(len(names))]
			if v, ok := m.members[name].(float64); ok && change == 2 {
				m.members[name] = v + 1
			} else {
				delete(m.members, name)
			}
		}
		if digestOf(t, FormatJSON, written(), len(records)) == want {
			t.Fatalf("a change is not seen\n%s", written())
		}
	}
}

// Long ids are others in their last digit, too.
func TestDigestOfLongNumbers(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]string{}
	for _, id := range []string{"12345678901234567890", "12345678901234567891", "1234567890123456789", `"12345678901234567892"`, "0.10", `"x"`, "true", "{}"} {
		d := digestOf(t, FormatJSON, `{"session_id":"s","timestamp":"2026-03-21T21:41:10Z","id":`+id+`}`, 1)
		if seen[d] != "" {
			t.Errorf("%s is recognised as %s", id, seen[d])
		}
		seen[d] = id
	}
}

// What the digest is taken over stands in databases, so it may not change.
func TestDigestStays(t *testing.T) {
	t.Parallel()
	const want = "ab341b52ee02c7013fdcf9fb8ced74db1f778489a44e5906c37d311b1dc335ea"
	if got := fmt.Sprintf("%x", digestOf(t, sample[0].format, sample[0].text, 2)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
