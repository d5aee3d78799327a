package convexmove_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/scrypt"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/internal/convexmove"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

type object = map[string]any

// deployment is the content of a Convex deployment.
type deployment struct {
	tables map[string][]object
	files  map[string]string
	serial float64
}

// snapshot writes it the way the exporter does: for each table a description
// and the documents in order of their random ids, whole numbers with ".0", the
// stored files last.
func (d *deployment) snapshot(t testing.TB) *convexdump.Dump {
	t.Helper()
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	write := func(name, content string) {
		w, err := archive.Create(name)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("README.md", "# Welcome to your Convex snapshot export!\n")
	var tables strings.Builder
	for i, name := range slices.Sorted(maps(d.tables)) {
		fmt.Fprintf(&tables, "{\"name\":%q,\"id\":%d}\n", name, 10001+i)
	}
	write("_tables/documents.jsonl", tables.String())
	for _, name := range slices.Sorted(maps(d.tables)) {
		write(name+"/generated_schema.jsonl", "\"{...}\"\n")
		documents := slices.Clone(d.tables[name])
		slices.SortFunc(documents, func(a, b object) int { return strings.Compare(a["_id"].(string), b["_id"].(string)) })
		var text strings.Builder
		for _, document := range documents {
			text.WriteString(clean(t, document) + "\n")
		}
		write(name+"/documents.jsonl", text.String())
	}
	write("_storage/documents.jsonl", "")
	for id, content := range d.files {
		write("_storage/"+id+".gz", content)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "snapshot.zip")
	if err := os.WriteFile(name, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	dump, err := convexdump.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dump.Close() })
	return dump
}

