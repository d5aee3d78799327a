package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/daemon"
)

const (
	telemetryPath = "/api/v1/telemetry"
	when          = `"timestamp":"2026-03-21T21:41:10+00:00"`
	good          = `{"session_id":"good",` + when + `,"speed_ms":1}`
)

func gz(text string) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.Bytes()
}

// gzMany is gzip of a text and then of another, times over: each its own member
// of the file, so that a bomb takes no time to make.
func gzMany(first, unit string, times int, last string) []byte {
	return slices.Concat(gz(first), bytes.Repeat(gz(unit), times), gz(last))
}

func zst(text string) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll([]byte(text), nil)
}

// upload is a POST of a body to the REST endpoint.
func upload(kind string, body []byte, header map[string]string) request {
	all := map[string]string{"Content-Type": kind}
	for name, value := range header {
		all[name] = value
	}
	return request{path: telemetryPath, body: body, header: all}
}

const (
	asJSON   = "application/json"
	asNDJSON = "application/x-ndjson"
	asCSV    = "text/csv"
)

// One bad record between good ones is refused with its place and field, in
// every form and at both endpoints, and nothing of its batch is stored.
func TestBadRecordsAreRefused(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	h.send(insertion([]rec{recordAt("before", 1)}))
	before := h.rows()
	for _, test := range []struct {
		name, record  string
		field, reason string
		csv           string // the same as a line of session_id,timestamp,speed_ms,message_id,session_name
	}{
		{name: "text for a number", record: `{"session_id":"s",` + when + `,"speed_ms":"fast"}`, field: "speed_ms", reason: "is text, not a number", csv: "s,2026-03-21T21:41:10Z,fast,,"},
		{name: "boolean for a number", record: `{"session_id":"s",` + when + `,"speed_ms":true}`, field: "speed_ms", reason: "is a boolean"},
		{name: "object for a number", record: `{"session_id":"s",` + when + `,"speed_ms":{"a":1}}`, field: "speed_ms", reason: "is an object"},
		{name: "array for text", record: `{"session_id":"s",` + when + `,"session_name":["a"]}`, field: "session_name", reason: "is an array, not text"},
		{name: "number for text", record: `{"session_id":"s",` + when + `,"driver_mode":1}`, field: "driver_mode", reason: "is a number, not text"},
		{name: "number for the session", record: `{"session_id":1,` + when + `}`, field: "session_id", reason: "is a number, not text"},
		{name: "fraction for an integer", record: `{"session_id":"s",` + when + `,"message_id":1.5}`, field: "message_id", reason: "is not a whole number", csv: "s,2026-03-21T21:41:10Z,,1.5,"},
		{name: "integer beyond exactness", record: `{"session_id":"s",` + when + `,"message_id":9007199254740993}`, field: "message_id", reason: "is not a whole number"},
		{name: "NaN", record: `{"session_id":"s",` + when + `,"speed_ms":NaN}`, field: "speed_ms", reason: "is not a finite number"}, // in a table it is a missing value
		{name: "Infinity", record: `{"session_id":"s",` + when + `,"speed_ms":Infinity}`, field: "speed_ms", reason: "is not a finite number", csv: "s,2026-03-21T21:41:10Z,Infinity,,"},
		{name: "-Infinity", record: `{"session_id":"s",` + when + `,"speed_ms":-Infinity}`, field: "speed_ms", reason: "is not a finite number", csv: "s,2026-03-21T21:41:10Z,-Infinity,,"},
		{name: "1e999", record: `{"session_id":"s",` + when + `,"speed_ms":1e999}`, field: "speed_ms", reason: "is not a finite number", csv: "s,2026-03-21T21:41:10Z,1e999,,"},
		{name: "NaN as Convex writes it", record: `{"session_id":"s",` + when + `,"speed_ms":{"$float":"AAAAAAAA+H8="}}`, field: "speed_ms", reason: "is not a finite number"},
		{name: "no session_id", record: `{` + when + `}`, field: "session_id", reason: "is missing", csv: ",2026-03-21T21:41:10Z,,,"},
		{name: "null session_id", record: `{"session_id":null,` + when + `}`, field: "session_id", reason: "is missing"},
		{name: "no timestamp", record: `{"session_id":"s"}`, field: "timestamp", reason: "is missing", csv: "s,,,,"},
		{name: "null timestamp", record: `{"session_id":"s","timestamp":null}`, field: "timestamp", reason: "is missing"},
		{name: "timestamp as a number", record: `{"session_id":"s","timestamp":1774129270000}`, field: "timestamp", reason: "is a number, not text"},
		{name: "NUL in text", record: `{"session_id":"s",` + when + `,"session_name":"a\u0000b"}`, field: "session_name", reason: "NUL", csv: "s,2026-03-21T21:41:10Z,,,a\x00b"},
		{name: "NUL in an unknown field", record: `{"session_id":"s",` + when + `,"odd":{"deep":["\u0000"]}}`, field: "odd", reason: "NUL"},
		{name: "broken UTF-8", record: `{"session_id":"s",` + when + `,"session_name":"` + "a\xff" + `"}`, field: "session_name", reason: "not valid UTF-8", csv: "s,2026-03-21T21:41:10Z,,,a\xff"},
		{name: "lone surrogate", record: `{"session_id":"s",` + when + `,"session_name":"\ud800"}`, field: "session_name", reason: "not valid UTF-8"},
		{name: "session id of 10 KB", record: `{"session_id":"` + strings.Repeat("x", 10<<10) + `",` + when + `}`, field: "session_id", reason: "10240 bytes long", csv: strings.Repeat("x", 10<<10) + ",2026-03-21T21:41:10Z,,,"},
		{name: "not an object", record: `7`, reason: "is a number, not an object"},
		{name: "null for a record", record: `null`, reason: "is null, not an object"},
	} {
		forms := map[string]request{
			"JSON":     upload(asJSON, []byte("["+good+","+test.record+","+good+"]"), nil),
			"NDJSON":   upload(asNDJSON, []byte(good+"\n"+test.record+"\n"+good+"\n"), nil),
			"function": call("mutation", "telemetry:insertTelemetryBatch", []byte(`{"records":[`+good+`,`+test.record+`,`+good+`]}`), nil),
		}
		if test.csv != "" {
			const line = "good,2026-03-21T21:41:10Z,1,,\n"
			forms["CSV"] = upload(asCSV, []byte("session_id,timestamp,speed_ms,message_id,session_name\n"+line+test.csv+"\n"+line), nil)
		}
		for form, r := range forms {
			what := form + ", " + test.name
			a := h.send(r)
			if form == "function" {
				var reply struct{ Status, ErrorMessage string }
				if err := json.Unmarshal(a.body, &reply); err != nil || a.status != 560 || reply.Status != "error" {
					t.Errorf("%s: %v", what, a)
				}
				if !strings.Contains(reply.ErrorMessage, "record 1") || !strings.Contains(reply.ErrorMessage, test.field) || !strings.Contains(reply.ErrorMessage, test.reason) {
					t.Errorf("%s: %v does not name record 1, %s: %s", what, a, test.field, test.reason)
				}
				continue
			}
			p := a.problem(t)
			if a.status != http.StatusBadRequest || len(p.Problems) != 1 || p.Problems[0].Index == nil || *p.Problems[0].Index != 1 ||
				p.Problems[0].Field != test.field || form != "CSV" && !strings.Contains(p.Problems[0].Reason, test.reason) {
				t.Errorf("%s: %v; want 400 for record 1, %s: %s", what, a, test.field, test.reason)
			}
		}
		if got := h.rows(); got != before {
			t.Fatalf("%s left %s, had %s", test.name, got, before)
		}
	}
	h.healthy("bad records")

	// The good ones of the same batch are stored when the caller says so.
	a := h.send(request{path: telemetryPath + "?on_error=skip", header: map[string]string{"Content-Type": asNDJSON},
		body: []byte(good + "\n{\"session_id\":7}\nnonsense\n" + `{"session_id":"good",` + when + `,"speed_ms":"x"}` + "\n" + good + "\n")})
	var stored struct {
		Inserted, Rejected int
		Problems           []struct{ Index int }
	}
	if err := json.Unmarshal(a.body, &stored); err != nil || a.status != http.StatusOK || stored.Inserted != 2 || stored.Rejected != 3 || len(stored.Problems) != 3 || stored.Problems[2].Index != 3 {
		t.Errorf("on_error=skip: %v", a)
	}
	checkConsistent(t, h.pool)
}

