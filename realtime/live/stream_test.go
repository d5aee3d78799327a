package live_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

func TestStreamSnapshotThenDeltas(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 1, 100)
	c := in.dial(t, "")
	hello := c.expect("hello")
	if hello.Protocol != protocol.Version || hello.Database != "up" || hello.Limits == nil || c.conn.Subprotocol() != protocol.Subprotocol {
		t.Errorf("hello: %+v over %q", hello, c.conn.Subprotocol())
	}
	c.send(protocol.ClientMessage{
		Type: "subscribe", ID: "1", Session: "a", Fields: []string{"message_id", "speed_ms", "tyre", "nothing"},
		Snapshot: &protocol.SnapshotRequest{Records: 3},
	})
	answer := c.expect("subscribed")
	if answer.ID != "1" || answer.Name != "M 233" || !*answer.Exists || *answer.Resumed {
		t.Errorf("subscribed: %+v", answer)
	}
	if diff := cmp.Diff([]string{"nothing", "tyre"}, answer.UnknownFields); diff != "" {
		t.Errorf("unknown fields (-want +got):\n%s", diff)
	}
	snapshot := c.expect("snapshot")
	if !snapshot.Done || snapshot.Cursor != answer.Cursor {
		t.Errorf("snapshot: %+v, subscribed at %s", snapshot, answer.Cursor)
	}
	want := `{"timestamp":"2026-03-21T21:41:12+00:00","speed_ms":0.5,"message_id":100,"tyre":100}`
	if got := string(snapshot.Records[2]); got != want {
		t.Errorf("record %s, want %s", got, want)
	}
	if diff := cmp.Diff(sequence(98, 100), numbers(t, snapshot)); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	in.ingest(t, "other", 1, 5)
	in.ingest(t, "a", 101, 7)
	ids, cursor := c.collect(107)
	if diff := cmp.Diff(sequence(101, 107), ids); diff != "" {
		t.Errorf("deltas (-want +got):\n%s", diff)
	}

	c.send(protocol.ClientMessage{Type: "ping", ID: "p"})
	if pong := c.expect("pong"); pong.ID != "p" {
		t.Errorf("pong: %+v", pong)
	}
	c.send(protocol.ClientMessage{Type: "unsubscribe", ID: "2", Session: "a"})
	if gone := c.expect("unsubscribed"); gone.Cursor != cursor || gone.ID != "2" {
		t.Errorf("unsubscribed: %+v, want cursor %s", gone, cursor)
	}
	c.send(protocol.ClientMessage{Type: "unsubscribe", ID: "3", Session: "a"})
	if e := c.expect("error"); e.Code != "NOT_SUBSCRIBED" || e.ID != "3" {
		t.Errorf("error: %+v", e)
	}
	await.Until(t, "nothing is polled any more", func() bool { return in.hub.Stats().Topics == 0 })
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 1, 10)
	c, _ := in.follow(t, "session=a&snapshot_records=4")
	ids, cursor := c.collect(10)
	if diff := cmp.Diff(sequence(7, 10), ids); diff != "" {
		t.Fatalf("snapshot (-want +got):\n%s", diff)
	}
	c.conn.Close()
	in.ingest(t, "a", 11, 700) // more than a page
	in.ingest(t, "a", 711, 20)

	back, answer := in.follow(t, "session=a&since="+cursor)
	if !*answer.Resumed || answer.Cursor != cursor {
		t.Errorf("subscribed: %+v", answer)
	}
	ids, cursor = back.collect(730)
	if diff := cmp.Diff(sequence(11, 730), ids); diff != "" {
		t.Errorf("after the reconnect (-want +got):\n%s", diff)
	}
	// Another set of fields, on the open connection, goes on where it was.
	back.send(protocol.ClientMessage{Type: "subscribe", ID: "n", Session: "a", Fields: []string{"message_id"}})
	if answer := back.expect("subscribed"); !*answer.Resumed || answer.Cursor != cursor {
		t.Errorf("subscribed again: %+v, want cursor %s", answer, cursor)
	}
	in.ingest(t, "a", 731, 1)
	m := back.expect("records")
	if got, want := string(m.Records[0]), `{"timestamp":"2026-03-21T21:41:24.620000+00:00","message_id":731}`; got != want {
		t.Errorf("record %s, want %s", got, want)
	}
}