func maps[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// clean writes a value as the exporter does.
func clean(t testing.TB, v any) string {
	switch v := v.(type) {
	case float64:
		text, _ := json.Marshal(v)
		if !bytes.ContainsAny(text, ".e") {
			return string(text) + ".0"
		}
		return string(text)
	case object:
		var members []string
		for _, name := range slices.Sorted(maps(v)) {
			members = append(members, fmt.Sprintf("%q:%s", name, clean(t, v[name])))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, clean(t, item))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// add stores a document, later than all before it.
func (d *deployment) add(table string, document object) string {
	d.serial++
	id := fmt.Sprintf("k%07x%02.0f", rand.Uint32()>>4, d.serial)
	if document["_id"] == nil {
		document["_id"] = id
	}
	document["_creationTime"] = 1774000000000 + d.serial + 0.25
	d.tables[table] = append(d.tables[table], document)
	return document["_id"].(string)
}

// record is one of a session, with its number in message_id.
func telemetry(session string, number int) object {
	at := time.Date(2026, 3, 21, 10, 0, 0, 0, time.UTC).Add(time.Duration(number/2) * 200 * time.Millisecond) // two share a time
	return object{"session_id": session, "session_name": "Run " + session, "timestamp": record.FormatTime(at),
		"speed_ms": float64(number%40) / 4, "message_id": float64(number)}
}

// archive stores records as a part of the session's archive.
func (d *deployment) archive(t testing.TB, session string, part int, records []object) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	items := make([]any, len(records))
	for i, r := range records {
		items[i] = r
	}
	text, err := json.Marshal(items)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("kg%s%d", session, part)
	d.files[file] = zipped.String()
	d.add("telemetryArchives", object{"session_id": session, "part_number": float64(part), "storage_id": file,
		"record_count": float64(len(records)), "format": "json-gzip-v1"})
}

const password = "correct horse battery staple"

// scryptHash is what the former backend stores for the password.
func scryptHash(t testing.TB) string {
	t.Helper()
	salt := []byte("0123456789abcdef")
	key, err := scrypt.Key([]byte(password), salt, 1<<17, 8, 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	return "scrypt-v1$131072$8$1$p0$" + enc.EncodeToString(salt) + "$" + enc.EncodeToString(key)
}

const legacyHash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"

// sample is a deployment with something of everything: a finished run in two
// parts, a run that goes on (one part and a tail), and one never archived.
func sample(t testing.TB, hash string) *deployment {
	d := &deployment{tables: map[string][]object{}, files: map[string]string{}}
	ada := d.add("authUsers", object{"email": "Ada@Example.com", "normalizedEmail": "ada@example.com", "passwordHash": hash, "name": "Ada"})
	d.add("user_profiles", object{"userId": ada, "email": "ada@example.com", "role": "admin", "approval_status": "approved", "name": "Ada L"})
	bob := d.add("authUsers", object{"email": "bob@example.com", "passwordHash": legacyHash})
	d.add("user_profiles", object{"userId": bob, "email": "bob@example.com", "role": "external", "approval_status": "pending", "requested_role": "internal"})
	d.add("authUsers", object{"email": "new@example.com", "passwordHash": legacyHash}) // no profile yet
	d.add("authSessions", object{"userId": ada, "tokenHash": "x"})

	var done, going []object
	for i := range 5000 {
		done = append(done, telemetry("done", i))
	}
	d.archive(t, "done", 1, done[3000:])
	d.archive(t, "done", 0, done[:3000])
	for i := range 3000 {
		going = append(going, telemetry("going", i))
	}
	d.archive(t, "going", 0, going)
	for i := range 250 {
		d.add("telemetry", telemetry("going", 3000+i))
		d.add("telemetry", telemetry("table", i))
	}
	for session, n := range map[string]int{"done": 5000, "going": 3250, "table": 250} {
		d.add("sessions", object{"session_id": session, "record_count": float64(n), "start_time": "x", "end_time": "y"})
	}
	d.add("liveSessionState", object{"state_key": "dashboard", "status": "ended", "session_id": "done", "started_at": "2026-03-21T10:00:00+00:00",
		"ended_at": "2026-03-21T11:00:00+00:00", "reason": "user_interrupt", "record_count": 5000.0, "updated_at": "x"})
	for i := range 5 {
		d.add("driver_notifications", object{"session_id": "done", "severity": "warn", "title": fmt.Sprint("n", i/2), "message": "m",
			"category": "speed", "ttl": 5000.0, "created_at": "2026-03-21T10:00:01+00:00"})
	}
	d.add("dashboardPreferences", object{"ownerId": ada, "theme": "technical-light", "defaultViewKey": "mine", "systemViewVersion": 2.0,
		"legacyImportVersion": 1.0, "updatedAt": 1774000000123.0})
	view := d.add("dashboardViews", object{"ownerId": ada, "viewKey": "mine", "name": "Mine", "kind": "custom", "position": 0.0, "revision": 7.0,
		"createdAt": 1774000000001.0, "updatedAt": 1774000000002.0})
	for i := range 3 {
		d.add("dashboardWidgets", object{"ownerId": ada, "viewId": view, "instanceId": fmt.Sprint("widget-", i), "widgetType": "speed-trend",
			"column": float64(i), "row": 0.0, "width": 4.0, "height": 2.0, "pinned": false, "config": object{"metric": "speed", "series": []any{"power"}},
			"createdAt": 1774000000003.0, "updatedAt": 1774000000004.0})
	}
	d.add("dashboardAlertAcknowledgements", object{"ownerId": ada, "eventKey": "volt:low", "sessionId": "done", "acknowledgedAt": 1774000000005.0})
	d.add("inventoryItems", object{"name": "Drill"})
	return d
}

// target is an empty telemetryd to move to.
type target struct {
	pool     *pgxpool.Pool
	services convexmove.Services
}

func newTarget(t testing.TB) target {
	pool := dbtest.New(t)
	return target{pool, convexmove.Services{
		Store: timeseries.New(pool, timeseries.Options{}), Auth: auth.New(pool, auth.Options{}), Dashboards: dashboard.New(pool),
	}}
}

func (to target) move(t testing.TB, dump *convexdump.Dump) *convexmove.Report {
	t.Helper()
	report, err := convexmove.Move(t.Context(), dump, to.services, convexmove.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// numbers returns the message ids of a session, oldest first.
func (to target) numbers(t testing.TB, session string) []int {
	t.Helper()
	text, _, err := to.services.Store.AllRecords(t.Context(), timeseries.RecordQuery{SessionID: session}, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var records []struct {
		Number int `json:"message_id"`
	}
	if err := json.Unmarshal(text, &records); err != nil {
		t.Fatal(err)
	}
	list := make([]int, len(records))
	for i, r := range records {
		list[i] = r.Number
	}
	return list
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// checkWhole wants everything of sample in the database, and once.
func (to target) checkWhole(t *testing.T) {
	t.Helper()
	for session, n := range map[string]int{"done": 5000, "going": 3250, "table": 250} {
		if diff := cmp.Diff(upTo(n), to.numbers(t, session)); diff != "" {
			t.Errorf("records of %s (-want +got):\n%s", session, diff)
		}
	}
	for table, want := range map[string]int{"users": 3, "sessions": 3, "telemetry": 8500, "driver_notifications": 5, "live_session": 1,
		"dashboard_preferences": 1, "dashboard_views": 1, "dashboard_widgets": 3, "dashboard_acknowledgements": 1} {
		var n int
		if err := to.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != want {
			t.Errorf("%s has %d rows, want %d (error %v)", table, n, want, err)
		}
	}
}

func TestMoveTwice(t *testing.T) {
	t.Parallel()
	dump := sample(t, scryptHash(t)).snapshot(t)
	to := newTarget(t)
	report := to.move(t, dump)
	first := convexmove.Report{
		Accounts: convexmove.Count{Found: 3, Added: 3}, Sessions: convexmove.Count{Found: 3, Added: 3},
		Records: convexmove.Count{Found: 8500, Added: 8500}, Notifications: convexmove.Count{Found: 5, Added: 5},
		Preferences: convexmove.Count{Found: 1, Added: 1}, Views: convexmove.Count{Found: 1, Added: 1},
		Widgets: convexmove.Count{Found: 3, Added: 3}, Acknowledgements: convexmove.Count{Found: 1, Added: 1},
		LiveState: convexmove.Count{Found: 1, Added: 1},
		Left:      []string{"authSessions (everybody signs in anew)", "inventoryItems (the inventory is not part of telemetryd)"},
	}
	if diff := cmp.Diff(first, *report); diff != "" {
		t.Errorf("first move (-want +got):\n%s", diff)
	}
	to.checkWhole(t)
	to.checkPeople(t)

	second := first
	for _, c := range []*convexmove.Count{&second.Accounts, &second.Sessions, &second.Records, &second.Notifications, &second.Preferences,
		&second.Views, &second.Widgets, &second.Acknowledgements, &second.LiveState} {
		c.Added, c.Present = 0, c.Found
	}
	if diff := cmp.Diff(second, *to.move(t, dump)); diff != "" {
		t.Errorf("second move (-want +got):\n%s", diff)
	}
	to.checkWhole(t)
}

// checkPeople wants the accounts to work as before.
func (to target) checkPeople(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	result, err := to.services.Auth.SignIn(ctx, auth.SignIn{Email: "ada@example.com", Password: password})
	if err != nil || result.Token == "" {
		t.Fatalf("signing in with the password of before: %+v, %v", result, err)
	}
	ada, err := to.services.Auth.Authenticate(ctx, result.Token)
	if err != nil || ada.Role != auth.Admin {
		t.Fatalf("principal %+v, %v", ada, err)
	}
	pending, err := to.services.Auth.PendingUsers(ctx, ada)
	if err != nil || len(pending) != 1 || pending[0].Email != "bob@example.com" || pending[0].RequestedRole != auth.Internal {
		t.Errorf("pending: %+v, %v", pending, err)
	}
	stranger, err := to.services.Auth.FindUser(ctx, ada, "new@example.com")
	if err != nil || stranger.Role != auth.External || stranger.Approval != auth.Approved {
		t.Errorf("an account without a profile: %+v, %v", stranger, err)
	}
	preferences, err := to.services.Dashboards.Preferences(ctx, ada.UserID)
	if err != nil || preferences.Theme != "technical-light" || preferences.UpdatedAt != 1774000000123 {
		t.Errorf("preferences: %+v, %v", preferences, err)
	}
	views, err := to.services.Dashboards.Views(ctx, ada.UserID)
	if err != nil || len(views) != 1 || views[0].Revision != 7 || views[0].CreatedAt != 1774000000001 {
		t.Fatalf("views: %+v, %v", views, err)
	}
	widgets, err := to.services.Dashboards.Widgets(ctx, ada.UserID, views[0].ID)
	if err != nil || len(widgets) != 3 || widgets[2].InstanceID != "widget-2" || !slices.Equal(widgets[0].Config.Series, []string{"power"}) {
		t.Errorf("widgets: %+v, %v", widgets, err)
	}
	list, err := to.services.Store.Notifications(ctx, "done", 10, "")
	if err != nil || len(list) != 5 || list[0].Title != "n2" || list[4].Title != "n0" || *list[0].TTL != 5000 {
		t.Errorf("notifications: %+v, %v", list, err)
	}
	live, err := to.services.Store.LiveState(ctx)
	if err != nil || live.SessionID != "done" || live.RecordCount != 5000 {
		t.Errorf("live state: %+v, %v", live, err)
	}
}

func TestMoveThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	dump := sample(t, legacyHash).snapshot(t)
	to := newTarget(t)
	for _, stopAt := range []int{1, 4000, 7000} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := convexmove.Move(ctx, dump, to.services, convexmove.Options{
			TempDir: t.TempDir(),
			Progress: func(done, total int) {
				if total != 8500 {
					t.Errorf("%d records in all, want 8500", total)
				}
				if done >= stopAt {
					cancel()
				}
			},
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: error %v", stopAt, err)
		}
	}
	if report := to.move(t, dump); !report.OK() {
		t.Errorf("problems: %v", report.Problems)
	}
	to.checkWhole(t)
}

// A second snapshot, taken after the run went on and its tail was archived,
// brings only what is new, although every record lies elsewhere in it. Records
// that are equal in everything count as often as the snapshot has them.
func TestLaterSnapshotAddsWhatIsNew(t *testing.T) {
	t.Parallel()
	to := newTarget(t)
	first := &deployment{tables: map[string][]object{}, files: map[string]string{}}
	for i := range 700 {
		first.add("telemetry", telemetry("run", i))
	}
	first.add("telemetry", telemetry("run", 699))
	if report := to.move(t, first.snapshot(t)); !report.OK() || report.Records.Added != 701 {
		t.Fatalf("first: %+v", report)
	}
	second := &deployment{tables: map[string][]object{}, files: map[string]string{}}
	var archived []object
	for i := range 900 {
		archived = append(archived, telemetry("run", i))
	}
	archived = append(archived, telemetry("run", 699), telemetry("run", 699)) // sent twice more, one of which is new
	second.archive(t, "run", 0, archived)
	second.add("telemetry", telemetry("run", 900))
	for _, want := range []convexmove.Count{{Found: 903, Added: 202, Present: 701}, {Found: 903, Present: 903}} {
		if report := to.move(t, second.snapshot(t)); !report.OK() || report.Records != want {
			t.Errorf("records %+v, want %+v; problems %v", report.Records, want, report.Problems)
		}
	}
	want := slices.Sorted(slices.Values(append(upTo(901), 699, 699)))
	got := to.numbers(t, "run")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestDryRunStoresNothing(t *testing.T) {
	t.Parallel()
	report, err := convexmove.Move(t.Context(), sample(t, legacyHash).snapshot(t), convexmove.Services{}, convexmove.Options{DryRun: true, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if report.Records != (convexmove.Count{Found: 8500}) || report.Sessions.Found != 3 || report.Widgets.Found != 3 || !report.OK() {
		t.Errorf("report: %+v", report)
	}
	var text strings.Builder
	if _, err := report.WriteTo(&text); err != nil || !strings.Contains(text.String(), "8500") {
		t.Errorf("%v in\n%s", err, &text)
	}
}

func TestWhatCannotBeMovedIsReported(t *testing.T) {
	t.Parallel()
	d := sample(t, legacyHash)
	bad := telemetry("table", 9)
	bad["timestamp"] = "yesterday"
	d.add("telemetry", bad)
	d.files["kgdone1"] = "no gzip file"
	d.add("sessions", object{"session_id": "empty", "record_count": 10.0})
	d.add("authUsers", object{"email": "no address", "passwordHash": legacyHash})
	d.add("dashboardViews", object{"ownerId": "nobody", "viewKey": "lost", "name": "Lost", "kind": "custom", "position": 0.0, "revision": 1.0})
	d.add("dashboardWidgets", object{"ownerId": "nobody", "viewId": "gone", "instanceId": "abc", "widgetType": "speed-trend",
		"column": 0.0, "row": 0.0, "width": 4.0, "height": 2.0, "pinned": false, "config": object{}})
	d.add("driver_notifications", object{"session_id": "done", "severity": "loud", "title": "", "message": "", "created_at": ""})
	to := newTarget(t)
	report := to.move(t, d.snapshot(t))
	text := strings.Join(report.Problems, "\n")
	for _, want := range []string{"yesterday", `"done": not moved: part 1`, `"empty"`, "account ", "account nobody", "view gone", "notifications of session"} {
		if !strings.Contains(text, want) {
			t.Errorf("no problem tells of %s:\n%s", want, text)
		}
	}
	if report.OK() || report.Sessions != (convexmove.Count{Found: 3, Added: 2, Failed: 1}) ||
		report.Records != (convexmove.Count{Found: 8501, Added: 3501, Failed: 5000}) {
		t.Errorf("sessions %+v, records %+v", report.Sessions, report.Records)
	}
	// The rest is there, and of the broken session nothing.
	if n := len(to.numbers(t, "done")); n != 0 {
		t.Errorf("%d records of the session with a broken part", n)
	}
	for session, n := range map[string]int{"going": 3250, "table": 250} {
		if diff := cmp.Diff(upTo(n), to.numbers(t, session)); diff != "" {
			t.Errorf("records of %s (-want +got):\n%s", session, diff)
		}
	}
	// Exported again and whole, it moves.
	if report := to.move(t, sample(t, legacyHash).snapshot(t)); report.Sessions.Failed != 0 {
		t.Errorf("problems: %v", report.Problems)
	}
	if diff := cmp.Diff(upTo(5000), to.numbers(t, "done")); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestSnapshotWithoutFilesSaysSo(t *testing.T) {
	t.Parallel()
	d := sample(t, legacyHash)
	d.files = nil
	report := newTarget(t).move(t, d.snapshot(t))
	if text := strings.Join(report.Problems, "\n"); !strings.Contains(text, "--include-file-storage") {
		t.Errorf("problems: %s", text)
	}
}

func TestAnAddressThatHasAnAccountKeepsIt(t *testing.T) {
	t.Parallel()
	to := newTarget(t)
	if _, err := to.services.Auth.Bootstrap(t.Context(), "ada@example.com", "another password"); err != nil {
		t.Fatal(err)
	}
	report := to.move(t, sample(t, legacyHash).snapshot(t))
	if !report.OK() || report.Accounts != (convexmove.Count{Found: 3, Added: 2, Present: 1}) || report.Views.Added != 1 {
		t.Errorf("report: %+v", report)
	}
	ada, err := to.services.Auth.FindUser(t.Context(), auth.Operator("test"), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if views, err := to.services.Dashboards.Views(t.Context(), ada.UserID); len(views) != 1 || err != nil {
		t.Errorf("the dashboards did not go to the account of that address: %v, %v", views, err)
	}
}