// What real clients send without harm is taken.
func TestLenientRecordsAreTaken(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	for i, test := range []struct {
		members string
		field   string
		want    any // nil: absent
	}{
		{`"message_id":1.0`, "message_id", 1.0},
		{`"message_id":1e3`, "message_id", 1000.0},
		{`"optimal_speed_data_points":{"$integer":"BwAAAAAAAAA="}`, "optimal_speed_data_points", 7.0},
		{`"speed_ms":5`, "speed_ms", 5.0},
		{`"speed_ms":null`, "speed_ms", nil},
		{`"session_name":null`, "session_name", nil},
		{`"outliers":null`, "outliers", nil},
		{`"altitude":12.5`, "altitude_m", 12.5},
		{`"new_sensor":12.5`, "new_sensor", 12.5},
		{`"new_sensor":{"a":[1,"x",null]}`, "new_sensor", rec{"a": []any{1.0, "x", nil}}},
	} {
		for form, session := range map[string]string{"rest": fmt.Sprint("r", i), "function": fmt.Sprint("f", i)} {
			record := `{"session_id":"` + session + `",` + when + `,` + test.members + `}`
			r := upload(asJSON, []byte(record), nil)
			if form == "function" {
				r = call("mutation", "telemetry:insertTelemetryBatch", []byte(`{"records":[`+record+`]}`), nil)
			}
			if a := h.send(r); a.status != http.StatusOK {
				t.Errorf("%s %s: %v", form, test.members, a)
				continue
			}
			a := h.send(request{method: http.MethodGet, path: "/api/v1/sessions/" + session + "/latest"})
			var got rec
			if err := json.Unmarshal(a.body, &got); err != nil || fmt.Sprint(got[test.field]) != fmt.Sprint(test.want) {
				t.Errorf("%s %s is given back as %v", form, test.members, a)
			}
		}
	}
}

