package live

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// Every example of the documentation is a message of the protocol, member for
// member, and every type of message has one.
func TestDocumentedMessages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/live.md")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```json (client|server)\n(.*?)\n```").FindAllSubmatch(text, -1) {
		from, example := string(m[1]), m[2]
		var kind, again any
		if from == "client" {
			r, err := protocol.Parse(example)
			if err != nil {
				t.Errorf("%s: %v", example, err)
				continue
			}
			kind, again = r.Type, decode[protocol.ClientMessage](t, example)
		} else {
			m := decode[protocol.ServerMessage](t, example)
			kind, again = m.Type, m
			if m.Cursor != "" {
				if len(protocol.SplitCursors(m.Cursor)) != 1 {
					t.Errorf("%s: not a cursor", example)
				}
			}
		}
		encoded, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if json.Unmarshal(example, &want) != nil || json.Unmarshal(encoded, &got) != nil {
			t.Fatalf("not an object: %s", example)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s means something else (-documented +read):\n%s", example, diff)
		}
		types[from] = append(types[from], kind.(string))
	}
	for from, want := range map[string][]string{
		"client": {protocol.TypeAuth, protocol.TypePing, protocol.TypeSubscribe, protocol.TypeUnsubscribe},
		"server": {"authenticated", "begun", "changed", "closing", "deleted", "dropped", "error", "hello", "pong", "records", "resync",
			"revoked", "snapshot", "status", "subscribed", "unsubscribed"},
	} {
		slices.Sort(types[from])
		if diff := cmp.Diff(want, slices.Compact(types[from])); diff != "" {
			t.Errorf("types of %s messages with an example (-want +got):\n%s", from, diff)
		}
	}
	// Types that the code sends stand in this list too.
	for _, name := range []string{"messages.go", "session_feed.go", "subscription.go", "access.go", "events.go", "stream.go", "conn.go"} {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`protocol\.ServerMessage\{[^}]*?Type: "(\w+)"`).FindAllSubmatch(code, -1) {
			if !slices.Contains(types["server"], string(m[1])) {
				t.Errorf("%s sends %s, which is not documented", name, m[1])
			}
		}
	}
	for _, name := range []string{reasonRecreated, reasonRewound, reasonTooFar, protocol.CodeInvalid, protocol.CodeLimit, protocol.CodeUnavailable, protocol.CodeNotWatched, protocol.Subprotocol} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}

func decode[T any](t *testing.T, text []byte) (m T) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return m
}
