package timeseries_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/note"
)

// noted lists a run's notes as kind, from and to in seconds since the race's start,
// severity and text.
func (h *server) noted(id string, kinds ...string) (list []string) {
	h.t.Helper()
	notes, err := h.store.RunNotes(h.t.Context(), id, kinds)
	if err != nil {
		h.t.Fatal(err)
	}
	at := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return fmt.Sprint(t.Sub(raceStart).Seconds())
	}
	for _, n := range notes {
		severity := "-"
		if n.Severity != nil {
			severity = *n.Severity
		}
		list = append(list, fmt.Sprintf("%s %s %s %s %s", n.Kind, at(n.From), at(n.To), severity, n.Text))
	}
	return list
}

func (h *server) note(id string, by note.Author, c note.Content) *note.Note {
	h.t.Helper()
	n, err := h.store.Notes.Add(h.t.Context(), id, by, c)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func after(d time.Duration) *time.Time {
	t := raceStart.Add(d)
	return &t
}

var ann = note.Author{Account: "ann", Name: "Ann"}

// What people note stands beside what the server knows, follows a run that gets other
// times and goes with a deleted one.
func TestNotes(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	var records []rec
	for i := range 120 {
		r := recordAt("s", time.Duration(i)*time.Second, i)
		r["speed_ms"] = 10
		switch {
		case i >= 20 && i < 40:
			r["speed_ms"] = 0
		case i >= 60 && i < 75:
			continue // silence
		case i == 90 || i == 92:
			r["outliers"] = rec{"flagged_fields": []string{"voltage_v", "current_a"}, "severity": "warning"}
		case i == 93:
			r["outliers"] = rec{"flagged_fields": []string{"speed_ms"}, "severity": "critical"}
		case i == 110:
			r["outlier_severity"] = "info"
		case i == 111:
			r["outliers"] = rec{"severity": "none"}
		}
		records = append(records, r)
	}
	h.insert(append(records, rec{"session_id": "s", "timestamp": "never", "speed_ms": 1})...)
	if _, err := h.store.AddNotifications(t.Context(), []timeseries.NewNotification{
		{SessionID: "s", Severity: "warn", Title: "Slow down", Message: "Corner 3", CreatedAt: "2026-03-21T10:01:20+00:00"},
		{SessionID: "s", Severity: "info", Title: "No zone", CreatedAt: "2026-03-21T10:01:21"},
	}); err != nil {
		t.Fatal(err)
	}
	place := 48.1
	h.note("s", ann, note.Content{Text: " wind <b>here</b> ", Latitude: &place, Longitude: &place})
	moment := h.note("s", ann, note.Content{Text: "slipped", From: after(30 * time.Second)})
	h.note("s", note.Author{Name: "key"}, note.Content{Text: "fast", From: after(80 * time.Second), To: after(100 * time.Second)})
	want := []string{
		"note - - - wind <b>here</b>",
		"set_aside - - warning 1 record set aside: no time",
		"stop 20 40 - Stood for 20 s",
		"note 30 - - slipped",
		"gap 59 75 warning No records for 16 s",
		"note 80 100 - fast",
		"notification 80 - warning Slow down: Corner 3",
		"notification 81 - info No zone",
		"outlier 90 93 critical 3 records flagged: current_a, speed_ms, voltage_v",
		"outlier 110 - info 1 record flagged",
	}
	if diff := cmp.Diff(want, h.noted("s")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{want[0], want[3], want[4], want[5]}, h.noted("s", "note", "gap")); diff != "" {
		t.Error(diff)
	}
	var lasting []string
	if err := h.pool.QueryRow(t.Context(), "SELECT array_agg(analytics.lasting(s) ORDER BY s) FROM unnest(ARRAY[0.25, 9.9, 9.96, 59.4, 59.6, 2267.2, 3599.6, 5100]) s").Scan(&lasting); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0.3 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "37 min 47 s", "1 h 00 min", "1 h 25 min"}, lasting); diff != "" {
		t.Error(diff)
	}
	// Analysts see the same, and not whose accounts they are of.
	if err := tryAsAnalyst(t.Context(), h.pool, func(ctx context.Context, tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM analytics.notes('s')").Scan(&n); err != nil || n != len(want) {
			return fmt.Errorf("%d notes: %w", n, err)
		}
		_, err := tx.Exec(ctx, "SELECT author FROM notes")
		return err
	}); !schema.HasCode(err, pgerrcode.InsufficientPrivilege) {
		t.Errorf("analysts: %v", err)
	}
	// Late records fill the gap, and nothing tells of it any more.
	h.insert(recordAt("s", 64*time.Second, 64), recordAt("s", 68*time.Second, 68), recordAt("s", 72*time.Second, 72))
	await.Until(t, "the gap is no mark any more", func() bool { return h.noted("s", "gap") == nil })

	if _, err := h.store.Writer.Repair(t.Context(), ingest.Repair{Session: "s", Shift: time.Hour, All: true}); err != nil {
		t.Fatal(err)
	}
	want = []string{"note - - - wind <b>here</b>", "note 3630 - - slipped", "note 3680 3700 - fast"}
	if diff := cmp.Diff(want, h.noted("s", "note")); diff != "" {
		t.Error(diff)
	}
	changed, err := h.store.Notes.Change(t.Context(), "s", *moment.ID, ann, note.Content{Text: "slid", From: after(time.Hour)}, moment.Revision)
	if err != nil || changed.Text != "slid" || *changed.Revision != 2 || *changed.Author != "Ann" {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := h.store.Notes.Change(t.Context(), "s", *moment.ID, ann, note.Content{Text: "late"}, moment.Revision); fault.As(err) == nil || fault.As(err).Code != "NOTE_CONFLICT" {
		t.Error(err)
	}
	if _, err := h.store.DeleteSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	h.insert(recordAt("s", 0, 1))
	if got := h.noted("s", "note"); got != nil {
		t.Errorf("another run has %v", got)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.count("SELECT count(*) FROM notes"); n != 0 {
		t.Errorf("%d notes of deleted runs are left", n)
	}
}

func TestWhoMayChangeNotes(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1), recordAt("other", 0, 1))
	mine := *h.note("s", ann, note.Content{Text: "x"}).ID
	keys := *h.note("s", note.Author{Name: "key"}, note.Content{Text: "x"}).ID
	ben, admin := note.Author{Account: "ben"}, note.Author{Account: "root", All: true}
	for name, test := range map[string]struct {
		session string
		note    int64
		by      note.Author
		kind    fault.Kind
	}{
		"another's":      {"s", mine, ben, fault.Forbidden},
		"a key's":        {"s", keys, ben, fault.Forbidden},
		"of another run": {"other", mine, ann, fault.NotFound},
		"of no run":      {"none", mine, ann, fault.NotFound},
		"none":           {"s", mine + 100, admin, fault.NotFound},
		"nobody's":       {"s", keys, note.Author{}, fault.Forbidden},
	} {
		if err := h.store.Notes.Delete(t.Context(), test.session, test.note, test.by); !fault.Is(err, test.kind) {
			t.Errorf("%s: deleted: %v", name, err)
		}
		if _, err := h.store.Notes.Change(t.Context(), test.session, test.note, test.by, note.Content{Text: "y"}, nil); !fault.Is(err, test.kind) {
			t.Errorf("%s: changed: %v", name, err)
		}
	}
	for id, by := range map[int64]note.Author{mine: ann, keys: admin} {
		if err := h.store.Notes.Delete(t.Context(), "s", id, by); err != nil {
			t.Error(err)
		}
	}
}