// A record with more members than are kept of one is stored without the last of
// them, which are set aside: who sent it is told, and sends it again in vain.
func TestMembersBeyondTheBoundAreSetAside(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	var members, header, line strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&members, `,"f%d":%d`, i, i)
		fmt.Fprintf(&header, ",f%d", i)
		fmt.Fprintf(&line, ",%d", i)
	}
	const table = "session_id,timestamp,speed_ms"
	for form, send := range map[string]func(record string) request{
		"ndjson": func(record string) request { return upload(asNDJSON, []byte(good+"\n"+record+"\n"), nil) },
		"csv": func(string) request {
			return upload(asCSV, []byte(table+header.String()+"\ngood,2026-03-21T21:41:10Z,1"+strings.Repeat(",", 10_000)+"\ncsv,2026-03-21T21:41:10Z,7"+line.String()+"\n"), nil)
		},
		"function": func(record string) request {
			return call("mutation", "telemetry:insertTelemetryBatch", []byte(`{"records":[`+good+`,`+record+`]}`), nil)
		},
	} {
		r := send(`{"session_id":"` + form + `",` + when + `,"speed_ms":7` + members.String() + `}`)
		for again := range 2 {
			a := h.send(r)
			var answer struct {
				Inserted, AlreadyStored int
				Odd                     []struct {
					Index  int
					Field  string
					Reason string
				}
			}
			if err := json.Unmarshal(a.body, &answer); err != nil || a.status != http.StatusOK {
				t.Fatalf("%s: %v", form, a)
			}
			if form != "function" && again == 0 && (len(answer.Odd) != 1 || answer.Odd[0].Index != 1 || answer.Odd[0].Field != "f1024" || answer.Odd[0].Reason != "and 8975 more are too many unknown fields; at most 1024 are kept") {
				t.Errorf("%s: %v", form, a)
			}
			var records, kept, aside int
			if err := h.pool.QueryRow(t.Context(), `
				SELECT count(*), sum((SELECT count(*) FROM jsonb_object_keys(record_members(t.numbers, t.extra)))),
				       (SELECT sum((SELECT count(*) FROM jsonb_object_keys(m.members))) FROM analytics.members_aside m WHERE m.session_id = $1 AND NOT m.members ? 'f1023' AND m.members ? 'f9999')
				FROM telemetry t JOIN sessions s USING (session)
				WHERE s.id = $1 AND speed_ms = 7`, form).Scan(&records, &kept, &aside); err != nil || records != 1 || kept != 1024 || aside != 10_000-1024 {
				t.Errorf("%s: %d records, %d members kept and %d aside, %v", form, records, kept, aside, err)
			}
		}
		a := h.send(request{method: http.MethodGet, path: "/api/v1/sessions/" + form + "/notes?kind=set_aside"})
		if !strings.Contains(string(a.body), "Members of 1 record set aside") {
			t.Errorf("%s: notes: %v", form, a)
		}
	}
	checkConsistent(t, h.pool)
}

