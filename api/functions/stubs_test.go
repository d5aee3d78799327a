package functions_test

import "testing"

// What clients know and this server does not do is refused in words for people.
func TestFunctionsThatAreNotServed(t *testing.T) {
	h := newServer(t)
	for name, kind := range map[string]string{
		"inventory:list": "query", "inventory:upsertItem": "mutation", "sessionAnalysis:reprocess": "mutation",
		"sessionChat:createThread": "mutation", "sessionChat:sendMessage": "action",
	} {
		h.refused(kind, name, args{"anything": 1}, "NOT_SERVED")
	}
	same(t, "the stub beside them", []any{}, h.query("sessionChat:listThreads", args{"sessionId": "s"}))
}
