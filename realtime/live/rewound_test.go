package live_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// After a restore of an older backup, a client whose cursor lies beyond it is
// told to start over, and gets what there is.
func TestRewoundByRestore(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	before := start(t, url, setup{})
	before.ingest(t, "a", 1, 5)
	before.ingest(t, "a", 6, 5)
	c, _ := before.follow(t, "session=a&snapshot_records=100")
	_, cursor := c.collect(10)
	before.stop()

	after := start(t, url, setup{})
	if _, err := after.pool.Exec(t.Context(), `
		DELETE FROM telemetry WHERE batch = 2;
		DELETE FROM ingest_batches WHERE batch = 2;
		UPDATE sessions SET batch = 1, records = 5`); err != nil {
		t.Fatal(err)
	}
	c = after.dial(t, "session=a&snapshot_records=100&since="+cursor)
	c.expect("hello")
	if m := c.expect("subscribed"); *m.Resumed {
		t.Errorf("subscribed: %+v", m)
	}
	if m := c.expect("resync"); m.Reason != "rewound" {
		t.Errorf("resync: %+v", m)
	}
	ids, _ := c.collect(5)
	after.ingest(t, "a", 6, 1)
	more, _ := c.collect(6)
	if diff := cmp.Diff(sequence(1, 6), append(ids, more...)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// When records turn out to be strays, whoever got them starts over: live
// readers, and those that come back with a cursor from before.
func TestStraysTakenOut(t *testing.T) {
	t.Parallel()
	h := start(t, dbtest.URL(t), setup{})
	h.ingest(t, "a", 1, 2)
	c, _ := h.follow(t, "session=a&snapshot_records=100")
	_, cursor := c.collect(2)

	if err := h.ingestFrom(t.Context(), "a", base.AddDate(0, 0, 60), 3, 30); err != nil {
		t.Fatal(err)
	}
	if m := c.expect("resync"); m.Reason != "rewound" {
		t.Errorf("resync: %+v", m)
	}
	ids, _ := c.collect(32)
	if diff := cmp.Diff(sequence(3, 32), ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}

	back, m := h.follow(t, "session=a&snapshot_records=100&since="+cursor)
	if *m.Resumed {
		t.Errorf("subscribed: %+v", m)
	}
	if m := back.expect("resync"); m.Reason != "rewound" {
		t.Errorf("resync: %+v", m)
	}
	back.collect(32)
}
