package live_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/live"
	"github.com/ecovolt/telemetryd/realtime/live/client"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// A follower whose connections keep breaking gets every record once.
func TestFollower(t *testing.T) {
	t.Parallel()
	in := one(t, setup{})
	in.ingest(t, "a", 1, 5)
	var ids []int
	downs := 0
	done := errors.New("that is all")
	f := &client.Follower{
		URL: in.server.URL, Subscribe: protocol.ClientMessage{Session: "a", Snapshot: &protocol.SnapshotRequest{Records: 100}},
		Down: func(error) { downs++ },
	}
	f.Message = func(m protocol.ServerMessage) error {
		ids = append(ids, numbers(t, m)...)
		if n := len(ids); m.Type == "records" || m.Type == "snapshot" {
			if n >= 20 {
				return done
			}
			in.ingest(t, "a", n+1, 5)
			in.cutAll()
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	if err := f.Run(ctx); !errors.Is(err, done) {
		t.Fatalf("ended with %v", err)
	}
	if diff := cmp.Diff(sequence(1, 20), ids); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if downs == 0 {
		t.Error("the connection never broke")
	}
}

func TestFollowerIsRefused(t *testing.T) {
	t.Parallel()
	in := one(t, setup{stream: live.Options{Policy: &doors{may: map[string][]string{"": {"open"}}}}})
	for name, f := range map[string]*client.Follower{
		"session": {URL: in.server.URL, Subscribe: protocol.ClientMessage{Session: "team"}},
		"token":   {URL: in.server.URL, Subscribe: protocol.ClientMessage{Session: "open"}, Authorize: "Bearer nobody"},
	} {
		f.Message = func(protocol.ServerMessage) error { return nil }
		if err := f.Run(t.Context()); !errors.Is(err, client.ErrRefused) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
}
