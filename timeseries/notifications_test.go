package timeseries_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
)

func notification(session, title, createdAt string) timeseries.NewNotification {
	return timeseries.NewNotification{SessionID: session, Severity: "info", Title: title, Message: "m", CreatedAt: createdAt}
}

func titles(list []timeseries.Notification) string {
	var all []string
	for _, n := range list {
		all = append(all, n.Title)
	}
	return strings.Join(all, " ")
}

func TestNotificationOrder(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	ctx := t.Context()
	// Stored in an order of its own: d is the newest by time, c by insertion.
	ids, err := store.AddNotifications(ctx, []timeseries.NewNotification{
		notification("run", "a", "2026-03-21T10:00:01+00:00"),
		notification("run", "d", "2026-03-21T10:00:09+00:00"),
		notification("other", "x", "2026-03-21T10:00:10+00:00"),
		notification("run", "b", "2026-03-21T10:00:05+00:00"),
		notification("run", "c", "2026-03-21T10:00:05+00:00"),
	})
	if err != nil || len(ids) != 5 {
		t.Fatalf("ids %v, error %v", ids, err)
	}
	for _, test := range []struct {
		since string
		limit int
		want  string
	}{
		{"", 20, "c b d a"},
		{"", 2, "c b"},
		{"", 0, ""},
		{"", -1, ""},
		{"2026-03-21T10:00:00+00:00", 20, "d c b a"},
		{"2026-03-21T10:00:01+00:00", 20, "d c b"}, // strictly later
		{"2026-03-21T10:00:01+00:00", 1, "d"},      // the newest of them
		{"2026-03-21T10:00:05", 20, "d c b"},       // compared as texts
		{"z", 20, ""},
	} {
		list, err := store.Notifications(ctx, "run", test.limit, test.since)
		if err != nil || titles(list) != test.want {
			t.Errorf("since %q, limit %d: %q, error %v; want %q", test.since, test.limit, titles(list), err, test.want)
		}
	}
	for _, session := range []string{"nothing", "", "a\x00b"} {
		if list, err := store.Notifications(ctx, session, 5, ""); err != nil || len(list) != 0 {
			t.Errorf("session %q: %v, %v", session, list, err)
		}
	}
	list, err := store.Notifications(ctx, "other", 5, "")
	if err != nil || list[0].ID != ids[2] || list[0].CreationTime < 1e12 {
		t.Errorf("the ids %v do not follow the batch: %+v, %v", ids, list, err)
	}
	for topic, want := range map[string]int{"run": 1, "other": 1} {
		if v := topicVersion(t, pool, schema.TopicNotifications(topic)); v != want {
			t.Errorf("topic of %s at version %d, want %d", topic, v, want)
		}
	}
}

