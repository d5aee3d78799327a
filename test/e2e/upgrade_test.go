package e2e

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// TestUpgrade starts today's daemon on a database as the first version left it:
// testdata/upgrade holds the statements that its migrations ran on each edition,
// and what it stored of two uploads. Those come again after the upgrade, since a
// bridge may have lost their answers.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	replayFirstVersion(t, url)
	daemon := serve(t, "--database-url", url)
	ask := func(method, path, contentType string, body []byte, header ...string) string {
		t.Helper()
		headers := map[string]string{"Content-Type": contentType}
		if path != "/api/mutation" {
			headers["Authorization"] = "Bearer " + deployKey
		}
		for i := 0; i < len(header); i += 2 {
			headers[header[i]] = header[i+1]
		}
		answer, err := sendTo(t.Context(), http.DefaultClient, daemon.url, request{method, path, body, headers})
		if err != nil || answer.status != http.StatusOK {
			t.Fatalf("%s %s: %v, %v", method, path, answer, err)
		}
		return string(answer.body)
	}
	file := func(name string) []byte { return []byte(readFile(t, "test/e2e/testdata/"+name)) }

	for range 2 {
		if text := ask("POST", "/api/mutation", "application/json", file("upgrade/batch.json")); !strings.Contains(text, `"inserted":40`) {
			t.Errorf("the batch sent again: %s", text)
		}
		for _, header := range [][]string{{"Idempotency-Key", "first-upload"}, nil} {
			if text := ask("POST", "/api/v1/telemetry", "text/csv", file("session.csv"), header...); !strings.Contains(text, `"inserted":0,"already_stored":300`) {
				t.Errorf("the file sent again: %s", text)
			}
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var records, counted int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM telemetry), (SELECT sum(records) FROM sessions)`).Scan(&records, &counted); err != nil || records != 340 || counted != 340 {
		t.Errorf("%d records, %d counted, %v", records, counted, err)
	}

	const run = "/api/v1/sessions/5dde09d3-8a69-47e6-9e00-6c4c4d2da226"
	export := ask("GET", run+"/records?format=csv", "", nil)
	got, want := columnsOf(t, export), columnsOf(t, string(file("session.csv")))
	want["altitude_m"], want["altitude"] = want["altitude"], nil // the bridge's files call it so
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s comes back as %.200q, it was %.200q", name, got[name], values)
		}
	}
	if series := ask("GET", run+"/series?metrics=speed_ms&points=20", "", nil); strings.Count(series, ",") < 40 {
		t.Errorf("the charts of the old run: %s", series)
	}
	signIn := `{"email":"first@example.org","password":"correct horse battery staple"}`
	if text := ask("POST", "/api/v1/auth/signin", "application/json", []byte(signIn)); !strings.Contains(text, `"token"`) {
		t.Errorf("signing in: %s", text)
	}
}

func replayFirstVersion(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	packed, err := os.Open("testdata/upgrade/" + dbtest.Edition(t, dbtest.New(t)) + ".sql.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	// One by one: a continuous aggregate cannot be made beside other statements.
	for _, statement := range strings.Split(string(text), "\n-- ;;\n") {
		if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %.200s", err, statement)
		}
	}
}

// columnsOf reads a file's columns by name.
func columnsOf(t *testing.T, text string) map[string][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string][]string{}
	for i, name := range rows[0] {
		for _, row := range rows[1:] {
			columns[name] = append(columns[name], row[i])
		}
	}
	return columns
}
