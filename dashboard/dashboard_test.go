package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

const owner = "ada"

func setup(t *testing.T) (*dashboard.Service, *pgxpool.Pool) {
	t.Helper()
	t.Parallel()
	pool := dbtest.New(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO users (id, email, password_hash) VALUES ($1, 'ada@example.com', ''), ('grace', 'grace@example.com', '')`, owner)
	if err != nil {
		t.Fatal(err)
	}
	return dashboard.New(pool), pool
}

func code(err error) string {
	if e := fault.As(err); e != nil {
		return e.Code
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if code(err) != want {
		t.Errorf("error %v, want code %s", err, want)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func view(t *testing.T, s *dashboard.Service, key string) dashboard.View {
	t.Helper()
	return must[dashboard.View](t)(s.CreateView(t.Context(), owner, dashboard.NewView{ViewKey: key, Name: key, Kind: dashboard.KindCustom}))
}

func widget(id string) dashboard.WidgetInput {
	return dashboard.WidgetInput{InstanceID: id, WidgetType: "speed-trend", Width: 4, Height: 3}
}

func version(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	var v int
	err := pool.QueryRow(t.Context(), "SELECT coalesce(max(version), 0) FROM changes WHERE topic = $1", schema.TopicDashboard(owner)).Scan(&v)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPreferences(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	if p := must[*dashboard.Preferences](t)(s.Preferences(ctx, owner)); p != nil {
		t.Fatalf("preferences before any save: %+v", p)
	}
	first := must[*dashboard.Preferences](t)(s.UpdatePreferences(ctx, owner, dashboard.PreferencesChange{}))
	want := &dashboard.Preferences{OwnerID: owner, Theme: "circuit", SystemViewVersion: 1}
	ignore := cmpopts.IgnoreFields(dashboard.Preferences{}, "ID", "CreationTime", "UpdatedAt")
	if diff := cmp.Diff(want, first, ignore); diff != "" {
		t.Errorf("first save (-want +got):\n%s", diff)
	}
	if first.ID == "" || first.CreationTime < 1e12 || first.UpdatedAt != math.Floor(first.UpdatedAt) {
		t.Errorf("document members: %+v", first)
	}
	theme, key, minus, high := "technical-light", "my-view", -3.5, 7.9
	second := must[*dashboard.Preferences](t)(s.UpdatePreferences(ctx, owner, dashboard.PreferencesChange{
		Theme: &theme, LastViewKey: &key, SystemViewVersion: &minus, LegacyImportVersion: &high,
	}))
	third := must[*dashboard.Preferences](t)(s.UpdatePreferences(ctx, owner, dashboard.PreferencesChange{DefaultViewKey: &key}))
	want = &dashboard.Preferences{OwnerID: owner, Theme: theme, DefaultViewKey: &key, LastViewKey: &key, SystemViewVersion: 1, LegacyImportVersion: 7}
	if diff := cmp.Diff(want, third, ignore); diff != "" {
		t.Errorf("absent members must stay (-want +got):\n%s", diff)
	}
	if first.ID != second.ID || second.ID != third.ID {
		t.Error("a save changed the document's id")
	}
	if diff := cmp.Diff(third, must[*dashboard.Preferences](t)(s.Preferences(ctx, owner))); diff != "" {
		t.Errorf("read back (-saved +read):\n%s", diff)
	}
	if v := version(t, pool); v != 3 {
		t.Errorf("%d announcements for 3 saves", v)
	}
	bad, nan := "X", math.NaN()
	_, err := s.UpdatePreferences(ctx, owner, dashboard.PreferencesChange{DefaultViewKey: &bad})
	wantCode(t, err, "INVALID_VIEW_KEY")
	for _, change := range []dashboard.PreferencesChange{{Theme: &bad}, {SystemViewVersion: &nan}} {
		if _, err := s.UpdatePreferences(ctx, owner, change); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: error %v, want an invalid-input error", change, err)
		}
	}
}

func TestAbsentMembersAreAbsentInJSON(t *testing.T) {
	s, _ := setup(t)
	v := view(t, s, "plain")
	must[int](t)(s.ReplaceLayout(t.Context(), owner, v.ID, []dashboard.WidgetInput{widget("one")}, nil))
	widgets := must[[]dashboard.Widget](t)(s.Widgets(t.Context(), owner, v.ID))
	preferences := must[*dashboard.Preferences](t)(s.UpdatePreferences(t.Context(), owner, dashboard.PreferencesChange{}))
	for _, document := range []any{v, widgets[0], preferences} {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("an unset member is null: %s", text)
		}
	}
	text, _ := json.Marshal(widgets[0].Config)
	if string(text) != "{}" {
		t.Errorf("empty config became %s", text)
	}
}

func TestCreateView(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	system := "core"
	a := must[dashboard.View](t)(s.CreateView(ctx, owner, dashboard.NewView{
		ViewKey: "a-view", Name: " \u00a0Ｆull \t width ", Kind: dashboard.KindSystemOverride, SystemViewID: &system,
	}))
	want := dashboard.View{OwnerID: owner, ViewKey: "a-view", Name: "Full width", Kind: "system-override", SystemViewID: &system, Revision: 1}
	ignore := cmpopts.IgnoreFields(dashboard.View{}, "ID", "CreationTime", "CreatedAt", "UpdatedAt")
	if diff := cmp.Diff(want, a, ignore); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	again := must[dashboard.View](t)(s.CreateView(ctx, owner, dashboard.NewView{ViewKey: "a-view", Name: "", Kind: dashboard.KindCustom}))
	if diff := cmp.Diff(a, again); diff != "" {
		t.Errorf("creating an existing key must change nothing:\n%s", diff)
	}
	if v := version(t, pool); v != 1 {
		t.Errorf("%d announcements for one change", v)
	}
	for i := 1; i < dashboard.MaxViews; i++ {
		if v := view(t, s, fmt.Sprintf("view-%d", i)); v.Position != i {
			t.Errorf("view %d at position %d", i, v.Position)
		}
	}
	_, err := s.CreateView(ctx, owner, dashboard.NewView{ViewKey: "one-more", Name: "x", Kind: dashboard.KindCustom})
	wantCode(t, err, "VIEW_LIMIT")
	if got := must[dashboard.View](t)(s.CreateView(ctx, owner, dashboard.NewView{ViewKey: "a-view", Name: "x", Kind: dashboard.KindCustom})); got.ID != a.ID {
		t.Error("an existing key must be found before the limit counts")
	}
	if other := must[dashboard.View](t)(s.CreateView(ctx, "grace", dashboard.NewView{ViewKey: "a-view", Name: "x", Kind: dashboard.KindCustom})); other.ID == a.ID {
		t.Error("another account got this account's view")
	}
	if list := must[[]dashboard.View](t)(s.Views(ctx, owner)); len(list) != dashboard.MaxViews || list[0].ID != a.ID {
		t.Errorf("list: %+v", list)
	}
}

func TestLimitHoldsWhenViewsAreCreatedAtOnce(t *testing.T) {
	s, pool := setup(t)
	dbtest.NeedsBackends(t, "needs several connections")
	var wg sync.WaitGroup
	for i := range 2 * dashboard.MaxViews {
		wg.Go(func() {
			_, _ = s.CreateView(t.Context(), owner, dashboard.NewView{ViewKey: fmt.Sprintf("view-%d", i), Name: "x", Kind: dashboard.KindCustom})
		})
	}
	wg.Wait()
	var count, positions int
	err := pool.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT position) FROM dashboard_views").Scan(&count, &positions)
	if err != nil || count != dashboard.MaxViews || positions != count {
		t.Errorf("%d views at %d positions, error %v; want %d each", count, positions, err, dashboard.MaxViews)
	}
}

func TestInvalidViews(t *testing.T) {
	s, _ := setup(t)
	long := strings.Repeat("x", 61)
	for _, test := range []struct {
		name string
		new  dashboard.NewView
		code string
	}{
		{"short key", dashboard.NewView{ViewKey: "ab", Name: "x", Kind: "custom"}, "INVALID_VIEW_KEY"},
		{"upper-case key", dashboard.NewView{ViewKey: "Abc", Name: "x", Kind: "custom"}, "INVALID_VIEW_KEY"},
		{"key starts with a hyphen", dashboard.NewView{ViewKey: "-abc", Name: "x", Kind: "custom"}, "INVALID_VIEW_KEY"},
		{"key with a line end", dashboard.NewView{ViewKey: "abc\n", Name: "x", Kind: "custom"}, "INVALID_VIEW_KEY"},
		{"long key", dashboard.NewView{ViewKey: long + "abcd", Name: "x", Kind: "custom"}, "INVALID_VIEW_KEY"},
		{"blank name", dashboard.NewView{ViewKey: "abc", Name: " \ufeff\u3000", Kind: "custom"}, "INVALID_VIEW_NAME"},
		{"long name", dashboard.NewView{ViewKey: "abc", Name: long, Kind: "custom"}, "INVALID_VIEW_NAME"},
		{"long name in UTF-16", dashboard.NewView{ViewKey: "abc", Name: strings.Repeat("🚗", 31), Kind: "custom"}, "INVALID_VIEW_NAME"},
		{"name with NUL", dashboard.NewView{ViewKey: "abc", Name: "a\x00b", Kind: "custom"}, "INVALID_VIEW_NAME"},
		{"kind", dashboard.NewView{ViewKey: "abc", Name: "x", Kind: "other"}, ""},
	} {
		_, err := s.CreateView(t.Context(), owner, test.new)
		if !fault.Is(err, fault.Invalid) || code(err) != test.code {
			t.Errorf("%s: error %v with code %q, want %q", test.name, err, code(err), test.code)
		}
	}
	must[dashboard.View](t)(s.CreateView(t.Context(), owner, dashboard.NewView{ViewKey: "abc", Name: strings.Repeat("🚗", 30), Kind: "custom"}))
}

func TestRenameDuplicateRemove(t *testing.T) {
	s, _ := setup(t)
	ctx := t.Context()
	a := view(t, s, "first")
	renamed := must[dashboard.View](t)(s.RenameView(ctx, owner, a.ID, "  New   name "))
	if renamed.Name != "New name" || renamed.Revision != 2 || renamed.ID != a.ID {
		t.Errorf("renamed: %+v", renamed)
	}
	title := "Mine"
	metric := "speed"
	w := widget("one")
	w.Title, w.Pinned, w.Column, w.Row = &title, true, 8, 200
	w.Config = dashboard.WidgetConfig{Metric: &metric, Series: []string{}}
	must[int](t)(s.ReplaceLayout(ctx, owner, a.ID, []dashboard.WidgetInput{w, widget("two")}, nil))

	copied := must[dashboard.View](t)(s.DuplicateView(ctx, owner, a.ID, "second", "Copy"))
	if copied.ID == a.ID || copied.Kind != "custom" || copied.Revision != 1 || copied.Position != 1 {
		t.Errorf("copy: %+v", copied)
	}
	got := must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, copied.ID))
	w.InstanceID = "one-copy"
	if len(got) != 2 || got[1].InstanceID != "two-copy" {
		t.Fatalf("copied widgets: %+v", got)
	}
	if diff := cmp.Diff(w, got[0].WidgetInput); diff != "" {
		t.Errorf("copied widget (-want +got):\n%s", diff)
	}
	same := must[dashboard.View](t)(s.DuplicateView(ctx, owner, a.ID, "second", "Other"))
	if diff := cmp.Diff(copied, same); diff != "" {
		t.Errorf("duplicating to an existing key must change nothing:\n%s", diff)
	}
	if n := len(must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, copied.ID))); n != 2 {
		t.Errorf("repeated duplicate left %d widgets", n)
	}
	if err := s.RemoveView(ctx, owner, a.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.RemoveView(ctx, owner, a.ID), "VIEW_NOT_FOUND")
	_, err := s.Widgets(ctx, owner, a.ID)
	wantCode(t, err, "VIEW_NOT_FOUND")
	if n := len(must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, copied.ID))); n != 2 {
		t.Errorf("removing the source left %d widgets in the copy", n)
	}
}

func TestForeignAndUnknownViewsAreNotFound(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	mine := view(t, s, "mine")
	for _, test := range []struct{ owner, id string }{{"grace", mine.ID}, {owner, "nothing"}, {owner, "a\x00b"}, {owner, ""}} {
		for name, call := range map[string]func() error{
			"widgets":   func() error { _, err := s.Widgets(ctx, test.owner, test.id); return err },
			"rename":    func() error { _, err := s.RenameView(ctx, test.owner, test.id, "x"); return err },
			"duplicate": func() error { _, err := s.DuplicateView(ctx, test.owner, test.id, "abc", "x"); return err },
			"remove":    func() error { return s.RemoveView(ctx, test.owner, test.id) },
			"reorder":   func() error { return s.ReorderViews(ctx, test.owner, []string{test.id}) },
			"replace":   func() error { _, err := s.ReplaceLayout(ctx, test.owner, test.id, nil, nil); return err },
			"upsert":    func() error { _, _, err := s.UpsertWidget(ctx, test.owner, test.id, widget("abc"), nil); return err },
			"delete":    func() error { _, err := s.RemoveWidget(ctx, test.owner, test.id, "abc", nil); return err },
			"import":    func() error { _, _, err := s.ImportDraft(ctx, test.owner, test.id, 1, nil); return err },
		} {
			if err := call(); code(err) != "VIEW_NOT_FOUND" {
				t.Errorf("%s of %q as %s: error %v", name, test.id, test.owner, err)
			}
		}
	}
	if v := version(t, pool); v != 1 {
		t.Errorf("refused calls announced changes: version %d, want 1", v)
	}
}

func TestReorderAndReset(t *testing.T) {
	s, _ := setup(t)
	ctx := t.Context()
	a, b, c := view(t, s, "a-1"), view(t, s, "b-1"), view(t, s, "c-1")
	order := func() string {
		var keys []string
		for _, v := range must[[]dashboard.View](t)(s.Views(ctx, owner)) {
			keys = append(keys, v.ViewKey)
		}
		return strings.Join(keys, " ")
	}
	if err := s.ReorderViews(ctx, owner, []string{c.ID, a.ID, b.ID}); err != nil || order() != "c-1 a-1 b-1" {
		t.Errorf("order %s, error %v", order(), err)
	}
	wantCode(t, s.ReorderViews(ctx, owner, []string{a.ID, a.ID}), "INVALID_ORDER")
	wantCode(t, s.ReorderViews(ctx, owner, strings.Fields(strings.Repeat("x ", 13))), "INVALID_ORDER")
	wantCode(t, s.ReorderViews(ctx, owner, []string{a.ID, "gone"}), "VIEW_NOT_FOUND")
	if order() != "c-1 a-1 b-1" {
		t.Errorf("a refused order was applied: %s", order())
	}
	if err := s.ReorderViews(ctx, owner, []string{b.ID}); err != nil {
		t.Errorf("a part of the views must do: %v", err)
	}
	if err := s.ReorderViews(ctx, owner, nil); err != nil {
		t.Errorf("empty order: %v", err)
	}
	system := "power"
	override := must[dashboard.View](t)(s.CreateView(ctx, owner, dashboard.NewView{ViewKey: "sys", Name: "x", Kind: "system-override", SystemViewID: &system}))
	for range 2 { // the second finds nothing, which is fine
		if err := s.ResetSystemOverride(ctx, owner, system); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Widgets(ctx, owner, override.ID)
	wantCode(t, err, "VIEW_NOT_FOUND")
	if n := len(must[[]dashboard.View](t)(s.Views(ctx, owner))); n != 3 {
		t.Errorf("%d views are left, want 3", n)
	}
}

func TestSetDefault(t *testing.T) {
	s, _ := setup(t)
	if err := s.SetDefaultView(t.Context(), owner, "no-such-view"); err != nil {
		t.Fatal(err)
	}
	p := must[*dashboard.Preferences](t)(s.Preferences(t.Context(), owner))
	if p.DefaultViewKey == nil || *p.DefaultViewKey != "no-such-view" || p.Theme != "circuit" {
		t.Errorf("preferences: %+v", p)
	}
	wantCode(t, s.SetDefaultView(t.Context(), owner, "No"), "INVALID_VIEW_KEY")
}

func TestRevisions(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	v := view(t, s, "view")
	at := func(r float64) *float64 { return &r }
	if r, err := s.ReplaceLayout(ctx, owner, v.ID, []dashboard.WidgetInput{widget("one")}, at(1)); err != nil || r != 2 {
		t.Fatalf("revision %d, error %v", r, err)
	}
	_, err := s.ReplaceLayout(ctx, owner, v.ID, nil, at(1))
	wantCode(t, err, "VIEW_CONFLICT")
	_, _, err = s.UpsertWidget(ctx, owner, v.ID, widget("two"), at(1.5))
	wantCode(t, err, "VIEW_CONFLICT")
	_, err = s.RemoveWidget(ctx, owner, v.ID, "one", at(3))
	wantCode(t, err, "VIEW_CONFLICT")
	if n := len(must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, v.ID))); n != 1 {
		t.Fatalf("conflicts changed the view: %d widgets", n)
	}
	title := "Kept"
	one := widget("one")
	one.Title = &title
	saved, r, err := s.UpsertWidget(ctx, owner, v.ID, one, at(2))
	if err != nil || r != 3 || saved.Title == nil {
		t.Fatalf("saved %+v at %d, error %v", saved, r, err)
	}
	one.Title, one.Pinned = nil, true
	changed, r, err := s.UpsertWidget(ctx, owner, v.ID, one, nil)
	if err != nil || r != 4 || changed.ID != saved.ID || !changed.Pinned || changed.Title == nil || *changed.Title != title {
		t.Errorf("changed %+v at %d, error %v", changed, r, err)
	}
	before := version(t, pool)
	if r, err := s.RemoveWidget(ctx, owner, v.ID, "none", nil); err != nil || r != 4 {
		t.Errorf("removing nothing: revision %d, error %v", r, err)
	}
	if version(t, pool) != before {
		t.Error("removing nothing was announced")
	}
	if r, err := s.RemoveWidget(ctx, owner, v.ID, "one", at(4)); err != nil || r != 5 {
		t.Errorf("removing: revision %d, error %v", r, err)
	}
	if got := must[[]dashboard.View](t)(s.Views(ctx, owner))[0].Revision; got != 5 {
		t.Errorf("the view is at revision %d, want 5", got)
	}
}

func TestWidgetLimits(t *testing.T) {
	s, _ := setup(t)
	ctx := t.Context()
	v := view(t, s, "view")
	var many []dashboard.WidgetInput
	for i := range dashboard.MaxWidgets {
		many = append(many, widget(fmt.Sprintf("widget-%02d", i)))
	}
	must[int](t)(s.ReplaceLayout(ctx, owner, v.ID, many, nil))
	stored := must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, v.ID))
	for i, w := range stored {
		if w.InstanceID != many[i].InstanceID {
			t.Fatalf("widget %d is %s: the order of insertion was lost", i, w.InstanceID)
		}
	}
	_, _, err := s.UpsertWidget(ctx, owner, v.ID, widget("another"), nil)
	wantCode(t, err, "WIDGET_LIMIT")
	if _, _, err := s.UpsertWidget(ctx, owner, v.ID, many[3], nil); err != nil {
		t.Errorf("changing one of a full view: %v", err)
	}
	_, err = s.ReplaceLayout(ctx, owner, v.ID, append(many, widget("another")), nil)
	wantCode(t, err, "WIDGET_LIMIT")
}

func TestInvalidWidgets(t *testing.T) {
	s, _ := setup(t)
	v := view(t, s, "view")
	text := func(n int) *string { s := strings.Repeat("x", n); return &s }
	for _, test := range []struct {
		name  string
		alter func(*dashboard.WidgetInput)
		code  string
		field string
	}{
		{"short id", func(w *dashboard.WidgetInput) { w.InstanceID = "ab" }, "INVALID_WIDGET_ID", ""},
		{"repeated id", func(w *dashboard.WidgetInput) { w.InstanceID = "fine" }, "INVALID_WIDGET_ID", ""},
		{"column 12", func(w *dashboard.WidgetInput) { w.Column = 12 }, "INVALID_LAYOUT", ""},
		{"half a column", func(w *dashboard.WidgetInput) { w.Column = 0.5 }, "INVALID_LAYOUT", ""},
		{"NaN row", func(w *dashboard.WidgetInput) { w.Row = math.NaN() }, "INVALID_LAYOUT", ""},
		{"row 201", func(w *dashboard.WidgetInput) { w.Row = 201 }, "INVALID_LAYOUT", ""},
		{"no width", func(w *dashboard.WidgetInput) { w.Width = 0 }, "INVALID_LAYOUT", ""},
		{"height 13", func(w *dashboard.WidgetInput) { w.Height = 13 }, "INVALID_LAYOUT", ""},
		{"over the right edge", func(w *dashboard.WidgetInput) { w.Column, w.Width = 9, 4 }, "INVALID_LAYOUT", ""},
		{"title 81", func(w *dashboard.WidgetInput) { w.Title = text(81) }, "INVALID_WIDGET_CONFIG", ""},
		{"5 series", func(w *dashboard.WidgetInput) {
			w.Config.Series = []string{"speed", "speed", "speed", "speed", "speed"}
		}, "INVALID_WIDGET_CONFIG", ""},
		{"type", func(w *dashboard.WidgetInput) { w.WidgetType = "x" }, "", "widgetType"},
		{"metric", func(w *dashboard.WidgetInput) { w.Config.Metric = text(1) }, "", "config.metric"},
		{"comparison", func(w *dashboard.WidgetInput) { w.Config.ComparisonMetric = text(1) }, "", "config.comparisonMetric"},
		{"window", func(w *dashboard.WidgetInput) { w.Config.TimeWindow = text(1) }, "", "config.timeWindow"},
		{"style", func(w *dashboard.WidgetInput) { w.Config.ChartStyle = text(1) }, "", "config.chartStyle"},
		{"series", func(w *dashboard.WidgetInput) { w.Config.Series = []string{"x"} }, "", "config.series"},
	} {
		bad := widget("odd")
		test.alter(&bad)
		_, err := s.ReplaceLayout(t.Context(), owner, v.ID, []dashboard.WidgetInput{widget("fine"), bad}, nil)
		e := fault.As(err)
		if e == nil || e.Kind != fault.Invalid || e.Code != test.code {
			t.Errorf("%s: error %v, want code %q", test.name, err, test.code)
			continue
		}
		if p := e.Problems[0]; p.Index == nil || *p.Index != 1 || p.Field != test.field {
			t.Errorf("%s: problem %+v names neither the second widget nor its field %q", test.name, p, test.field)
		}
	}
	edge := widget("edge")
	edge.Column, edge.Row, edge.Width, edge.Height, edge.Title = 11, 200, 1, 12, text(80)
	edge.Config.Series = []string{"speed", "power", "voltage", "current"}
	if _, err := s.ReplaceLayout(t.Context(), owner, v.ID, []dashboard.WidgetInput{edge}, nil); err != nil {
		t.Errorf("a widget on the edge of every limit: %v", err)
	}
}

func TestImportDraft(t *testing.T) {
	s, _ := setup(t)
	ctx := t.Context()
	full, empty := view(t, s, "full"), view(t, s, "empty")
	must[int](t)(s.ReplaceLayout(ctx, owner, full.ID, []dashboard.WidgetInput{widget("one")}, nil))
	draft := []dashboard.WidgetInput{widget("old-1"), widget("old-2")}
	_, _, err := s.ImportDraft(ctx, owner, full.ID, 2, draft)
	wantCode(t, err, "IMPORT_TARGET_NOT_EMPTY")
	imported, revision, err := s.ImportDraft(ctx, owner, empty.ID, 2, draft)
	if !imported || revision != 2 || err != nil {
		t.Fatalf("imported %v at %d, error %v", imported, revision, err)
	}
	if p := must[*dashboard.Preferences](t)(s.Preferences(ctx, owner)); p.LegacyImportVersion != 2 {
		t.Errorf("stored version %v", p.LegacyImportVersion)
	}
	imported, revision, err = s.ImportDraft(ctx, owner, full.ID, 2, draft)
	if imported || revision != 2 || err != nil {
		t.Errorf("again: imported %v at %d, error %v", imported, revision, err)
	}
	if n := len(must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, empty.ID))); n != 2 {
		t.Errorf("%d widgets", n)
	}
}

func TestAcknowledgements(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	run := "run-1"
	set := func(key string, on bool, session *string) {
		t.Helper()
		if err := s.SetAcknowledged(ctx, owner, key, on, session); err != nil {
			t.Fatal(err)
		}
	}
	set("b:voltage|low", true, &run)
	set("B:upper", true, nil)
	set("a:speed", true, nil)
	set("b:voltage|low", true, nil)
	set("gone", false, nil)
	list := must[[]dashboard.Acknowledgement](t)(s.Acknowledgements(ctx, owner))
	var keys []string
	for _, a := range list {
		keys = append(keys, a.EventKey)
		if a.SessionID != nil {
			t.Errorf("%s keeps session %s of an earlier call", a.EventKey, *a.SessionID)
		}
	}
	if got := strings.Join(keys, " "); got != "B:upper a:speed b:voltage|low" {
		t.Errorf("keys in order %s", got)
	}
	before := version(t, pool)
	set("never-set", false, nil)
	if version(t, pool) != before {
		t.Error("removing nothing was announced")
	}
	set("a:speed", false, nil)
	for _, key := range []string{"ab", "with space", "x\ny", strings.Repeat("x", 161)} {
		wantCode(t, s.SetAcknowledged(ctx, owner, key, true, nil), "INVALID_EVENT_KEY")
	}
	if n := must[int](t)(s.ClearAcknowledged(ctx, "grace")); n != 0 {
		t.Errorf("cleared %d of another account", n)
	}
	for i := range 101 {
		set(fmt.Sprintf("event-%03d", i), true, nil)
	}
	if n := len(must[[]dashboard.Acknowledgement](t)(s.Acknowledgements(ctx, owner))); n != 100 {
		t.Errorf("listed %d, want 100", n)
	}
	if n := must[int](t)(s.ClearAcknowledged(ctx, owner)); n != 100 {
		t.Errorf("cleared %d, want 100", n)
	}
	if n := must[int](t)(s.ClearAcknowledged(ctx, owner)); n != 3 {
		t.Errorf("cleared %d more, want 3", n)
	}
}

func TestDashboardsGoWithTheirAccount(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	v := view(t, s, "view")
	must[int](t)(s.ReplaceLayout(ctx, owner, v.ID, []dashboard.WidgetInput{widget("one")}, nil))
	if err := s.SetDefaultView(ctx, owner, "view"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAcknowledged(ctx, owner, "event", true, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, "DELETE FROM users WHERE id = $1", owner); err != nil {
		t.Fatal(err)
	}
	_, err := s.CreateView(ctx, owner, dashboard.NewView{ViewKey: "late", Name: "x", Kind: dashboard.KindCustom})
	wantCode(t, err, "UNAUTHENTICATED")
	for _, table := range []string{"preferences", "views", "widgets", "acknowledgements"} {
		var n int
		if err := pool.QueryRow(ctx, "SELECT count(*) FROM dashboard_"+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows are left, error %v", table, n, err)
		}
	}
}

func TestCancelledContextIsAnError(t *testing.T) {
	s, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Views(ctx, owner); err == nil {
		t.Error("a cancelled read succeeded")
	}
	if err := s.SetDefaultView(ctx, owner, "abc"); err == nil {
		t.Error("a cancelled write succeeded")
	}
}

func TestImportAddsWhatIsMissing(t *testing.T) {
	s, pool := setup(t)
	ctx := t.Context()
	at := time.Date(2025, 5, 1, 12, 0, 0, 5e6, time.UTC)
	in := dashboard.Imported{
		Preferences: &dashboard.ImportedPreferences{ID: "p1", CreatedAt: at, UpdatedAt: at},
		Views: []dashboard.ImportedView{{
			ID: "v1", NewView: dashboard.NewView{ViewKey: "mine", Name: " Mine ", Kind: "custom"}, Revision: 4, CreatedAt: at, UpdatedAt: at,
			Widgets: []dashboard.ImportedWidget{{ID: "w1", WidgetInput: widget("one"), CreatedAt: at, UpdatedAt: at}},
		}},
		Acknowledgements: []dashboard.ImportedAcknowledgement{{ID: "a1", EventKey: "event", CreatedAt: at, AcknowledgedAt: at}},
	}
	want := dashboard.ImportCounts{Preferences: 1, Views: 1, Widgets: 1, Acknowledgements: 1}
	if got := must[dashboard.ImportCounts](t)(s.Import(ctx, owner, in)); got != want {
		t.Errorf("first import: %+v", got)
	}
	views := must[[]dashboard.View](t)(s.Views(ctx, owner))
	if v := views[0]; v.ID != "v1" || v.Name != "Mine" || v.Revision != 4 || v.CreatedAt != float64(at.UnixMilli()) {
		t.Errorf("view: %+v", v)
	}
	must[int](t)(s.RemoveWidget(ctx, owner, "v1", "one", nil))
	before := version(t, pool)
	if got := must[dashboard.ImportCounts](t)(s.Import(ctx, owner, in)); got != (dashboard.ImportCounts{}) {
		t.Errorf("second import: %+v", got)
	}
	if n := len(must[[]dashboard.Widget](t)(s.Widgets(ctx, owner, "v1"))); n != 0 {
		t.Error("an import brought a removed widget back")
	}
	if version(t, pool) != before {
		t.Error("an import of nothing new was announced")
	}
	// Another account's view of the same key is its own.
	in.Views[0].ID, in.Views[0].Widgets[0].ID, in.Preferences.ID, in.Acknowledgements[0].ID = "v2", "w2", "p2", "a2"
	if got := must[dashboard.ImportCounts](t)(s.Import(ctx, "grace", in)); got != want {
		t.Errorf("another account's: %+v", got)
	}
}

func TestImportBeyondTheRulesAddsNothing(t *testing.T) {
	s, pool := setup(t)
	view := func(i int) dashboard.ImportedView {
		return dashboard.ImportedView{ID: fmt.Sprint("v", i), NewView: dashboard.NewView{ViewKey: fmt.Sprint("view-", i), Name: "x", Kind: "custom"}, Revision: 1}
	}
	tooMany := dashboard.Imported{}
	for i := range dashboard.MaxViews + 1 {
		tooMany.Views = append(tooMany.Views, view(i))
	}
	badWidget := view(0)
	badWidget.Widgets = []dashboard.ImportedWidget{{ID: "w", WidgetInput: widget("x")}}
	badKey, badName, x := view(0), view(0), "x"
	badKey.ViewKey, badName.Name = "X", ""
	for code, in := range map[string]dashboard.Imported{
		"VIEW_LIMIT":        tooMany,
		"INVALID_WIDGET_ID": {Views: []dashboard.ImportedView{view(1), badWidget}},
		"INVALID_VIEW_KEY":  {Views: []dashboard.ImportedView{view(1), badKey}},
		"INVALID_VIEW_NAME": {Views: []dashboard.ImportedView{view(1), badName}},
		"INVALID_EVENT_KEY": {Views: []dashboard.ImportedView{view(1)}, Acknowledgements: []dashboard.ImportedAcknowledgement{{ID: "a", EventKey: x}}},
		"": {Views: []dashboard.ImportedView{view(1)},
			Preferences: &dashboard.ImportedPreferences{PreferencesChange: dashboard.PreferencesChange{Theme: &x}}},
	} {
		if _, err := s.Import(t.Context(), owner, in); err == nil {
			t.Errorf("%s: imported", code)
		} else {
			wantCode(t, err, code)
		}
	}
	var n int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM dashboard_views").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d views were left behind, error %v", n, err)
	}
}

func TestLayouts(t *testing.T) {
	s, _ := setup(t)
	ctx := t.Context()
	one := func(channels ...string) []dashboard.Chart {
		return []dashboard.Chart{{Channels: channels, Size: "tall"}}
	}
	for name, charts := range map[string][]dashboard.Chart{
		"":                       one("speed_ms"),
		strings.Repeat("x", 61):  one("speed_ms"),
		"none":                   {},
		"an empty chart":         one(),
		"no name of a channel":   one(""),
		"a channel without end":  one(strings.Repeat("x", 201)),
		"what cannot be stored":  one("a\x00b"),
		"twice":                  append(one("speed_ms"), one("speed_ms")...),
		"another size":           {{Channels: []string{"speed_ms"}, Size: "huge"}},
		"more than can be drawn": one(strings.Split(strings.Repeat("x ", 101), " ")...),
	} {
		if _, err := s.SaveLayout(ctx, owner, name, charts); !fault.Is(err, fault.Invalid) {
			t.Errorf("saved %q: %v", name, err)
		}
	}
	for i := range 32 {
		must[dashboard.Layout](t)(s.SaveLayout(ctx, owner, fmt.Sprintf("Layout %02d", i), one("speed_ms")))
	}
	_, err := s.SaveLayout(ctx, owner, "One more", one("speed_ms"))
	wantCode(t, err, "LAYOUT_LIMIT")
	must[dashboard.Layout](t)(s.SaveLayout(ctx, "grace", "Layout 00", one("power_w")))
	must[dashboard.Layout](t)(s.SaveLayout(ctx, owner, " Layout  07", one("power_w", "speed_ms"))) // in the place of the one that has the name
	list := must[[]dashboard.Layout](t)(s.Layouts(ctx, owner))
	if len(list) != 32 || list[7].Name != "Layout 07" || !cmp.Equal(list[7].Charts, one("power_w", "speed_ms")) || !cmp.Equal(list[0].Charts, one("speed_ms")) {
		t.Errorf("layouts: %+v", list)
	}
	if err := s.RemoveLayout(ctx, owner, "Layout 07"); err != nil {
		t.Error(err)
	}
	if err := s.RemoveLayout(ctx, owner, "Layout 07"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if list := must[[]dashboard.Layout](t)(s.Layouts(ctx, "grace")); len(list) != 1 || list[0].Charts[0].Channels[0] != "power_w" {
		t.Errorf("layouts of another: %+v", list)
	}
}