// Bodies that cannot be read are refused; the daemon neither stores a part of
// them nor loses its health.
func TestBadBodiesAreRefused(t *testing.T) {
	t.Parallel()
	h := newServer(t, func(c *daemon.Config) { c.MaxUpload = 4 << 20 })
	h.send(insertion([]rec{recordAt("before", 1)}))
	before := h.rows()
	const insert = `{"path":"telemetry:insertTelemetryBatch","format":"json","args":{"records":`
	manyGood := strings.Repeat(good+"\n", 20_000)
	const mega = 1 << 20
	brackets, spaces := strings.Repeat("[", mega), strings.Repeat(" ", mega)
	overLimit := "[" + strings.Repeat(good+",", 20_000) + good + "]"
	huge := strings.Repeat(good+"\n", 6<<20/len(good))
	function := func(body []byte, encoding string) request {
		return request{path: "/api/mutation", body: body, header: map[string]string{"Content-Type": asJSON, "Content-Encoding": encoding}}
	}
	zipped := map[string]string{"Content-Encoding": "gzip"}
	for _, test := range []struct {
		name   string
		r      request
		status int
		says   string
	}{
		{"truncated gzip", upload(asNDJSON, gz(manyGood)[:2000], zipped), 400, "ends too early"},
		{"gzip without its trailer", upload(asJSON, gz("[" + good + "]")[:len(gz("["+good+"]"))-4], zipped), 400, "ends too early"},
		{"gzip with a wrong checksum", upload(asJSON, flip(gz("["+good+"]"), 8), zipped), 400, "checksum"},
		{"gzip that is none", upload(asNDJSON, []byte(good), zipped), 400, "gzip"},
		{"truncated zstd", upload(asNDJSON, zst(manyGood)[:200], map[string]string{"Content-Encoding": "zstd"}), 400, "too early"},
		{"zstd that is none", upload(asNDJSON, []byte(good), map[string]string{"Content-Encoding": "zstd"}), 400, "magic"},
		{"unknown encoding", upload(asNDJSON, []byte(good), map[string]string{"Content-Encoding": "br"}), 415, "gzip or zstd"},
		{"unknown type", upload("application/xml", []byte(good), nil), 415, "application/json"},
		{"unreadable type", upload("a/b/c;;", []byte(good), nil), 415, "Content-Type"},
		{"zip bomb of records", upload(asNDJSON, gz(huge), zipped), 413, "4194304 bytes"},
		{"zip bomb of nothing", upload(asNDJSON, gzMany("", spaces, 100, ""), zipped), 413, "4194304 bytes"},
		{"zip bomb of zstd", upload(asNDJSON, zst(huge), map[string]string{"Content-Encoding": "zstd"}), 413, "4194304 bytes"},
		{"100 MB of nesting", upload(asJSON, gzMany(`{"session_id":"s",`+when+`,"deep":`, brackets, 100, ""), zipped), 400, "nested deeper than 32 levels"},
		{"100 MB of nested arrays", upload(asJSON, gzMany("", brackets, 100, ""), zipped), 400, "nested deeper"},
		{"one endless text", upload(asJSON, gz(`{"session_id":"`+strings.Repeat("x", 20<<20)), zipped), 400, "longer than 1048576 bytes"},
		{"one endless cell", upload(asCSV, gz("session_id,timestamp\n\""+strings.Repeat("x", 20<<20)), zipped), 400, "longer than 1048576 bytes"},
		{"an array that does not end", upload(asJSON, []byte("["+good), nil), 400, "too early"},
		{"text behind the array", upload(asJSON, []byte("["+good+"] 7"), nil), 400, "after the array"},
		{"broken JSON in a later chunk", upload(asNDJSON, []byte(manyGood+"{"), nil), 400, "too early"},
		{"no header line", upload(asCSV, []byte("a,b\n1,2\n"), nil), 400, "timestamp"},
		{"20,000 columns", upload(asCSV, []byte("session_id,timestamp"+strings.Repeat(",c", 20_000)+"\n"), nil), 400, "20002 columns"},
		{"header line only", upload(asCSV, []byte("session_id,timestamp\n"), nil), 400, "no record"},
		{"empty CSV", upload(asCSV, nil, nil), 400, "no record"},
		{"an odd on_error", request{path: telemetryPath + "?on_error=ignore", body: []byte(good)}, 400, "on_error"},
		{"a long key", upload(asJSON, []byte(good), map[string]string{"Idempotency-Key": strings.Repeat("k", 300)}), 400, "Idempotency-Key"},
		{"a key that is not text", upload(asJSON, []byte(good), map[string]string{"Idempotency-Key": "k\xff"}), 400, "Idempotency-Key"},

		{"function, truncated gzip", function(gz(insert + overLimit)[:100], "gzip"), 400, "could not be read"},
		{"function, gzip that is none", function([]byte(insert+"[]}}"), "gzip"), 400, "gzip"},
		{"function, unknown encoding", function([]byte(insert+"[]}}"), "br"), 415, "encoding"},
		{"function, zip bomb", function(gzMany(insert, spaces, 100, "[]}}"), "gzip"), 413, "larger than"},
		{"function, zip bomb of zstd", function(slices.Concat(zst(insert), bytes.Repeat(zst(spaces), 100), zst("[]}}")), "zstd"), 413, "larger than"},
		{"function, over the limit", function([]byte(insert+overLimit+"}}"), ""), 560, "20001 records; at most 20000"},
		{"function, 100 MB of nesting", function(gzMany(insert, brackets, 100, ""), "gzip"), 413, "larger than"},
		{"function, 50 MB of nesting", function(gzMany(insert, brackets, 50, ""), "gzip"), 400, "nested"},
		{"function, nesting inside of a record", function([]byte(insert+`[{"session_id":"s",`+when+`,"deep":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}]}}`), ""), 560, "nested deeper than 32 levels"},
		{"function, broken JSON", function([]byte(insert+"["+good), ""), 400, "too early"},
		{"function, no array", function([]byte(insert+`"many"}}`), ""), 560, "records"},
		{"function, no records", function([]byte(`{"path":"telemetry:insertTelemetryBatch","args":{}}`), ""), 560, "records"},
		{"function, extra argument", function([]byte(insert+`[],"and":1}}`), ""), 560, "extra field"},
		{"function, arguments that are no object", function([]byte(`{"path":"telemetry:insertTelemetryBatch","args":[1,2]}`), ""), 560, "args"},
		{"unknown function", call("mutation", "telemetry:insertEverything", []byte("{}"), nil), 560, "Could not find"},
		{"a query as a mutation", call("mutation", "telemetry:getLatestRecord", []byte(`{"sessionId":"s"}`), nil), 560, "Query"},
		{"a mutation as a query", call("query", "telemetry:insertTelemetryBatch", []byte(`{"records":[]}`), nil), 0, "Mutation"},
		{"a mutation as an action", call("action", "telemetry:insertTelemetryBatch", []byte(`{"records":[]}`), nil), 560, "Mutation"},
	} {
		a := h.send(test.r)
		if a.status != test.status && test.status != 0 || !strings.Contains(strings.ToLower(string(a.body)), strings.ToLower(test.says)) {
			t.Errorf("%s: %v; want %d, %s", test.name, a, test.status, test.says)
		}
		if a.status == http.StatusOK && !bytes.Contains(a.body, []byte(`"status":"error"`)) {
			t.Errorf("%s was taken: %v", test.name, a)
		}
		if strings.HasPrefix(test.r.path, telemetryPath) {
			a.problem(t)
		}
		if got := h.rows(); got != before {
			t.Fatalf("%s left %s, had %s", test.name, got, before)
		}
	}
	h.healthy("bad bodies")

	// No records is not wrong.
	for name, r := range map[string]request{
		"array": upload(asJSON, []byte("[]"), nil), "nothing": upload(asJSON, nil, nil), "blank lines": upload(asNDJSON, []byte("\n \n"), nil),
		"function": insertion([]rec{}),
	} {
		a := h.send(r)
		if a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"inserted":0`)) {
			t.Errorf("no records, %s: %v", name, a)
		}
	}
	if got := h.rows(); got != before {
		t.Errorf("no records left %s, had %s", got, before)
	}
	// Well-formed compressed bodies are.
	for i, r := range []request{
		upload(asNDJSON, gz(`{"session_id":"z0",`+when+`}`), zipped),
		upload(asNDJSON, zst(`{"session_id":"z1",`+when+`}`), map[string]string{"Content-Encoding": "zstd"}),
		upload(asCSV, gz("session_id,timestamp\nz2,2026-03-21T21:41:10Z\n"), zipped),
		function(gz(insert+`[{"session_id":"z3",`+when+`}]}}`), "gzip"),
		function(zst(insert+`[{"session_id":"z4",`+when+`}]}}`), "zstd"),
	} {
		if a := h.send(r); a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"inserted":1`)) {
			t.Errorf("compressed body %d: %v", i, a)
		}
	}
}

