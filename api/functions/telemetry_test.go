package functions_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/await"
)

// ride is a session to read: n records, five of each time, the newest ending at end.
func (h *server) ride(session string, end time.Time, n int) (records []any) {
	h.t.Helper()
	for i := range n {
		at := end.Add(-time.Duration((n-1-i)/5) * time.Second)
		records = append(records, map[string]any{
			"session_id": session, "session_name": "Ride", "timestamp": at.UTC().Format("2006-01-02T15:04:05.000000+00:00"),
			"message_id": float64(i), "speed_ms": float64(i) / 4,
		})
	}
	if o := h.mutate("telemetry:insertTelemetryBatch", args{"records": records}, deployKey); !cmp.Equal(o, map[string]any{"inserted": float64(n)}) {
		h.t.Fatal(o)
	}
	return records
}

func numbersOf(t *testing.T, records any) (list []int) {
	t.Helper()
	for _, r := range records.([]any) {
		r := r.(map[string]any)
		id, _ := r["_id"].(string)
		created, _ := r["_creationTime"].(float64)
		if id == "" || created < 1.7e12 {
			t.Errorf("record without _id or _creationTime: %v", r)
		}
		list = append(list, int(r["message_id"].(float64)))
	}
	return list
}

func span(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// Every function that reads records gives them whole, in the contract's order
// and bounds, to those who may see them.
func TestReadingRecords(t *testing.T) {
	h := newServer(t)
	const n = 3333
	end := time.Now().Truncate(time.Millisecond).Add(-time.Hour)
	sent := h.ride("old", end, n)
	token := h.account("i", "internal")
	at := func(i int) string { return sent[i].(map[string]any)["timestamp"].(string) }
	ask := func(name string, a args) any {
		t.Helper()
		a["sessionId"], a["token"] = "old", token
		return h.query("telemetry:"+name, a)
	}
	member := func(value any, name string) any { return value.(map[string]any)[name] }

	all := ask("getSessionRecords", args{})
	same(t, "getSessionRecords", span(0, n), numbersOf(t, all))
	same(t, "a whole record", sent, h.without(all, "_id", "_creationTime"))

	same(t, "getRecentRecords", span(n-1000, n), numbersOf(t, ask("getRecentRecords", args{})))
	same(t, "getRecentRecords of 7", span(n-7, n), numbersOf(t, ask("getRecentRecords", args{"limit": 7})))
	same(t, "getRecentRecords of very many", span(0, n), numbersOf(t, ask("getRecentRecords", args{"limit": 1e9})))
	same(t, "getRecentRecords since", span(n-5, n), numbersOf(t, ask("getRecentRecords", args{"sinceTimestamp": at(n - 6)})))
	same(t, "getRecentRecords since the last", []any{}, ask("getRecentRecords", args{"sinceTimestamp": at(n - 1)}))
	same(t, "getRecentRecords since, in milliseconds", span(n-5, n), numbersOf(t, ask("getRecentRecords", args{"sinceTimestamp": end.Add(-999 * time.Millisecond).UTC().Format(time.RFC3339Nano)})))
	buckets := ask("getRecentRecords", args{"bucketMs": 1000, "limit": 3}).([]any)
	if len(buckets) != 3 || member(buckets[2], "speed_ms") != float64(n-3)/4 {
		t.Errorf("buckets %v", buckets)
	}
	same(t, "getRecordsAfterTimestamp", span(13, 513), numbersOf(t, ask("getRecordsAfterTimestamp", args{"afterTimestamp": at(12)})))
	same(t, "getRecordsAfterTimestamp of 0.5", span(13, 14), numbersOf(t, ask("getRecordsAfterTimestamp", args{"afterTimestamp": at(12), "limit": 0.5})))
	same(t, "getRecordsAfterTimestamp of very many", span(13, 3013), numbersOf(t, ask("getRecordsAfterTimestamp", args{"afterTimestamp": at(12), "limit": 1e6})))

	// Pages of 3000 never end between records of one time.
	first := ask("getSessionRecordsBatch", args{})
	got := numbersOf(t, member(first, "page"))
	if member(first, "hasMore") != true || len(got) < 3000 || len(got) > 3004 || member(first, "lastTimestamp") != at(len(got)-1) {
		t.Errorf("first batch: %d records, more %v, last %v", len(got), member(first, "hasMore"), member(first, "lastTimestamp"))
	}
	second := ask("getSessionRecordsBatch", args{"afterTimestamp": member(first, "lastTimestamp")})
	same(t, "both batches", span(0, n), append(got, numbersOf(t, member(second, "page"))...))
	third := ask("getSessionRecordsBatch", args{"afterTimestamp": member(second, "lastTimestamp")})
	same(t, "the batch after the last", map[string]any{"page": []any{}, "hasMore": false, "lastTimestamp": nil}, third)
	if member(second, "hasMore") != false {
		t.Error("there is no more after the second batch")
	}

	var paged []int
	var cursor any
	for pages := 0; ; pages++ {
		page := ask("getSessionRecordsPage", args{"paginationOpts": args{"numItems": 777, "cursor": cursor}})
		paged = append(paged, numbersOf(t, member(page, "page"))...)
		if cursor = member(page, "continueCursor"); member(page, "isDone") == true || pages > 10 {
			break
		}
	}
	same(t, "getSessionRecordsPage", span(0, n), paged)

	tail := ask("getSessionPreviewTail", args{})
	same(t, "getSessionPreviewTail", span(n-1500, n), numbersOf(t, member(tail, "records")))
	same(t, "totalRecords", float64(n), member(tail, "totalRecords"))
	same(t, "getSessionPreviewTail of 1", span(n-100, n), numbersOf(t, member(ask("getSessionPreviewTail", args{"limit": 1}), "records")))
	same(t, "getLatestRecord", []int{n - 1}, numbersOf(t, []any{ask("getLatestRecord", args{})}))
	same(t, "getLatestSessionTimestamp", map[string]any{"timestamp": at(n - 1), "recordCount": float64(n), "latestMessageId": float64(n - 1)}, ask("getLatestSessionTimestamp", args{}))

	// To who may not see it the session is empty; nothing throws.
	empty := map[string]any{
		"getSessionRecords": []any{}, "getRecentRecords": []any{}, "getRecordsAfterTimestamp": []any{}, "getLatestRecord": nil,
		"getSessionRecordsBatch":    map[string]any{"page": []any{}, "hasMore": false, "lastTimestamp": nil},
		"getSessionRecordsPage":     map[string]any{"page": []any{}, "isDone": true, "continueCursor": ""},
		"getSessionPreviewTail":     map[string]any{"records": []any{}, "totalRecords": 0.0},
		"getLatestSessionTimestamp": map[string]any{"timestamp": nil, "recordCount": 0.0, "latestMessageId": nil},
	}
	for name, want := range empty {
		for who, a := range map[string]args{"a guest": {"sessionId": "old"}, "of no session": {"sessionId": "none", "token": token}, "of an impossible id": {"sessionId": "a\x00b", "token": token}} {
			switch name {
			case "getRecordsAfterTimestamp":
				a["afterTimestamp"] = at(0)
			case "getSessionRecordsPage":
				a["paginationOpts"] = args{"numItems": 10, "cursor": nil}
			}
			same(t, name+", "+who, want, h.query("telemetry:"+name, a))
		}
	}
	// A live session is everybody's.
	h.ride("live", time.Now(), 10)
	for name := range empty {
		a := args{"sessionId": "live", "afterTimestamp": at(0), "paginationOpts": args{"numItems": 10, "cursor": nil}}
		if name != "getRecordsAfterTimestamp" {
			delete(a, "afterTimestamp")
		}
		if name != "getSessionRecordsPage" {
			delete(a, "paginationOpts")
		}
		if got := h.query("telemetry:"+name, a); cmp.Equal(empty[name], got) {
			t.Errorf("%s of a live session: %v", name, got)
		}
	}
	// The importer's question, with the deploy key.
	o := h.call("query", "telemetry:getLatestSessionTimestamp", args{"sessionId": "old"}, deployKey)
	same(t, "with the deploy key", float64(n), member(o.Value, "recordCount"))

	for name, a := range map[string]args{
		"getRecordsAfterTimestamp": {"afterTimestamp": "soon"}, "getRecentRecords": {"sinceTimestamp": "soon"}, "getSessionRecordsBatch": {"afterTimestamp": ""},
		"getSessionRecordsPage": {"paginationOpts": args{"numItems": 1, "cursor": "made up"}},
	} {
		a["sessionId"], a["token"] = "old", token
		word := "imestamp"
		if name == "getSessionRecordsPage" {
			word = "cursor"
		}
		h.refused("query", "telemetry:"+name, a, word)
	}
}

func TestInsertAnswersTheSame(t *testing.T) {
	h := newServer(t)
	batch := h.ride("s", time.Now(), 30)
	for range 3 { // sent again
		same(t, "again", map[string]any{"inserted": 30.0}, h.mutate("telemetry:insertTelemetryBatch", args{"records": batch}, deployKey))
	}
	same(t, "no records", map[string]any{"inserted": 0.0}, h.mutate("telemetry:insertTelemetryBatch", args{"records": []any{}}, deployKey))
	admin, external := h.account("a", "admin"), h.account("e", "external")
	same(t, "an administrator", map[string]any{"inserted": 30.0}, h.mutate("telemetry:insertTelemetryBatch", args{"records": batch, "token": admin}, ""))
	h.refused("mutation", "telemetry:insertTelemetryBatch", args{"records": batch, "token": external}, "UNAUTHORIZED")
	h.refused("mutation", "telemetry:insertTelemetryBatch", args{"records": batch}, "UNAUTHENTICATED")
	same(t, "counted once", 30.0, h.call("query", "telemetry:getLatestSessionTimestamp", args{"sessionId": "s"}, deployKey).Value.(map[string]any)["recordCount"])
}

func TestListSessions(t *testing.T) {
	h := newServer(t)
	now := time.Now().UTC()
	h.ride("month", now.Add(-30*24*time.Hour), 10)
	h.ride("week", now.Add(-3*24*time.Hour), 10)
	h.ride("today", now, 12)
	list := func(role string) map[string]any {
		a := args{}
		if role != "" {
			a["token"] = h.account(role, role)
		}
		return h.query("sessions:listSessions", a).(map[string]any)
	}
	ids := func(answer map[string]any) string {
		var all []string
		for _, item := range answer["sessions"].([]any) {
			all = append(all, fmt.Sprint(item.(map[string]any)["session_id"]))
		}
		if answer["scanned_rows"] != float64(len(all)) {
			t.Errorf("scanned_rows %v of %d", answer["scanned_rows"], len(all))
		}
		return strings.Join(all, " ")
	}
	for role, want := range map[string]string{"": " restricted", "guest": " restricted", "external": "today week sessions_table", "internal": "today week month sessions_table", "admin": "today week month sessions_table"} {
		answer := list(role)
		if got := ids(answer) + " " + answer["source"].(string); got != want {
			t.Errorf("%q: %s, want %s", role, got, want)
		}
	}
	item := h.query("sessions:listSessions", args{"token": h.account("i2", "internal")}).(map[string]any)["sessions"].([]any)[0].(map[string]any)
	for _, name := range []string{"distance_km", "energy_wh", "efficiency_km_kwh", "avg_speed_kmh", "quality_score"} {
		if _, there := item[name]; !there {
			t.Errorf("%s is absent", name)
		}
		delete(item, name)
	}
	same(t, "an item", map[string]any{
		"session_id": "today", "session_name": "Ride", "record_count": 12.0, "archive_status": "pending", "duration_s": 2.0,
		"start_time": now.Add(-2 * time.Second).Format("2006-01-02T15:04:05.000000+00:00"), "end_time": now.Format("2006-01-02T15:04:05.000000+00:00"),
	}, item)
}

func TestDeletingSessions(t *testing.T) {
	h := newServer(t)
	now := time.Now()
	h.ride("a", now, 10)
	h.ride("b", now, 10)
	admin, internal := h.account("admin", "admin"), h.account("internal", "internal")
	h.refused("mutation", "sessions:deleteSession", args{"sessionId": "a", "token": internal}, "FORBIDDEN")
	h.refused("mutation", "sessions:deleteSession", args{"sessionId": "a", "token": strings.Repeat("x", 43)}, "FORBIDDEN")
	h.refused("mutation", "telemetry:deleteSession", args{"sessionId": "a"}, "F")

	h.mutate("sessions:reportLiveSessionState", args{"status": "active", "session_id": "a", "started_at": "2026-03-21T21:41:10+00:00", "record_count": 10}, deployKey)
	h.refused("mutation", "sessions:deleteSession", args{"sessionId": "a", "token": admin}, "ACTIVE_SESSION")
	h.mutate("sessions:reportLiveSessionState", args{"status": "ended", "session_id": "a", "started_at": "2026-03-21T21:41:10+00:00", "record_count": 10}, deployKey)
	same(t, "deleted", map[string]any{"deleted": true, "cleanupScheduled": true}, h.mutate("sessions:deleteSession", args{"sessionId": "a", "token": admin}, ""))
	same(t, "deleted again", map[string]any{"deleted": false, "cleanupScheduled": true}, h.mutate("sessions:deleteSession", args{"sessionId": "a", "token": admin}, ""))
	same(t, "the live state", nil, h.query("sessions:getLiveSessionState", nil))
	same(t, "telemetry:deleteSession", map[string]any{"deleted": 10.0}, h.mutate("telemetry:deleteSession", args{"sessionId": "b"}, deployKey))
	same(t, "telemetry:deleteSession again", map[string]any{"deleted": 0.0}, h.mutate("telemetry:deleteSession", args{"sessionId": "b"}, deployKey))
	same(t, "no records", []any{}, h.query("telemetry:getSessionRecords", args{"sessionId": "b", "token": admin}))
}

// A key that makes no channels makes none by way of the functions, either.
func TestInsertByAKeyThatMakesNoChannels(t *testing.T) {
	h := newServer(t)
	secret, _, err := h.daemon.Auth.CreateKey(t.Context(), auth.Operator("test"), auth.NewKey{Name: "rig", NoChannels: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{secret, deployKey} {
		record := map[string]any{"session_id": "run", "timestamp": time.Date(2026, 3, 21, 10, 0, i, 0, time.UTC).Format(time.RFC3339), "by_" + string(rune('a'+i)): 1.0}
		same(t, "one record", map[string]any{"inserted": 1.0}, h.mutate("telemetry:insertTelemetryBatch", args{"records": []any{record}}, key))
	}
	if _, err := h.daemon.Store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the channel of the other key", func() bool {
		set, err := h.daemon.Store.Channels.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := set.Find("by_a"); ok {
			t.Fatal("the key made a channel")
		}
		_, ok := set.Find("by_b")
		return ok
	})
}
