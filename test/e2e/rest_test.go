package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (h *server) get(path string) answer {
	h.t.Helper()
	return h.send(request{method: http.MethodGet, path: path})
}

// lines reads NDJSON.
func lines(t testing.TB, text []byte) (records []rec) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var r rec
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func numbers(records []rec) (list []int) {
	for _, r := range records {
		list = append(list, int(r["message_id"].(float64)))
	}
	return list
}

func TestReadingOverREST(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	const session, n = "a/b ä?#", 5000 // an id is any text
	path := "/api/v1/sessions/" + url.PathEscape(session)
	var sent []rec
	for i := range n {
		r := recordAt(session, i/7) // seven records of each time
		r["message_id"] = i
		r["odd"] = []any{"é", 1.5}
		sent = append(sent, r)
	}
	for batch := range slices.Chunk(sent, 999) {
		if a := h.send(upload(asJSON, marshal(batch), nil)); a.status != http.StatusOK {
			t.Fatal(a)
		}
	}
	var want []rec
	if err := json.Unmarshal(marshal(sent), &want); err != nil {
		t.Fatal(err)
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}

	// The whole session in every form.
	a := h.get(path + "/records?format=ndjson")
	if diff := cmp.Diff(want, lines(t, a.body)); a.status != http.StatusOK || diff != "" {
		t.Errorf("NDJSON: %d (-sent +read)\n%.2000s", a.status, diff)
	}
	var page struct {
		Records []rec
		Next    *string `json:"next_cursor"`
	}
	a = h.get(path + "/records")
	if err := json.Unmarshal(a.body, &page); err != nil || page.Next != nil || !cmp.Equal(want, page.Records) {
		t.Errorf("JSON: %d records, next %v, %v", len(page.Records), page.Next, err)
	}
	a = h.send(request{method: http.MethodGet, path: path + "/records?download=1", header: map[string]string{"Accept": asCSV}})
	if rows := cells(t, string(a.body)); len(rows) != n+1 || rows[1][0] != session || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") ||
		!strings.Contains(a.header.Get("Content-Disposition"), `filename="a_b`) {
		t.Errorf("CSV: %d rows, %v", len(rows), a.header)
	}
	// What was read can be uploaded.
	if b := h.send(upload(asCSV, a.body, nil)); !bytes.Contains(b.body, []byte(`"rejected":0`)) || b.status != http.StatusOK {
		t.Errorf("its CSV uploaded again: %v", b)
	}

	// Pages in every form, whose edges fall between records of one time.
	for _, format := range []string{"json", "ndjson", "csv"} {
		var got []int
		next := path + "/records?fields=message_id&limit=1111&format=" + format
		for next != "" && len(got) <= 2*n {
			a := h.get(next)
			switch format {
			case "csv":
				for _, row := range cells(t, string(a.body))[1:] {
					var id int
					if _, err := fmt.Sscan(row[2], &id); err != nil {
						t.Fatal(err)
					}
					got = append(got, id)
				}
			case "ndjson":
				got = append(got, numbers(lines(t, a.body))...)
			default:
				page.Next = nil
				if err := json.Unmarshal(a.body, &page); err != nil {
					t.Fatal(err)
				}
				got = append(got, numbers(page.Records)...)
				if (page.Next == nil) != (a.header.Get("Link") == "") || page.Next != nil && *page.Next != a.header.Get("X-Next-Cursor") {
					t.Errorf("next_cursor and headers differ: %v", a.header)
				}
			}
			next, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		}
		// Its own copy by CSV doubled the session; each page's order is by time, then arrival.
		if len(got) != 2*n {
			t.Errorf("%s: pages of %d records, want %d", format, len(got), 2*n)
		}
		seen := map[int]int{}
		for _, id := range got {
			seen[id]++
		}
		for id := range n {
			if seen[id] != 2 {
				t.Fatalf("%s: record %d is there %d times", format, id, seen[id])
			}
		}
	}

	from, to := want[700]["timestamp"].(string), want[1400]["timestamp"].(string)
	for name, window := range map[string]string{
		"escaped": url.Values{"from": {from}, "to": {to}}.Encode(), "with a plus sign as it is": "from=" + from + "&to=" + to,
		"in milliseconds": fmt.Sprintf("from=%d&to=%d", start.UnixMilli()+100*200, start.UnixMilli()+200*200),
	} {
		got := lines(t, h.get(path+"/records?format=ndjson&fields=message_id&"+window).body)
		if len(got) != 1400 || len(got[0]) != 3 || got[0]["timestamp"] != from || got[1399]["timestamp"] != want[1399]["timestamp"] {
			t.Errorf("a window %s: %d records from %v", name, len(got), got[0])
		}
	}

	var latest rec
	if err := json.Unmarshal(h.get(path+"/latest").body, &latest); err != nil || latest["message_id"] != float64(n-1) {
		t.Errorf("latest %v, %v", latest, err)
	}
	var view rec
	a = h.get(path)
	if err := json.Unmarshal(a.body, &view); err != nil || view["record_count"] != 2.0*n || view["session_id"] != session ||
		view["start_time"] != want[0]["timestamp"] || view["end_time"] != want[n-1]["timestamp"] || view["live"] != false || view["session_name"] != "M 233" {
		t.Errorf("the session: %v", a)
	}

	for query, says := range map[string]string{
		"/records?limit=0": "limit", "/records?limit=x": "limit", "/records?from=soon": "from", "/records?from=" + to + "&to=" + from: "later than from",
		"/records?fields=speed_ms,nonsense": "nonsense", "/records?format=xml": "format", "/records?cursor=AAAA": "cursor", "/latest?fields=nonsense": "nonsense",
	} {
		if a := h.get(path + query); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), says) {
			t.Errorf("%s: %v", query, a)
		}
	}
	for _, id := range []string{"none", "%00", "%FF", "a%00b", strings.Repeat("x", 10_000)} {
		for _, rest := range []string{"", "/records", "/latest"} {
			if a := h.get("/api/v1/sessions/" + id + rest); a.status != http.StatusNotFound {
				t.Errorf("session %.20s%s: %v", id, rest, a)
			}
		}
		if a := h.send(request{method: http.MethodDelete, path: "/api/v1/sessions/" + id}); a.status != http.StatusNotFound {
			t.Errorf("deleting session %.20s: %v", id, a)
		}
	}
	// Made-up cursors are refused or lead nowhere; they never break the server.
	for _, cursor := range []string{"f_________________w", "gAAAAAAAAAAAAAAAAAAAAA", "f________________________w", "_____________________w"} {
		if a := h.get(path + "/records?limit=1&cursor=" + cursor); a.status != http.StatusOK && a.status != http.StatusBadRequest {
			t.Errorf("cursor %s: %v", cursor, a)
		}
	}

	// Guests see neither this session nor the list.
	guest := map[string]string{"Authorization": ""}
	for _, path := range []string{path, path + "/records", path + "/latest", "/api/v1/sessions"} {
		if a := h.send(request{method: http.MethodGet, path: path, header: guest}); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && !bytes.Contains(a.body, []byte(`"sessions":[]`)) {
			t.Errorf("a guest at %s: %v", path, a)
		}
	}
	if a := h.send(request{method: http.MethodDelete, path: path, header: guest}); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
		t.Errorf("a guest deletes: %v", a)
	}
	if a := h.send(request{method: http.MethodDelete, path: path}); a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"deleted":10000`)) {
		t.Errorf("deleting: %v", a)
	}
	if a := h.get(path); a.status != http.StatusNotFound {
		t.Errorf("after deleting: %v", a)
	}
}

func TestListingOverREST(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	var records []rec
	for i := range 25 {
		records = append(records, recordAt(fmt.Sprintf("s%02d", i), i/2*10))
	}
	h.send(upload(asJSON, marshal(records), nil))
	var got []string
	next := "/api/v1/sessions?limit=4"
	for next != "" && len(got) < 50 {
		a := h.get(next)
		var page struct {
			Sessions []struct {
				ID string `json:"session_id"`
			}
		}
		if err := json.Unmarshal(a.body, &page); err != nil || len(page.Sessions) == 0 {
			t.Fatalf("%v", a)
		}
		for _, s := range page.Sessions {
			got = append(got, s.ID)
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
	}
	want := slices.Clone(got)
	slices.SortFunc(want, func(x, y string) int { return strings.Compare(y, x) })
	if len(got) != 25 || !cmp.Equal(want, got) {
		t.Errorf("%v", got)
	}
	for _, cursor := range []string{"AAAA", "OTk5OTk5OTk5OTk5OTk5OTk5OSBh", "MSAA", "MSD_"} { // the second is far in the future, then NUL, then no text
		if a := h.get("/api/v1/sessions?cursor=" + cursor); a.status != http.StatusBadRequest {
			t.Errorf("cursor %s: %v", cursor, a)
		}
	}
}

// An answer to an upload names what was stored where.
func TestUploadAnswers(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	records := []rec{recordAt("a", 1), recordAt("b", 1), recordAt("a", 2)}
	for upload, want := range []string{
		`{"inserted":3,"already_stored":0,"rejected":0,"set_aside":0,"sessions":[{"session_id":"a","inserted":2,"already_stored":0,"batch":1,"set_aside":0},{"session_id":"b","inserted":1,"already_stored":0,"batch":1,"set_aside":0}]}`,
		`{"inserted":0,"already_stored":3,"rejected":0,"set_aside":0,"sessions":[{"session_id":"a","inserted":0,"already_stored":2,"batch":1,"set_aside":0},{"session_id":"b","inserted":0,"already_stored":1,"batch":1,"set_aside":0}]}`,
	} {
		if a := h.send(request{path: telemetryPath, body: marshal(records)}); string(a.body) != want {
			t.Errorf("upload %d: %v", upload, a)
		}
	}
	keyed := map[string]string{"Idempotency-Key": "one"}
	first := h.send(upload(asJSON, marshal([]rec{recordAt("k", 1)}), keyed))
	again := h.send(upload(asJSON, marshal([]rec{recordAt("k", 1)}), keyed))
	other := h.send(upload(asJSON, marshal([]rec{recordAt("k", 2)}), keyed))
	if first.status != http.StatusOK || !bytes.Contains(again.body, []byte(`"already_stored":1`)) || other.status != http.StatusConflict {
		t.Errorf("with a key: %v, %v, %v", first, again, other)
	}
	a := h.send(request{path: telemetryPath + "?session_id=mine&session_name=Mine", header: map[string]string{"Content-Type": asCSV}, body: []byte("timestamp,speed_ms\n2026-03-21T21:41:10Z,1\n")})
	if !bytes.Contains(a.body, []byte(`"session_id":"mine","inserted":1`)) {
		t.Errorf("a session given beside the file: %v", a)
	}
	checkConsistent(t, h.pool)
}