func TestBoundsOfNotes(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "plain tables: the same on both editions")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1))
	far, nowhere := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 91.0
	next := raceStart.AddDate(1, 0, 0)
	for name, c := range map[string]note.Content{
		"empty": {Text: " \n"}, "long": {Text: strings.Repeat("é", 2001)}, "control": {Text: "a\x00b"}, "broken": {Text: "\xff"},
		"end without begin": {Text: "x", To: after(0)}, "backwards": {Text: "x", From: after(1), To: after(1)},
		"half a place": {Text: "x", Latitude: &nowhere}, "nowhere": {Text: "x", Latitude: &nowhere, Longitude: &nowhere}, "never": {Text: "x", From: &far},
		"for ever": {Text: "x", From: after(0), To: &far}, "of next year": {Text: "x", From: &next}, "until tomorrow night": {Text: "x", From: after(0), To: after(25 * time.Hour)},
		"two days before": {Text: "x", From: after(-25 * time.Hour), To: after(0)},
	} {
		if _, err := h.store.Notes.Add(t.Context(), "s", ann, c); !fault.Is(err, fault.Invalid) || c.To == &far && fault.As(err).Problems[0].Field != "to" || c.From == &next && fault.As(err).Problems[0].Field != "from" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The evening before and the one behind it are noted of a run.
	for _, at := range []time.Duration{-23 * time.Hour, 23 * time.Hour} {
		n := h.note("s", ann, note.Content{Text: "x", From: after(at)})
		if _, err := h.store.Notes.Change(t.Context(), "s", *n.ID, ann, note.Content{Text: "x", From: &next}, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("changed to next year: %v", err)
		}
		if err := h.store.Notes.Delete(t.Context(), "s", *n.ID, ann); err != nil {
			t.Error(err)
		}
	}
	h.note("s", ann, note.Content{Text: strings.Repeat("🏁", 2000)})
	if _, err := h.pool.Exec(t.Context(), "INSERT INTO notes (session, text) SELECT session, 'x' FROM notes, generate_series(2, 2000)"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Notes.Add(t.Context(), "s", ann, note.Content{Text: "one too many"}); fault.As(err) == nil || fault.As(err).Code != "NOTE_LIMIT" {
		t.Error(err)
	}
	if got := h.noted("s", "note"); len(got) != 2000 {
		t.Errorf("%d are listed", len(got))
	}
}
