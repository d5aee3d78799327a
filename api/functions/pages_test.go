package functions_test

import (
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

	left := ask(args{"numItems": 4, "cursor": nil, "endCursor": grown.split})
	right := ask(args{"numItems": 4, "cursor": grown.split, "endCursor": grown.end})
	same(t, "the halves", grown.speeds, append(left.speeds, right.speeds...))
	if len(left.speeds) == 0 || len(right.speeds) == 0 {
		t.Errorf("split into %v and %v", left.speeds, right.speeds)
	}
	same(t, "from the end on", []float64{10}, ask(args{"numItems": 4, "cursor": last.end}).speeds)

	// Pages of the client's library start over when they read that word.
	bad := h.call("query", "telemetry:getSessionRecordsPage", args{"sessionId": "s", "paginationOpts": args{"numItems": 4, "cursor": nil, "endCursor": "made up"}}, deployKey)
	if bad.OK || !strings.Contains(bad.Error, "InvalidCursor") {
		t.Errorf("an end that nobody gave out: %+v", bad)
	}
}

// Pages of records that are large end at a bound of bytes, as REST's do, and lead
// to the rest: also where one ends between records of one time.
func TestPagesEndByBytes(t *testing.T) {
	h := newServer(t)
	const n, size = 44, 1<<20 - 300
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
