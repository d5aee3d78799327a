package browser_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// broken lists the words of the page that stand on two lines, and ends the title with them.
const broken = `<style>html{width:390px}</style><script>
const out = [];
for (const cell of document.querySelectorAll("td, th, dd, li span")) {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode());) for (const m of n.data.matchAll(/\S+/g)) {
    const r = document.createRange();
    r.setStart(n, m.index);
    r.setEnd(n, m.index + m[0].length);
    if (r.getClientRects().length > 1) out.push(m[0]);
  }
}
document.title = "broken: " + out.join(" ") + ".";
</script>`

// The brief of a race of eleven laps, with what people know of it and a dozen notes, is one sheet
// of paper, and on a phone no word or number of it is broken.
func TestBriefOnPaperAndPhone(t *testing.T) {
	t.Parallel()
	chromium := findChromium(t)
	d := daemontest.Start(t, daemon.Config{DeployKey: deployKey, MaxUpload: 1 << 30, MaxIngests: 4})
	var records bytes.Buffer
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	car := simulate.New(simulate.Options{Seed: 20, Number: 2, SessionID: "race", SessionName: "The race", Start: start, Rate: 5, Noise: 0.15, Laps: 6, Gap: 40 * time.Second})
	if err := car.WriteNDJSON(&records, 10_800); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Store.Writer.IngestStream(t.Context(), decode.New(&records, decode.Options{}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, d.URL()+"/api/v1/sessions/race"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+deployKey)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
		}
		return text
	}
	call("PATCH", "", `{"book":{"driver":"Ann","car":"M 233","tyres":"Michelin 95/80","weather":"dry, 14 °C","setup":"tyres 5.5 bar, camber 0","tags":["race"],"plan_energy_wh":90,"plan_laps":11,"plan_time_s":2340}}`)
	for i := range 6 {
		call("POST", "/notes", `{"text":"the rear left tyre lost air here","from":"`+start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339)+`"}`)
	}
	page := call("GET", "/brief", "")
	for _, want := range []string{"11 laps; ", ">Sector 5<", "What driving took"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("an ordinary run has %q", want)
		}
	}
	run := func(page []byte, args ...string) []byte {
		t.Helper()
		file := filepath.Join(t.TempDir(), "brief.html")
		if err := os.WriteFile(file, page, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir=" + t.TempDir()}, append(args, "file://"+file)...)
		out, err := exec.CommandContext(t.Context(), chromium, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	pdf := filepath.Join(t.TempDir(), "brief.pdf")
	run(page, "--no-pdf-header-footer", "--print-to-pdf="+pdf)
	sheet, err := os.ReadFile(pdf)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`/Type ?/Page\b`).FindAll(sheet, -1)); n != 1 {
		t.Errorf("%d sheets", n)
	}
	dom := run(append(page, broken...), "--window-size=390,844", "--dump-dom")
	if title := regexp.MustCompile(`<title>.*?</title>`).Find(dom); string(title) != "<title>broken: .</title>" {
		t.Errorf("on a phone: %s", title)
	}
}
