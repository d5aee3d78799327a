package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// What a key brings that may not make channels is stored like anything else, and the
// run says why it became no channel: until somebody declares it, or it comes by
// another key, to the same run or to another one.
func TestKeyThatMakesNoChannels(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	keys := map[string]string{}
	for name, none := range map[string]bool{"usual": false, "silent": true} {
		got := s.call(t, "POST", "/api/v1/keys", admin, object{"name": name, "no_channels": none})
		if got.status != 201 || got.body["no_channels"] != none {
			t.Fatalf("make a key: %+v", got)
		}
		keys[name] = "Convex " + got.body["key"].(string)
		if none { // its successor is told the same
			got = s.call(t, "POST", "/api/v1/keys/"+got.body["id"].(string)+"/rotate", admin, object{})
			if got.status != 201 || got.body["no_channels"] != true {
				t.Fatalf("rotate the key: %+v", got)
			}
			keys[name] = "Bearer " + got.body["key"].(string)
		}
	}
	minute := 0
	send := func(key, run, members string) {
		t.Helper()
		minute++
		record := fmt.Sprintf(`{"session_id":%q,"timestamp":"2026-03-21T10:%02d:00Z","speed_ms":1,%s}`, run, minute, members)
		got := s.call(t, "POST", "/api/v1/telemetry", keys[key], "["+record+"]")
		if got.status != 200 || got.body["inserted"] != 1.0 {
			t.Fatalf("%s by %s: %+v", members, key, got)
		}
		if _, err := s.store.Rollups.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// said is what a run says of its members: "channel", or why one became none.
	said := func(run string) map[string]string {
		t.Helper()
		got := s.call(t, "GET", "/api/v1/sessions/"+run+"/channels", admin, nil)
		out := map[string]string{}
		for _, c := range got.body["channels"].([]any) {
			c := c.(object)
			if name := c["name"].(string); c["kind"] != "contract" {
				out[name] = "channel"
			}
		}
		for _, o := range got.body["others"].([]any) {
			out[o.(object)["member"].(string)] = o.(object)["reason"].(string)
		}
		return out
	}
	want := func(run, member, what string) {
		t.Helper()
		if got := said(run); !strings.Contains(got[member], what) || got[member] == "" {
			t.Errorf("%s of %s: %q, want %q (all: %v)", member, run, got[member], what, got)
		}
	}
	const silent = "by a key that makes no channels"

	if got := s.call(t, "PUT", "/api/v1/channels/declared_c", admin, `{"unit":"degC"}`); got.status != 200 {
		t.Fatal(got)
	}
	send("usual", "other", `"known_c":20`)
	send("silent", "run", `"junk":1,"noise":2,"text":"on","declared_c":3,"known_c":21,"speed ms":4`)
	for _, member := range []string{"junk", "noise", "text"} {
		want("run", member, silent)
	}
	want("run", "declared_c", "channel")
	want("run", "known_c", "channel")
	want("run", "speed ms", "which another channel has")
	records, _ := s.text(t, "/api/v1/sessions/run/records", admin)
	if !strings.Contains(records, `"junk": 1`) || !strings.Contains(records, `"text": "on"`) {
		t.Errorf("records are %s", records)
	}
	list, _ := s.text(t, "/api/v1/channels", admin)
	if strings.Contains(list, `"name":"junk"`) {
		t.Errorf("junk is a channel: %s", list)
	}

	// Two keys write one run, and what the other one brings makes channels.
	send("usual", "run", `"noise":3,"fresh":4`)
	want("run", "noise", "channel")
	want("run", "fresh", "channel")
	want("run", "junk", silent)
	send("silent", "run", `"noise":5,"fresh":6,"more":7`)
	want("run", "noise", "channel")
	want("run", "more", silent)
	if got := s.call(t, "GET", "/api/v1/sessions/run/series?metrics=noise", admin, nil); got.status != 200 || !strings.Contains(fmt.Sprint(got.body), "max:[2 3 5]") {
		t.Errorf("the chart has what all keys brought: %+v", got)
	}

	// Of one that comes in another run by another key this run has one, too.
	send("usual", "other", `"junk":9`)
	want("run", "junk", "channel")
	if got := s.call(t, "PUT", "/api/v1/channels/more", admin, `{"unit":"V"}`); got.status != 200 {
		t.Fatal(got)
	}
	want("run", "more", "channel")
	send("silent", "third", `"more":8`)
	want("third", "more", "channel")
}
