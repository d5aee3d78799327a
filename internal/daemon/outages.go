package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	schema "github.com/ecovolt/telemetryd/sql"
)

// outagePause is how often one message says that the database is away.
const outagePause = time.Minute

// outages is a handler of log lines. Whatever is tried every second fails every
// second while the database is away: of lines that say so in the same words one
// a minute passes. All others do.
type outages struct {
	slog.Handler
	*said
}

type said struct {
	mu   sync.Mutex
	last map[string]time.Time // by message
}

func newOutages(to slog.Handler) slog.Handler {
	return outages{to, &said{last: map[string]time.Time{}}}
}

// Handle passes a line on, or drops it.
func (o outages) Handle(ctx context.Context, r slog.Record) error {
	away := false
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		away = away || ok && schema.Away(err)
		return !away
	})
	if away && r.Level > slog.LevelDebug && !o.due(r) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

func (s *said) due(r slog.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, there := s.last[r.Message]; there && r.Time.Sub(last) < outagePause {
		return false
	}
	s.last[r.Message] = r.Time
	return true
}

// WithAttrs returns a handler that shares what was said.
func (o outages) WithAttrs(attrs []slog.Attr) slog.Handler {
	return outages{o.Handler.WithAttrs(attrs), o.said}
}

// WithGroup returns a handler that shares what was said.
func (o outages) WithGroup(name string) slog.Handler {
	return outages{o.Handler.WithGroup(name), o.said}
}
