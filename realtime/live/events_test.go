package live_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// event is one server-sent event.
type event struct {
	name, id string
	protocol.ServerMessage
}

type eventStream struct {
	t       *testing.T
	answer  *http.Response
	scanner *bufio.Scanner
}

func (in *instance) events(t *testing.T, query, last string) *eventStream {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.server.URL+"/api/v1/live?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	s := bufio.NewScanner(answer.Body)
	s.Buffer(nil, 8<<20)
	return &eventStream{t, answer, s}
}

func (s *eventStream) next() event {
	s.t.Helper()
	var e event
	for s.scanner.Scan() {
		line := s.scanner.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.ServerMessage); err != nil {
				s.t.Fatal(err)
			}
		case "":
			if line == "" && e.name != "" {
				return e
			}
		}
	}
	s.t.Fatalf("the stream ended: %v", s.scanner.Err())
	return e
}

func (s *eventStream) expect(name string) event {
	s.t.Helper()
	for {
		e := s.next()
		if e.name == name && e.Type == name {
			return e
		}
		if e.name != "status" {
			s.t.Fatalf("event %s of type %s, want %s", e.name, e.Type, name)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 1, 5)
	in.ingest(t, "b", 1, 5)
	s := in.events(t, "session=a&session=b&snapshot_records=2&fields=message_id", "")
	if got := s.answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	s.expect("hello")
	id, snapshots := "", map[string][]int{}
	for len(snapshots) < 2 {
		e := s.next()
		if e.Type == "snapshot" {
			snapshots[e.Session], id = numbers(t, e.ServerMessage), e.id
		}
	}
	if diff := cmp.Diff(map[string][]int{"a": {4, 5}, "b": {4, 5}}, snapshots); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
	in.ingest(t, "a", 6, 1)
	e := s.expect("records")
	if e.Session != "a" || e.id == id {
		t.Errorf("event %+v, id before %s", e, id)
	}
	s.answer.Body.Close()
	await.Until(t, "the connection is forgotten", func() bool { return in.stream.Stats().Connections == 0 })

	// What a browser does by itself: the same URL again, with the last id.
	in.ingest(t, "a", 7, 2)
	in.ingest(t, "b", 6, 1)
	back := in.events(t, "session=a&session=b&snapshot_records=2&fields=message_id", e.id)
	back.expect("hello")
	missed := map[string][]int{}
	for len(missed["a"]) < 2 || len(missed["b"]) < 1 {
		switch e := back.next(); e.Type {
		case "subscribed":
			if !*e.Resumed {
				t.Errorf("not resumed: %+v", e)
			}
		case "records":
			missed[e.Session] = append(missed[e.Session], numbers(t, e.ServerMessage)...)
		default:
			t.Fatalf("event %+v", e)
		}
	}
	if diff := cmp.Diff(map[string][]int{"a": {7, 8}, "b": {6}}, missed); diff != "" {
		t.Errorf("after the reconnect (-want +got):\n%s", diff)
	}

	go in.stream.Drain()
	for {
		if e := back.next(); e.name == "closing" {
			break
		}
	}
	for back.scanner.Scan() { // and then it ends
	}
}

func TestEventsRefusals(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	for query, status := range map[string]int{
		"":                                   http.StatusBadRequest,
		"session=a&mode=sometimes":           http.StatusBadRequest,
		strings.Repeat("session=a&", 17):     http.StatusBadRequest,
		"session=a&since=is-left-out-of-ids": http.StatusOK,
	} {
		if s := in.events(t, query, ""); s.answer.StatusCode != status {
			t.Errorf("%s: status %d, want %d", query, s.answer.StatusCode, status)
		}
	}
	answer, err := http.Get(in.server.URL + "/api/v1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain GET: status %d", answer.StatusCode)
	}
}
