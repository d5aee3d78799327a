package functions_test

import (
	"testing"
)

func TestDashboardFunctionsNeedASession(t *testing.T) {
	h := newServer(t)
	for name, kind := range map[string]string{
		"dashboardPreferences:getMine": "query", "dashboardViews:listMine": "query", "dashboardAlerts:listAcknowledgements": "query",
		"dashboardPreferences:updateMine": "mutation", "dashboardAlerts:clearAcknowledged": "mutation",
	} {
		h.refused(kind, name, args{}, "UNAUTHENTICATED")
		h.refused(kind, name, args{"token": "0123456789012345678901234567890123456789012"}, "UNAUTHENTICATED")
		// A key is nobody's account.
		if o := h.call(kind, name, args{}, deployKey); o.OK || o.Code != "UNAUTHENTICATED" {
			t.Errorf("%s with the deploy key: %+v", name, o)
		}
	}
}

func TestDashboardFunctions(t *testing.T) {
	h := newServer(t)
	token, other := h.account("ada", "external"), h.account("grace", "guest")
	changing := []string{"_id", "_creationTime", "createdAt", "updatedAt"}
	query := func(name string, a args) any {
		t.Helper()
		if a == nil {
			a = args{}
		}
		a["token"] = token
		return h.query(name, a)
	}
	mutate := func(name string, a args) any {
		t.Helper()
		a["token"] = token
		return h.mutate(name, a, "")
	}
	refused := func(name, code string, a args) {
		t.Helper()
		a["token"] = token
		h.refused("mutation", name, a, code)
	}

	same(t, "no preferences", nil, query("dashboardPreferences:getMine", nil))
	preferences := map[string]any{"ownerId": "ada", "theme": "technical-light", "systemViewVersion": 3.0, "legacyImportVersion": 0.0}
	same(t, "preferences", preferences, h.without(mutate("dashboardPreferences:updateMine", args{"theme": "technical-light", "systemViewVersion": 3.9}), changing...))
	same(t, "preferences read", preferences, h.without(query("dashboardPreferences:getMine", nil), changing...))
	refused("dashboardPreferences:updateMine", "ArgumentValidationError", args{"theme": "pink"})
	refused("dashboardPreferences:updateMine", "INVALID_VIEW_KEY", args{"lastViewKey": "X"})

	same(t, "no views", []any{}, query("dashboardViews:listMine", nil))
	created := mutate("dashboardViews:create", args{"viewKey": "mine", "name": " My  view ", "kind": "custom"}).(map[string]any)
	viewID := created["_id"]
	view := map[string]any{"ownerId": "ada", "viewKey": "mine", "name": "My view", "kind": "custom", "position": 0.0, "revision": 1.0}
	same(t, "view", view, h.without(created, changing...))
	same(t, "views", []any{view}, h.without(query("dashboardViews:listMine", nil), changing...))
	refused("dashboardViews:create", "ArgumentValidationError", args{"viewKey": "mine", "name": "x", "kind": "shared"})
	refused("dashboardViews:create", "INVALID_VIEW_NAME", args{"viewKey": "fresh", "name": " ", "kind": "custom"})
	h.refused("query", "dashboardWidgets:listMine", args{"viewId": viewID, "token": other}, "VIEW_NOT_FOUND")
	h.refused("mutation", "dashboardViews:rename", args{"viewId": viewID, "name": "x", "token": other}, "VIEW_NOT_FOUND")

	widget := args{"instanceId": "one", "widgetType": "speed-trend", "column": 0, "row": 1, "width": 6, "height": 4, "pinned": true,
		"config": args{"metric": "speed", "series": []string{}}}
	same(t, "layout", map[string]any{"success": true, "revision": 2.0},
		mutate("dashboardWidgets:replaceViewLayout", args{"viewId": viewID, "widgets": []args{widget}, "expectedRevision": 1}))
	stored := map[string]any{"ownerId": "ada", "viewId": viewID, "instanceId": "one", "widgetType": "speed-trend",
		"column": 0.0, "row": 1.0, "width": 6.0, "height": 4.0, "pinned": true, "config": map[string]any{"metric": "speed", "series": []any{}}}
	same(t, "widgets", []any{stored}, h.without(query("dashboardWidgets:listMine", args{"viewId": viewID}), changing...))
	refused("dashboardWidgets:replaceViewLayout", "VIEW_CONFLICT", args{"viewId": viewID, "widgets": []args{}, "expectedRevision": 1})
	refused("dashboardWidgets:importLocalDraft", "IMPORT_TARGET_NOT_EMPTY", args{"viewId": viewID, "importVersion": 1, "widgets": []args{widget}})
	widget["title"] = "Speed"
	stored["title"] = "Speed"
	upserted := mutate("dashboardWidgets:upsert", args{"viewId": viewID, "widget": widget}).(map[string]any)
	same(t, "upsert", map[string]any{"revision": 3.0, "widget": stored}, h.without(upserted, changing...))
	widget["colour"] = "red"
	refused("dashboardWidgets:upsert", "ArgumentValidationError", args{"viewId": viewID, "widget": widget})
	delete(widget, "colour")
	widget["width"] = 13
	refused("dashboardWidgets:upsert", "INVALID_LAYOUT", args{"viewId": viewID, "widget": widget})
	widget["config"] = args{"metric": "colour"}
	refused("dashboardWidgets:upsert", "ArgumentValidationError", args{"viewId": viewID, "widget": widget})

	second := mutate("dashboardViews:duplicate", args{"sourceViewId": viewID, "viewKey": "second", "name": "Second"}).(map[string]any)
	copies := query("dashboardWidgets:listMine", args{"viewId": second["_id"]}).([]any)
	same(t, "copy", "one-copy", copies[0].(map[string]any)["instanceId"])
	success := map[string]any{"success": true}
	same(t, "reorder", success, mutate("dashboardViews:reorder", args{"viewIds": []any{second["_id"], viewID}}))
	refused("dashboardViews:reorder", "INVALID_ORDER", args{"viewIds": []any{viewID, viewID}})
	same(t, "first view", "second", query("dashboardViews:listMine", nil).([]any)[0].(map[string]any)["viewKey"])
	same(t, "default", success, mutate("dashboardViews:setDefault", args{"viewKey": "second"}))
	same(t, "reset", success, mutate("dashboardViews:resetSystemOverride", args{"systemViewId": "core"}))
	same(t, "rename", "Renamed", mutate("dashboardViews:rename", args{"viewId": viewID, "name": "Renamed"}).(map[string]any)["name"])
	same(t, "remove widget", map[string]any{"success": true, "revision": 5.0}, mutate("dashboardWidgets:remove", args{"viewId": viewID, "instanceId": "one"}))
	widget = args{"instanceId": "two", "widgetType": "custom-chart", "column": 0, "row": 1, "width": 6, "height": 4, "pinned": false, "config": args{}}
	same(t, "import", map[string]any{"imported": true, "revision": 6.0},
		mutate("dashboardWidgets:importLocalDraft", args{"viewId": viewID, "importVersion": 1, "widgets": []args{widget}}))
	same(t, "import again", map[string]any{"imported": false, "revision": 6.0},
		mutate("dashboardWidgets:importLocalDraft", args{"viewId": viewID, "importVersion": 1, "widgets": []args{widget}}))
	same(t, "remove view", success, mutate("dashboardViews:remove", args{"viewId": viewID}))
	refused("dashboardViews:remove", "VIEW_NOT_FOUND", args{"viewId": viewID})

	same(t, "acknowledge", success, mutate("dashboardAlerts:setAcknowledged", args{"eventKey": "volt:low|1", "acknowledged": true, "sessionId": "run"}))
	refused("dashboardAlerts:setAcknowledged", "INVALID_EVENT_KEY", args{"eventKey": "a b", "acknowledged": true})
	same(t, "acknowledgements", []any{map[string]any{"ownerId": "ada", "eventKey": "volt:low|1", "sessionId": "run"}},
		h.without(query("dashboardAlerts:listAcknowledgements", nil), "_id", "_creationTime", "acknowledgedAt"))
	same(t, "clear", map[string]any{"removed": 1.0}, mutate("dashboardAlerts:clearAcknowledged", args{}))
}