func TestStreamFollowsASessionsLife(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	c, answer := in.follow(t, "session=a")
	if *answer.Exists {
		t.Errorf("subscribed: %+v", answer)
	}
	waiting := answer.Cursor
	in.ingest(t, "a", 1, 3)
	if begun := c.expect("begun"); begun.Name != "M 233" {
		t.Errorf("begun: %+v", begun)
	}
	ids, cursor := c.collect(3)
	if diff := cmp.Diff(sequence(1, 3), ids); diff != "" {
		t.Errorf("first records (-want +got):\n%s", diff)
	}
	// Who waited with a cursor from before the session began misses nothing.
	late, answer := in.follow(t, "session=a&since="+waiting)
	if !*answer.Resumed {
		t.Errorf("subscribed: %+v", answer)
	}
	if ids, _ := late.collect(3); !cmp.Equal(sequence(1, 3), ids) {
		t.Errorf("with a cursor from before the beginning: %v", ids)
	}
	late.conn.Close()

	if _, err := in.store.DeleteSession(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if gone := c.expect("deleted"); gone.Cursor != cursor {
		t.Errorf("deleted: %+v, want cursor %s", gone, cursor)
	}
	in.ingest(t, "a", 50, 2)
	c.expect("begun")
	if ids, _ := c.collect(51); !cmp.Equal(sequence(50, 51), ids) {
		t.Errorf("records of the new session: %v", ids)
	}
	// A cursor of the session that had the id before is told so.
	old, answer := in.follow(t, "session=a&since="+cursor)
	if *answer.Resumed {
		t.Errorf("subscribed: %+v", answer)
	}
	if m := old.expect("resync"); m.Reason != "recreated" {
		t.Errorf("resync: %+v", m)
	}
	if m := old.expect("snapshot"); !m.Done || !cmp.Equal([]int{51}, numbers(t, m)) {
		t.Errorf("snapshot after the resync: %+v", m)
	}
}

func TestStreamSaysWhenTooMuchWasMissed(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{ReplayRecords: 50}})
	in.ingest(t, "a", 1, 1)
	c, _ := in.follow(t, "session=a")
	_, cursor := c.collect(1)
	c.conn.Close()
	in.ingest(t, "a", 2, 51)
	back, _ := in.follow(t, "session=a&snapshot_seconds=0.1&since="+cursor)
	if m := back.expect("resync"); m.Reason != "too_far" {
		t.Errorf("resync: %+v", m)
	}
	if m := back.expect("snapshot"); !cmp.Equal(sequence(47, 52), numbers(t, m)) {
		t.Errorf("snapshot: %v", numbers(t, m))
	}
	in.ingest(t, "a", 53, 1)
	if ids, _ := back.collect(53); !cmp.Equal([]int{53}, ids) {
		t.Errorf("then: %v", ids)
	}
}

// A bounded rate sends one record of each slice of time, the newest there was,
// says how many it left out, and never leaves out the last.
func TestStreamConflates(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 0, 1)
	c, answer := in.follow(t, "session=a&max_rate=5&fields=message_id")
	if answer.MaxRate != 5 {
		t.Errorf("subscribed: %+v", answer)
	}
	c.expect("snapshot")
	for i := range 20 { // 50 Hz: 10 records to a slice of 0.2 s
		in.ingest(t, "a", 1+5*i, 5)
	}
	ids, conflated := []int{}, 0
	for len(ids) == 0 || ids[len(ids)-1] != 100 {
		m := c.expect("records")
		ids, conflated = append(ids, numbers(t, m)...), conflated+m.Conflated
	}
	if len(ids)+conflated != 100 {
		t.Errorf("%d records and %d left out, want 100 together", len(ids), conflated)
	}
	// 2 s of records, so 10 slices, the one that the last began, and once more
	// the one in which the last record came.
	if len(ids) > 12 || len(ids) < 2 {
		t.Errorf("%d records in 2 s at 5 Hz: %v", len(ids), ids)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("out of order: %v", ids)
	}
}
