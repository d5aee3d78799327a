package live

import (
	"context"
	"time"
)

// Viewer is who sits behind a connection.
type Viewer struct {
	// Principal is the policy's own.
	Principal any
	// Topics are asked about again when they change: a role, a revoked session.
	Topics []string
	// Caller is as whom the connection is counted; see load.WithCaller. Empty leaves
	// it with the network that it comes from.
	Caller string
	// Until is when to ask again although nothing changed; zero is never.
	Until time.Time
}

// Policy decides who may connect and what they may watch. The api package
// implements it; this package only asks, again whenever an answer may have
// changed.
type Policy interface {
	// Viewer tells who a credential belongs to; an empty one is anonymous.
	Viewer(ctx context.Context, credential string) (Viewer, error)
	// MayWatch returns an error if the viewer may not watch the records of the
	// session now. A positive answer holds until the time given, zero is for
	// as long as the viewer's does.
	MayWatch(ctx context.Context, viewer Viewer, session string) (until time.Time, err error)
}

// everything is the policy of a stream that has none.
type everything struct{}

func (everything) Viewer(context.Context, string) (Viewer, error) { return Viewer{}, nil }
func (everything) MayWatch(context.Context, Viewer, string) (time.Time, error) {
	return time.Time{}, nil
}
