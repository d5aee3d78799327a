package functions_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Pages hold their edges: a record that comes late is on the page where its time
// is, and on no other.
func TestPagesHoldTheirEdges(t *testing.T) {
	h := newServer(t)
	start := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	insert := func(numbers ...float64) { // by seconds since start
		var records []any
		for _, n := range numbers {
			at := start.Add(time.Duration(n * float64(time.Second)))
			records = append(records, args{"session_id": "s", "timestamp": at.Format("2006-01-02T15:04:05.000000Z07:00"), "speed_ms": n})
		}
		h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey)
	}
	type page struct {
		speeds []float64
		done   bool
		end    string
		split  any
	}
	ask := func(opts args) page {
		t.Helper()
		o := h.call("query", "telemetry:getSessionRecordsPage", args{"sessionId": "s", "paginationOpts": opts}, deployKey)
		if !o.OK {
			t.Fatalf("%v: %+v", opts, o)
		}
		answer := o.Value.(map[string]any)
		p := page{done: answer["isDone"].(bool), end: answer["continueCursor"].(string), split: answer["splitCursor"]}
		for _, r := range answer["page"].([]any) {
			p.speeds = append(p.speeds, r.(map[string]any)["speed_ms"].(float64))
		}
		return p
	}
	insert(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	first := ask(args{"numItems": 4, "cursor": nil})
	second := ask(args{"numItems": 4, "cursor": first.end})
	last := ask(args{"numItems": 4, "cursor": second.end})
	same(t, "the last page", []float64{8, 9}, last.speeds)
	same(t, "what is done", []bool{false, false, true}, []bool{first.done, second.done, last.done})

	insert(1.5, 3, 10) // 3 for the second time: behind the first, so behind the edge
	grown := ask(args{"numItems": 4, "cursor": nil, "endCursor": first.end})
	same(t, "the first page", []float64{0, 1, 1.5, 2, 3}, grown.speeds)
	same(t, "its end", first.end, grown.end)
	same(t, "the second page", []float64{3, 4, 5, 6, 7}, ask(args{"numItems": 4, "cursor": first.end, "endCursor": second.end}).speeds)
	open := ask(args{"numItems": 4, "cursor": second.end, "endCursor": last.end})
	same(t, "the last page, grown", []float64{8, 9, 10}, open.speeds)
	same(t, "the last page is done", true, open.done)

	same(t, "where a small page is cut", nil, grown.split)
	same(t, "from the end on", []float64{10}, ask(args{"numItems": 4, "cursor": last.end}).speeds)

	more := make([]float64, 600)
	for i := range more {
		more[i] = 10 + float64(i)/100
	}
	insert(more...)
	open = ask(args{"numItems": 4, "cursor": second.end, "endCursor": last.end})
	left := ask(args{"numItems": 4, "cursor": second.end, "endCursor": open.split})
	right := ask(args{"numItems": 4, "cursor": open.split, "endCursor": open.end})
	same(t, "the halves", open.speeds, append(left.speeds, right.speeds...))
	if min(len(left.speeds), len(right.speeds)) < 200 {
		t.Errorf("%d records are split into %d and %d", len(open.speeds), len(left.speeds), len(right.speeds))
	}

	// Pages of the client's library start over when they read that word.
	bad := h.call("query", "telemetry:getSessionRecordsPage", args{"sessionId": "s", "paginationOpts": args{"numItems": 4, "cursor": nil, "endCursor": "made up"}}, deployKey)
	if bad.OK || !strings.Contains(bad.Error, "InvalidCursor") {
		t.Errorf("an end that nobody gave out: %+v", bad)
	}
}

