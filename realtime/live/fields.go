package live

import (
	"context"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/registry"
)

// choose finds out what the client's names mean now.
func (s *subscription) choose(ctx context.Context) error {
	set, err := s.conn.stream.opt.Channels.Current(ctx)
	if err != nil {
		return err
	}
	selected, unknown := protocol.Select(set, s.fields)
	if s.set != nil && s.set.Key() != selected.Key() {
		s.feed.leave(s) // its group gets something else
	}
	s.set, s.unknown = selected, unknown
	s.conn.mu.Lock()
	s.key = selected.Key()
	s.conn.mu.Unlock()
	return nil
}

// group tells which group of its feed it belongs to.
func (s *subscription) group() groupKey {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return groupKey{s.key, s.rate}
}

// followChannels has names mean what they mean now.
func (st *Stream) followChannels(ctx context.Context, conns ...*conn) {
	set, err := st.opt.Channels.Current(ctx)
	for err != nil && retry.Pause(ctx, time.Second) == nil {
		set, err = st.opt.Channels.Current(ctx)
	}
	for _, c := range conns {
		if err == nil {
			c.chooseAgain(set)
		}
	}
}

// chooseAgain has live subscriptions read on whose names mean something else now.
func (c *conn) chooseAgain(set *registry.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if !s.live || len(s.fields) == 0 {
			continue
		}
		if selected, _ := protocol.Select(set, s.fields); selected.Key() != s.key {
			s.live, s.behind = false, true
		}
	}
	c.startCatchUps()
}