func flip(body []byte, fromEnd int) []byte {
	body[len(body)-fromEnd] ^= 0xff
	return body
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	admin := auth.Principal{Key: &auth.KeyIdentity{ID: "settings", Name: "settings", Scope: auth.ScopeAdmin}}
	made := func(valid time.Duration) (string, string) {
		t.Helper()
		secret, key, err := h.daemon.Auth.CreateKey(t.Context(), admin, auth.NewKey{Name: "car", Valid: valid})
		if err != nil {
			t.Fatal(err)
		}
		return secret, key.ID
	}
	valid, _ := made(0)
	revoked, id := made(0)
	if err := h.daemon.Auth.RevokeKey(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
	before := h.rows()
	for name, header := range map[string]string{
		"absent": "", "wrong": "Convex prod:team|wrong", "wrong, as a bearer": "Bearer prod:team|wrong", "revoked": "Convex " + revoked,
		"revoked, as a bearer": "Bearer " + revoked, "empty": "Convex ", "another scheme": "Basic " + deployKey, "a well-formed unknown token": "Bearer " + strings.Repeat("a", 43),
		"10 KB": "Convex " + strings.Repeat("k", 10<<10),
	} {
		for endpoint, r := range map[string]request{"rest": upload(asJSON, []byte(good), nil), "function": insertion([]rec{recordAt("s", 1)})} {
			r.header = map[string]string{"Authorization": header, "Content-Type": asJSON}
			a := h.send(r)
			refused := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
			// Who names no key at all is a guest: the call itself fails.
			if endpoint == "function" && a.status == 560 && bytes.Contains(a.body, []byte("UNAUTHENTICATED")) {
				refused = true
			}
			if !refused {
				t.Errorf("%s, key %s: %v", endpoint, name, a)
			}
			if bytes.Contains(a.body, []byte(revoked)) {
				t.Errorf("%s, key %s: the answer repeats the key", endpoint, name)
			}
			if got := h.rows(); got != before {
				t.Fatalf("%s, key %s left %s, had %s", endpoint, name, got, before)
			}
		}
	}
	h.healthy("bad keys")
	for name, header := range map[string]string{"made": "Convex " + valid, "made, as a bearer": "Bearer " + valid, "of the settings": "Convex " + deployKey, "of the settings, as a bearer": "Bearer " + deployKey} {
		if a := h.send(upload(asJSON, []byte(good), map[string]string{"Authorization": header})); a.status != http.StatusOK {
			t.Errorf("key %s: %v", name, a)
		}
	}
}

// Sessions mixed in a batch are stored each in its own.
func TestMixedSessions(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	var records []rec
	for i := range 300 {
		records = append(records, recordAt(fmt.Sprint("s", i%3), i))
	}
	for range 2 {
		value, err := h.send(insertion(records)).value()
		if err != nil || value.(rec)["inserted"] != 300.0 {
			t.Fatalf("%v, %v", value, err)
		}
	}
	a := h.send(upload(asJSON, marshal(records), nil))
	var result struct {
		Inserted      int
		AlreadyStored int `json:"already_stored"`
		Sessions      []struct {
			ID            string `json:"session_id"`
			AlreadyStored int    `json:"already_stored"`
		}
	}
	if err := json.Unmarshal(a.body, &result); err != nil || result.Inserted != 0 || result.AlreadyStored != 300 || len(result.Sessions) != 3 || result.Sessions[1].AlreadyStored != 100 {
		t.Errorf("%v", a)
	}
	checkConsistent(t, h.pool)
	if got := h.rows(); got != "300 records, 3 sessions, 3 batches, 300 counted" {
		t.Error(got)
	}
}