// Whatever comes once pages are held, and wherever it belongs, all of them
// together hold each record once, in order.
func TestPagesHoldEachRecordOnce(t *testing.T) {
	h := newServer(t)
	for seed := range uint64(12) {
		random, session := rand.New(rand.NewPCG(seed, 0)), fmt.Sprint("s", seed)
		start := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
		type sent struct{ second, id int }
		var all []sent
		insert := func() {
			var records []any
			for range 1 + random.IntN(12) {
				one := sent{random.IntN(20), len(all)}
				all = append(all, one)
				records = append(records, args{"session_id": session, "timestamp": start.Add(time.Duration(one.second) * time.Second).Format(time.RFC3339), "message_id": float64(one.id)})
			}
			h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey)
		}
		type page struct {
			from, end any
			ids       []float64
		}
		ask := func(from, end any, items int) (p page, done bool) {
			opts := args{"numItems": float64(items), "cursor": from}
			if end != nil {
				opts["endCursor"] = end
			}
			o := h.call("query", "telemetry:getSessionRecordsPage", args{"sessionId": session, "paginationOpts": opts}, deployKey)
			if !o.OK {
				t.Fatalf("seed %d: %v: %+v", seed, opts, o)
			}
			answer := o.Value.(map[string]any)
			for _, r := range answer["page"].([]any) {
				p.ids = append(p.ids, r.(map[string]any)["message_id"].(float64))
			}
			p.from, p.end = from, answer["continueCursor"]
			return p, answer["isDone"].(bool)
		}
		insert()
		var held []page
		for from, done := any(nil), false; !done; {
			var p page
			p, done = ask(from, nil, 1+random.IntN(6))
			held, from = append(held, p), p.end
		}
		for range 3 {
			insert()
			var got []float64
			for _, p := range held {
				p, _ = ask(p.from, p.end, 1+random.IntN(6))
				got = append(got, p.ids...)
			}
			inOrder := slices.Clone(all)
			slices.SortStableFunc(inOrder, func(x, y sent) int { return cmp.Compare(x.second, y.second) })
			var want []float64
			for _, one := range inOrder {
				want = append(want, float64(one.id))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %d pages hold %v, want %v", seed, len(held), got, want)
			}
		}
	}
}

// Pages of records that are large end at a bound of bytes, as REST's do, and lead
// to the rest: also where one ends between records of one time.
func TestPagesEndByBytes(t *testing.T) {
	h := newServer(t)
	h.daemon.Store.PageBytes = 1 << 20
	const n, size = 16, 100_000
	start := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	for i := range 2 {
		var records []any
		for k := range n / 2 {
			place := i*n/2 + k
			records = append(records, args{
				"session_id": "s", "timestamp": start.Add(time.Duration(place/4) * time.Second).Format(time.RFC3339), "message_id": float64(place),
				"note": []any{strings.Repeat("x", size)},
			})
		}
		h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey)
	}
	read := func(name string, ask func(last map[string]any) args, more func(answer map[string]any) bool) {
		t.Helper()
		var ids []float64
		pages := 0
		for answer := (map[string]any)(nil); answer == nil || more(answer); pages++ {
			o := h.call("query", "telemetry:"+name, ask(answer), deployKey)
			if !o.OK || pages > n {
				t.Fatalf("%s: page %d: %+v", name, pages, o)
			}
			answer = o.Value.(map[string]any)
			for _, r := range answer["page"].([]any) {
				ids = append(ids, r.(map[string]any)["message_id"].(float64))
			}
		}
		if pages != 2 || len(ids) != n || !slices.IsSorted(ids) {
			t.Errorf("%s: %d pages with %v", name, pages, ids)
		}
	}
	read("getSessionRecordsPage", func(last map[string]any) args {
		opts := args{"numItems": 1000.0, "cursor": nil}
		if last != nil {
			opts["cursor"] = last["continueCursor"]
		}
		return args{"sessionId": "s", "paginationOpts": opts}
	}, func(answer map[string]any) bool { return answer["isDone"] == false })
	read("getSessionRecordsBatch", func(last map[string]any) args {
		a := args{"sessionId": "s"}
		if last != nil {
			a["afterTimestamp"] = last["lastTimestamp"]
		}
		return a
	}, func(answer map[string]any) bool { return answer["hasMore"] == true })
}
