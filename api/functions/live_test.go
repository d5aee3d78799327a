package functions_test

import (
	"fmt"
	"testing"
)

func TestLiveStateFunctions(t *testing.T) {
	h := newServer(t)
	same(t, "before any report", nil, h.query("sessions:getLiveSessionState", nil))
	report := args{"status": "active", "session_id": "run", "started_at": "2026-03-21T10:00:00+00:00", "record_count": 12.7}
	h.refused("mutation", "sessions:reportLiveSessionState", report, "UNAUTHENTICATED")
	want := map[string]any{"status": "active", "session_id": "run", "started_at": "2026-03-21T10:00:00+00:00", "record_count": 12.0}
	same(t, "report", want, h.without(h.mutate("sessions:reportLiveSessionState", report, deployKey), "updated_at"))
	same(t, "state", want, h.without(h.query("sessions:getLiveSessionState", args{}), "updated_at"))
	report["status"], report["ended_at"], report["reason"], report["session_name"] = "ended", "2026-03-21T11:00:00+00:00", "user_interrupt", "Morning"
	want["status"], want["ended_at"], want["reason"], want["session_name"] = "ended", "2026-03-21T11:00:00+00:00", "user_interrupt", "Morning"
	same(t, "end", want, h.without(h.mutate("sessions:reportLiveSessionState", report, deployKey), "updated_at"))

	h.refused("query", "sessions:getLiveSessionState", args{"token": "x"}, "extra field")
	for name, value := range map[string]any{"status": "paused", "reason": "tired", "record_count": "1", "started_at": 1, "updated_at": "x"} {
		bad := args{}
		for k, v := range report {
			bad[k] = v
		}
		bad[name] = value
		h.refused("mutation", "sessions:reportLiveSessionState", bad, "ArgumentValidationError")
	}
	if o := h.call("mutation", "sessions:reportLiveSessionState", report, "wrong"); o.OK || o.Status != 401 && o.Status != 403 {
		t.Errorf("a wrong key: %+v", o)
	}
}

func TestKickstartIsSafeForAnybody(t *testing.T) {
	h := newServer(t)
	o := h.call("run/sessions/kickstartSessions", "", nil, "")
	same(t, "answer", map[string]any{"skipped": true}, o.Value)
}

func TestNotificationFunctions(t *testing.T) {
	h := newServer(t)
	full := args{"session_id": "run", "severity": "critical", "title": "T", "message": "M", "category": "speed", "ttl": 8000, "created_at": "2026-03-21T10:00:02+00:00"}
	bare := args{"session_id": "run", "severity": "info", "title": "B", "message": "", "created_at": "2026-03-21T10:00:01+00:00"}
	h.refused("mutation", "driverNotifications:insertNotificationBatch", args{"notifications": []args{full}}, "UNAUTHENTICATED")
	same(t, "batch", map[string]any{"inserted": 2.0},
		h.mutate("driverNotifications:insertNotificationBatch", args{"notifications": []args{full, bare}}, deployKey))
	same(t, "empty batch", map[string]any{"inserted": 0.0},
		h.mutate("driverNotifications:insertNotificationBatch", args{"notifications": []args{}}, deployKey))
	wantFull := map[string]any{"session_id": "run", "severity": "critical", "title": "T", "message": "M", "category": "speed", "ttl": 8000.0, "created_at": "2026-03-21T10:00:02+00:00"}
	wantBare := map[string]any{"session_id": "run", "severity": "info", "title": "B", "message": "", "created_at": "2026-03-21T10:00:01+00:00"}
	get := func(a args) any {
		t.Helper()
		a["sessionId"] = "run"
		return h.without(h.query("driverNotifications:getSessionNotifications", a), "_id", "_creationTime")
	}
	same(t, "newest first", []any{wantBare, wantFull}, get(args{}))
	same(t, "limit", []any{wantBare}, get(args{"limit": 1}))
	same(t, "since", []any{wantFull}, get(args{"sinceTimestamp": "2026-03-21T10:00:01+00:00"}))
	// One that was sent before is not stored again.
	one := h.mutate("driverNotifications:insertNotification", bare, deployKey).(map[string]any)
	list := h.query("driverNotifications:getSessionNotifications", args{"sessionId": "run", "limit": 1}).([]any)
	same(t, "id", one["id"], list[0].(map[string]any)["_id"])
	for i := range 51 {
		bare["title"] = fmt.Sprint(i)
		h.mutate("driverNotifications:insertNotification", bare, deployKey)
	}
	same(t, "clean-up", map[string]any{"deleted": 3.0}, h.mutate("driverNotifications:cleanupSessionNotifications", args{"sessionId": "run"}, deployKey))
	bare["colour"] = "red"
	if o := h.call("mutation", "driverNotifications:insertNotificationBatch", args{"notifications": []args{bare}}, deployKey); o.OK {
		t.Error("an unknown member was accepted")
	}
}

func TestPublicConfigAndStubs(t *testing.T) {
	h := newServer(t)
	same(t, "config", map[string]any{"ABLY_CHANNEL_NAME": "the-channel", "ABLY_AUTH_URL": "/api/ably/token", "CONVEX_URL": ""},
		h.query("config:getPublicConfig", nil))
	run := args{"sessionId": "run"}
	same(t, "analysis", map[string]any{"available": false, "status": "missing", "version": "", "model": "", "input": nil, "result": nil, "error": nil, "updatedAt": nil},
		h.query("sessionAnalysis:get", run))
	same(t, "ensure", map[string]any{"status": "error", "scheduled": false}, h.mutate("sessionAnalysis:ensure", run, ""))
	same(t, "threads", []any{}, h.query("sessionChat:listThreads", run))
}