func TestNotificationIsGivenBackWhole(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	full := timeseries.NewNotification{SessionID: "run", Severity: "critical", Title: "Überhitzt 🔥", Message: "Motor\n90 °C",
		Category: ptr("system"), TTL: ptr(8000.5), CreatedAt: "2026-03-21T10:00:01.25+00:00"}
	bare := notification("run", "", "")
	for _, n := range []timeseries.NewNotification{full, bare} {
		if _, err := store.AddNotifications(t.Context(), []timeseries.NewNotification{n}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := store.Notifications(t.Context(), "run", 10, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []timeseries.NewNotification
	for _, n := range list {
		got = append(got, n.NewNotification)
	}
	if diff := cmp.Diff([]timeseries.NewNotification{bare, full}, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestInvalidNotificationRejectsItsBatch(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	for _, test := range []struct {
		field string
		alter func(*timeseries.NewNotification)
	}{
		{"session_id", func(n *timeseries.NewNotification) { n.SessionID = "" }},
		{"severity", func(n *timeseries.NewNotification) { n.Severity = "loud" }},
		{"title", func(n *timeseries.NewNotification) { n.Title = "a\x00" }},
		{"message", func(n *timeseries.NewNotification) { n.Message = strings.Repeat("x", 16385) }},
		{"category", func(n *timeseries.NewNotification) { n.Category = ptr("") }},
		{"ttl", func(n *timeseries.NewNotification) { n.TTL = ptr(math.Inf(1)) }},
		{"created_at", func(n *timeseries.NewNotification) { n.CreatedAt = "\x00" }},
	} {
		bad := notification("run", "bad", "")
		test.alter(&bad)
		_, err := store.AddNotifications(t.Context(), []timeseries.NewNotification{notification("run", "good", ""), bad})
		e := fault.As(err)
		if e == nil || e.Kind != fault.Invalid || len(e.Problems) != 1 {
			t.Errorf("%s: error %v", test.field, err)
			continue
		}
		if p := e.Problems[0]; p.Field != test.field || p.Index == nil || *p.Index != 1 {
			t.Errorf("%s: problem %v", test.field, p)
		}
	}
	many := slices.Repeat([]timeseries.NewNotification{notification("run", "x", "")}, 10001)
	if _, err := store.AddNotifications(t.Context(), many); !fault.Is(err, fault.TooLarge) {
		t.Errorf("10,001 at once: error %v", err)
	}
	if ids, err := store.AddNotifications(t.Context(), nil); err != nil || len(ids) != 0 {
		t.Errorf("an empty batch: %v, %v", ids, err)
	}
	if list, err := store.Notifications(t.Context(), "run", 10, ""); err != nil || len(list) != 0 {
		t.Errorf("refused batches left %d, error %v", len(list), err)
	}
}

// TestNotificationsSentAgain sends a batch again, as a bridge does whose answer
// got lost, even while the first is still being stored.
func TestNotificationsSentAgain(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	hot := notification("run", "hot", "2026-03-21T10:00:01+00:00")
	told := hot
	told.Category, told.TTL = ptr("system"), ptr(5000.0)
	batch := []timeseries.NewNotification{hot, told, hot, notification("other", "hot", "2026-03-21T10:00:01+00:00")}
	var first []string
	answers := make(chan []string, 4)
	for range cap(answers) {
		go func() {
			ids, err := store.AddNotifications(t.Context(), batch)
			if err != nil {
				t.Error(err)
			}
			answers <- ids
		}()
	}
	for range cap(answers) {
		ids := <-answers
		if first == nil {
			first = ids
		}
		if !slices.Equal(ids, first) || len(ids) != len(batch) || ids[0] == ids[2] {
			t.Errorf("the ids are %v, first %v", ids, first)
		}
	}
	later := append(slices.Clone(batch), notification("run", "cold", "2026-03-21T10:00:02+00:00"))
	if ids, err := store.AddNotifications(t.Context(), later); err != nil || !slices.Equal(ids[:4], first) {
		t.Errorf("with one more: %v, %v", ids, err)
	}
	if list, err := store.Notifications(t.Context(), "run", 10, ""); err != nil || titles(list) != "cold hot hot hot" {
		t.Errorf("stored are %s, %v", titles(list), err)
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	var list []timeseries.NewNotification
	for i := range 53 {
		list = append(list, notification("run", fmt.Sprint(i), ""), notification("other", "x", ""))
	}
	if _, err := store.AddNotifications(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{3, 0} {
		if n, err := store.PruneNotifications(t.Context(), "run"); n != want || err != nil {
			t.Errorf("pruned %d, error %v; want %d", n, err, want)
		}
	}
	got, err := store.Notifications(t.Context(), "run", 100, "")
	if err != nil || len(got) != 50 || got[49].Title != "3" {
		t.Errorf("%d are left, error %v: %s", len(got), err, titles(got))
	}
	if other, err := store.Notifications(t.Context(), "other", 100, ""); err != nil || len(other) != 53 {
		t.Errorf("another session has %d, error %v", len(other), err)
	}
	if v := topicVersion(t, pool, schema.TopicNotifications("run")); v != 2 {
		t.Errorf("version %d: a clean-up of nothing must not be announced", v)
	}
}

func TestImportedNotificationsAreStoredOnce(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is in plain tables")
	pool := dbtest.New(t)
	store := timeseries.New(pool, timeseries.Options{})
	at := time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC)
	var list []timeseries.ImportedNotification
	for i, title := range []string{"a", "b", "a"} { // two are equal, and both count
		list = append(list, timeseries.ImportedNotification{
			NewNotification: notification("run", title, "x"), StoredAt: at.Add(time.Duration(i) * time.Second),
		})
	}
	for i, step := range []struct{ n, want int }{{1, 1}, {3, 2}, {3, 0}} {
		if added, err := store.ImportNotifications(t.Context(), "run", list[:step.n]); added != step.want || err != nil {
			t.Errorf("import %d added %d, error %v; want %d", i+1, added, err, step.want)
		}
	}
	stored, err := store.Notifications(t.Context(), "run", 10, "")
	if err != nil || titles(stored) != "a b a" || stored[0].CreationTime != float64(list[2].StoredAt.UnixMilli()) {
		t.Errorf("%+v, %v", stored, err)
	}
	if v := topicVersion(t, pool, schema.TopicNotifications("run")); v != 2 {
		t.Errorf("version %d: an import of nothing new must not be announced", v)
	}
	list[1].Severity = "loud"
	if _, err := store.ImportNotifications(t.Context(), "run", list); !fault.Is(err, fault.Invalid) {
		t.Errorf("a bad one: error %v", err)
	}
	if _, err := store.ImportNotifications(t.Context(), "other", list[:1]); !fault.Is(err, fault.Invalid) {
		t.Errorf("one of another session: error %v", err)
	}
}

func TestPurgeLeavesNothingOfASession(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	store := h.store
	h.insert(recordAt("run", 0, 1))
	if list, err := store.Archives.List(t.Context(), "run"); err != nil || len(list.Parts) != 1 {
		t.Fatalf("archive %+v, error %v", list, err)
	}
	if _, err := store.AddNotifications(t.Context(), []timeseries.NewNotification{notification("run", "old", "")}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.DeleteSession(t.Context(), "run"); err != nil {
		t.Fatal(err)
	}
	h.insert(recordAt("run", 0, 2)) // the id is used anew
	if _, err := store.AddNotifications(t.Context(), []timeseries.NewNotification{notification("run", "new", "")}); err != nil {
		t.Fatal(err)
	}
	if n, err := store.PurgeDeleted(t.Context()); n != 1 || err != nil {
		t.Fatalf("purged %d, error %v", n, err)
	}
	for table, want := range map[string]int{"archives": 0, "archive_parts": 0, "locks WHERE name LIKE 'archive:%'": 0, "telemetry": 1, "sessions": 1} {
		if n := h.count("SELECT count(*) FROM " + table); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
	}
	if list, err := store.Notifications(t.Context(), "run", 5, ""); err != nil || titles(list) != "new" {
		t.Errorf("notifications %q, error %v", titles(list), err)
	}
}
