package live_test

import (
	"testing"

	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/note"
)

// Who watches a run is told of what is said of it, and of no other run.
func TestToldOfWhatIsSaid(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 1, 3)
	in.ingest(t, "b", 1, 3)
	c := in.dial(t, "")
	c.expect("hello")
	c.send(protocol.ClientMessage{Type: "subscribe", Session: "a"})
	c.expect("subscribed")
	c.expect("snapshot")
	ctx := t.Context()
	name := "By hand"
	for what, act := range map[string]func(id string) error{
		"note": func(id string) error {
			_, err := in.store.Notes.Add(ctx, id, note.Author{Name: "Ann"}, note.Content{Text: "slipped"})
			return err
		},
		"name": func(id string) error {
			_, err := in.store.EditSession(ctx, id, timeseries.SessionChange{Name: &name})
			return err
		},
		"message": func(id string) error {
			_, err := in.store.AddNotifications(ctx, []timeseries.NewNotification{{SessionID: id, Severity: "warn", Title: "Brake", CreatedAt: "2026-03-21T21:41:10Z"}})
			return err
		},
	} {
		for _, id := range []string{"b", "a"} {
			if err := act(id); err != nil {
				t.Fatal(what, err)
			}
		}
		if m := c.expect("changed"); m.Session != "a" {
			t.Errorf("%s: told of %q", what, m.Session)
		}
	}
}
