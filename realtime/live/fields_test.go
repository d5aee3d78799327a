package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// insert stores records of one session at 10 Hz, the first at that place.
func (in *instance) insert(t testing.TB, session string, first int, members ...map[string]any) {
	t.Helper()
	var list []map[string]any
	for i, m := range members {
		one := map[string]any{"session_id": session, "timestamp": record.FormatTime(base.Add(time.Duration(first+i) * 100 * time.Millisecond))}
		for name, v := range m {
			one[name] = v
		}
		list = append(list, one)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records(text, b, base.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := in.store.Writer.Ingest(t.Context(), b, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
}

// see makes channels of what came.
func (in *instance) see(t testing.TB) {
	t.Helper()
	conn, err := in.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if err := in.store.Channels.Do(t.Context(), conn.Conn()); err != nil {
		t.Fatal(err)
	}
}

func (in *instance) math(t testing.TB, name, text string, aliases ...string) {
	t.Helper()
	if _, err := in.store.Channels.Put(t.Context(), "", name, registry.Definition{Expression: text, About: registry.About{Aliases: aliases}}); err != nil {
		t.Fatalf("%s = %s: %v", name, text, err)
	}
}

// records returns the records of the next message that has any.
func (c *screen) records() []string {
	c.t.Helper()
	for {
		m := c.next()
		if len(m.Records) > 0 {
			var list []string
			for _, r := range m.Records {
				_, rest, _ := strings.Cut(string(r), ",")
				list = append(list, strings.TrimSuffix(rest, "}"))
			}
			return list
		}
		if m.Type != "status" && m.Type != "snapshot" && m.Type != "records" {
			c.t.Fatalf("got %+v, want records", m)
		}
	}
}

// What is asked for live goes by the names of channels, as in records, and means what
// it means now: a channel that comes while somebody watches, and an expression that
// changes.
func TestFieldsByName(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.insert(t, "s", 0, map[string]any{"Cell Temp": 20, "voltage_v": 48, "current_a": 2})
	in.see(t)
	in.math(t, "pack_w", "voltage_v * current_a", "Power of the pack")
	c, subscribed := in.follow(t, "session=s&fields=cell_temp,Power+of+the+pack,tyre_fl,_id")
	if got := fmt.Sprint(subscribed.Fields, subscribed.UnknownFields); got != "[_id Cell Temp tyre_fl pack_w] [tyre_fl]" {
		t.Errorf("the fields are %s", got)
	}
	expect := func(want string) {
		t.Helper()
		got := c.records()
		if _, rest, _ := strings.Cut(got[0], ","); len(got) != 1 || rest != want {
			t.Errorf("the record is %q, want %s", got, want)
		}
	}
	expect(`"Cell Temp":20,"pack_w":96`)
	in.insert(t, "s", 1, map[string]any{"Cell Temp": 21.5, "voltage_v": 48})
	expect(`"Cell Temp":21.5`) // NULL is not there
	in.insert(t, "s", 2, map[string]any{"Tyre FL": 3, "voltage_v": 50, "current_a": 1})
	expect(`"pack_w":50`)
	all, _ := in.follow(t, "session=s") // somebody who watches everything changes nothing
	all.records()
	both, _ := in.follow(t, "session=s&fields=*,pack_w") // nor does who has math channels as well
	if got := both.records(); !strings.Contains(got[len(got)-1], `"voltage_v":50,`) || !strings.HasSuffix(got[len(got)-1], `"pack_w":50`) {
		t.Errorf("every member and a math channel are %q", got)
	}
	in.see(t)
	in.math(t, "pack_w", "voltage_v + current_a", "Power of the pack")
	n := 3
	await.Until(t, "the new meaning", func() bool {
		in.insert(t, "s", n, map[string]any{"Tyre FL": 4, "voltage_v": 50, "current_a": 1})
		n++
		got := c.records()
		return strings.HasSuffix(got[len(got)-1], `,"Tyre FL":4,"pack_w":51`)
	})
}

// pausing is reads of which one, when pause is set, waits behind its query.
type pausing struct {
	live.Records
	pause         atomic.Bool
	reading, goOn chan struct{}
}

func (p *pausing) Read(ctx context.Context, wants []delta.Want, fields *record.Selection, limit int) ([]delta.Delta, error) {
	deltas, err := p.Records.Read(ctx, wants, fields, limit)
	if err == nil && len(deltas) == 1 && deltas[0].Len() > 0 && p.pause.CompareAndSwap(true, false) {
		p.reading <- struct{}{}
		<-p.goOn
	}
	return deltas, err
}

// Who joins while records are read for others gets what it asked for of them.
func TestJoiningWhileRecordsAreRead(t *testing.T) {
	t.Parallel()
	p := &pausing{reading: make(chan struct{}), goOn: make(chan struct{})}
	in := one(t, setup{reads: func(reads live.Records) live.Records { p.Records = reads; return p }})
	in.ingest(t, "s", 0, 1)
	first, _ := in.follow(t, "session=s&fields=message_id")
	first.collect(0)
	await.Until(t, "the first is live", func() bool { return in.stream.Live() == 1 })
	p.pause.Store(true)
	in.ingest(t, "s", 1, 1)
	<-p.reading
	second, _ := in.follow(t, "session=s&fields=message_id,speed_ms,tyre")
	second.collect(0)
	await.Until(t, "the second is live", func() bool { return in.stream.Live() == 2 })
	close(p.goOn)
	first.collect(1)
	if got := second.records(); len(got) != 1 || got[0] != `"speed_ms":1.5,"message_id":1,"tyre":1` {
		t.Errorf("the second got %v", got)
	}
}

// expressionOf makes a random one of these channels.
func expressionOf(rng *rand.Rand, depth int, channels []string) string {
	if depth == 0 || rng.IntN(6) == 0 {
		if rng.IntN(5) == 0 {
			return []string{"0", "2", "0.5", "nil"}[rng.IntN(4)]
		}
		return channels[rng.IntN(len(channels))]
	}
	x := func() string { return expressionOf(rng, depth-1, channels) }
	switch rng.IntN(7) {
	case 0, 1, 2:
		return "(" + x() + []string{" + ", " - ", " * ", " / "}[rng.IntN(4)] + x() + ")"
	case 3:
		return []string{"abs", "floor", "sqrt", "ln", "sin"}[rng.IntN(5)] + "(" + x() + ")"
	case 4:
		return []string{"min", "max", "coalesce"}[rng.IntN(3)] + "(" + x() + ", " + x() + ")"
	default:
		return "if(" + x() + " < " + x() + ", " + x() + ", " + x() + ")"
	}
}

// What is made of others is the same in a live frame, in the record, in CSV, in a
// series of that record alone, and worked out by hand.
func TestMathIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	members := map[string]string{"voltage_v": "voltage_v", "current_a": "current_a", "Cell Temp": "cell_temp", "pump": "pump", "optimal_speed_data_points": "optimal_speed_data_points"}
	// What makes channels of members: none of them may be absent from all records.
	in.insert(t, "first", 0, map[string]any{"Cell Temp": 1, "pump": true})
	in.see(t)
	var channels []string
	for _, name := range members {
		if name != "optimal_speed_data_points" { // which is not charted
			channels = append(channels, name)
		}
	}
	const expressions, records = 12, 25
	var names []string
	parsed := map[string]*expression.Expression{}
	for i := range expressions {
		text, name := expressionOf(rng, 3, channels), fmt.Sprint("math_", i)
		e, err := expression.Parse("", text, func(string) (string, bool) { return "", true })
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		in.math(t, name, text)
		names, parsed[name] = append(names, name), e
	}
	query := "session=run&fields=" + strings.Join(names, ",")
	c, _ := in.follow(t, query)
	var sent []map[string]any
	var values []map[string]float64
	for range records {
		m, v := map[string]any{"speed_ms": 1}, map[string]float64{}
		for member, name := range members {
			switch rng.IntN(5) {
			case 0:
				continue
			case 1:
				v[name] = []float64{0, -1, 1e-30, 1e60, 3}[rng.IntN(5)]
			default:
				v[name] = rng.NormFloat64() * 50
			}
			switch m[member] = v[name]; name {
			case "pump":
				v[name] = float64(rng.IntN(2))
				m[member] = v[name] == 1
			case "optimal_speed_data_points":
				m[member] = 7
			}
		}
		sent, values = append(sent, m), append(values, v)
	}
	in.insert(t, "run", 0, sent...)
	var got []map[string]any
	read := func(texts ...json.RawMessage) {
		for _, text := range texts {
			r := map[string]any{}
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
	}
	for len(got) < records {
		m := c.next()
		read(m.Records...)
	}
	rs, err := in.store.Records(t.Context(), timeseries.RecordQuery{SessionID: "run", Fields: names})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rs.Next() {
		read(rs.Record().AppendJSON(nil))
		lines = append(lines, strings.TrimSpace(string(rs.Record().AppendCSV(nil))))
	}
	if err := rs.Err(); err != nil || len(got) != 2*records {
		t.Fatalf("%d records: %v", len(got), err)
	}
	there := 0
	for name, e := range parsed {
		from := base
		answer, err := in.store.Series.Read(t.Context(), series.Request{Sessions: []string{"run"}, Metrics: []string{"speed_ms", name}, From: from, To: from.Add(records * 100 * time.Millisecond), Points: records})
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			want, has := e.Eval(func(k int) (float64, bool) { v, ok := values[i][e.Channels()[k]]; return v, ok })
			if has {
				there++
			}
			cells := strings.Split(lines[i], ",")
			cell := cells[2+slices.Index(names, name)]
			var csv any
			if cell != "" {
				var v float64
				if _, err := fmt.Sscan(cell, &v); err != nil {
					t.Fatal(err)
				}
				csv = v
			}
			var charted any
			if v := answer.Sessions[0].Metrics[1].Avg[i]; !math.IsNaN(v) {
				charted = v
			}
			for where, v := range map[string]any{"live": got[i][name], "records": got[records+i][name], "CSV": csv, "series": charted} {
				v, ok := v.(float64)
				if ok != has || ok && math.Abs(v-want) > 1e-9*math.Abs(want) || ok && where != "series" && v != want {
					t.Fatalf("seed %d: %s of record %d (%v) is %v, %v in %s, want %v, %v", seed, e, i, values[i], v, ok, where, want, has)
				}
			}
		}
	}
	if there == 0 {
		t.Errorf("seed %d: there are no values", seed)
	}
}
