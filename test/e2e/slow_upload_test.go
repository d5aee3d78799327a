package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// A client that trickles a long upload keeps nobody from the session: the
// bridge posts to it meanwhile. A client that leaves is no error of ours.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, which another process cannot share")
	pool := dbtest.New(t)
	p := serve(t, "--database-url", dbtest.URL(t), "--log-level", "debug")
	const n = 12_001 // more than one chunk
	begin := func(ctx context.Context, session string) (feed *io.PipeWriter, answered chan answer) {
		body, feed := io.Pipe()
		answered = make(chan answer, 1)
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+telemetryPath, body)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Convex "+deployKey)
			r.Header.Set("Content-Type", asNDJSON)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				answered <- answer{}
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answered <- answer{response.StatusCode, response.Header, text}
		}()
		var most bytes.Buffer
		for i := range n - 1 {
			most.Write(marshal(recordAt(session, i)))
			most.WriteByte('\n')
		}
		if _, err := feed.Write(most.Bytes()); err != nil {
			t.Fatal(err)
		}
		return feed, answered
	}
	bridge := func(session string, i int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
		defer cancel()
		a, err := sendTo(ctx, http.DefaultClient, p.url, insertion([]rec{recordAt(session, n+i)}))
		if err != nil || a.status != http.StatusOK {
			t.Errorf("the bridge waits for the slow client: %v, %v", a, err)
		}
	}

	feed, answered := begin(t.Context(), "both")
	for i := range 5 {
		bridge("both", i)
		if _, err := feed.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
	feed.Write(marshal(recordAt("both", n-1)))
	feed.Close()
	if a := <-answered; a.status != http.StatusOK || !strings.Contains(string(a.body), fmt.Sprintf(`"inserted":%d`, n)) {
		t.Errorf("the slow upload: %v", a)
	}

	ctx, leave := context.WithCancel(t.Context())
	feed, answered = begin(ctx, "left")
	leave()
	feed.CloseWithError(context.Canceled) // the client waits for what reads the body
	<-answered
	await.Until(t, "the client's leaving is noticed", func() bool { return strings.Contains(p.log.String(), "status=499") }, p.log)
	if log := p.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("an error was logged\n%s", log)
	}
	var stored, left int
	if err := pool.QueryRow(t.Context(), `
		SELECT count(*), count(*) FILTER (WHERE s.id = 'left')
		FROM telemetry t LEFT JOIN sessions s USING (session)`).Scan(&stored, &left); err != nil {
		t.Fatal(err)
	}
	if stored != n+5 || left != 0 {
		t.Errorf("%d records are stored, %d of them of the client that left", stored, left)
	}
	checkConsistent(t, pool)
	p.stop()
}
