package live

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

// signIn resolves a credential and makes the connection act for whom it
// belongs to.
func (c *conn) signIn(ctx context.Context, credential string) error {
	viewer, err := c.stream.opt.Policy.Viewer(ctx, credential)
	if err != nil {
		return err
	}
	c.stream.setViewer(c, credential, viewer)
	return nil
}

// setViewer notes who the viewer is and which topics may change that.
func (st *Stream) setViewer(c *conn, credential string, viewer Viewer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	c.mu.Lock()
	var old []string
	for _, topic := range c.viewer.Topics {
		if !slices.Contains(viewer.Topics, topic) {
			old = append(old, topic)
		}
	}
	c.viewer, c.token = viewer, credential
	c.mu.Unlock()
	if viewer.Caller != "" {
		c.seat.As(viewer.Caller)
	}
	st.dropTopics(c, old)
	if _, open := st.conns[c]; !open {
		return
	}
	for _, topic := range viewer.Topics {
		if st.topics[topic] == nil {
			st.topics[topic] = map[*conn]struct{}{}
		}
		st.topics[topic][c] = struct{}{}
	}
}

// dropTopics forgets that changes of the topics concern c; st.mu is held.
func (st *Stream) dropTopics(c *conn, topics []string) {
	for _, topic := range topics {
		delete(st.topics[topic], c)
		if len(st.topics[topic]) == 0 {
			delete(st.topics, topic)
			st.sub.Unwatch(topic)
		}
	}
}

// watchViewer makes the hub watch the viewer's topics. Whatever changed before
// it did is found by resolving the credential again afterwards.
func (c *conn) watchViewer(ctx context.Context) error {
	for range 3 {
		c.mu.Lock()
		topics, token := slices.Clone(c.viewer.Topics), c.token
		c.mu.Unlock()
		if len(topics) == 0 {
			return nil
		}
		if err := c.stream.sub.Watch(ctx, topics...); err != nil {
			return err
		}
		if err := c.signIn(ctx, token); err != nil {
			return err
		}
		c.mu.Lock()
		same := slices.Equal(topics, c.viewer.Topics)
		c.mu.Unlock()
		if same {
			return nil
		}
	}
	return nil
}

// outdated reports whether an answer of the policy has run out.
func (c *conn) outdated(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(c.viewer.Until) {
		return true
	}
	for _, s := range c.subs {
		if past(s.until) {
			return true
		}
	}
	return false
}

// askAgain asks the policy again for the viewer and all that it watches. While
// the answer is on its way, no second question is asked.
func (c *conn) askAgain(ctx context.Context) {
	c.mu.Lock()
	if c.closed || c.asking {
		c.askTwice = true
		c.mu.Unlock()
		return
	}
	c.asking = true
	c.stream.work.Add(1)
	c.mu.Unlock()
	go func() {
		defer c.stream.work.Done()
		for {
			c.review(ctx)
			c.mu.Lock()
			if !c.askTwice || c.closed {
				c.asking = false
				c.mu.Unlock()
				return
			}
			c.askTwice = false
			c.mu.Unlock()
		}
	}()
}

// review drops what the viewer may no longer watch. When the policy cannot
// answer, because the database is away, nothing is dropped: there is nothing
// new to see either, and the question is asked again.
func (c *conn) review(ctx context.Context) {
	select {
	case c.stream.reading <- struct{}{}:
	case <-ctx.Done():
		return
	case <-c.ctx.Done():
		return
	}
	defer func() { <-c.stream.reading }()

	c.mu.Lock()
	token, topics := c.token, c.viewer.Topics
	c.mu.Unlock()
	if err := c.signIn(c.ctx, token); err != nil {
		refused := fault.Refusal(err)
		if refused == nil {
			return
		}
		c.send(protocol.ServerMessage{Type: "error", Code: refused.LiveCode(), Message: refused.Error()})
		if err := c.signIn(c.ctx, ""); err != nil {
			c.close(closeRefused)
			return
		}
	}
	c.mu.Lock()
	viewer := c.viewer
	again := !slices.Equal(topics, viewer.Topics)
	subs := slices.Collect(maps.Values(c.subs))
	c.mu.Unlock()
	if again {
		if err := c.watchViewer(c.ctx); err != nil {
			return // asked again when the database is back
		}
	}
	for _, s := range subs {
		until, err := c.stream.opt.Policy.MayWatch(c.ctx, viewer, s.session)
		if err == nil {
			c.mu.Lock()
			s.until = until
			c.mu.Unlock()
			continue
		}
		if refused := fault.Refusal(err); refused != nil {
			c.revoke(s, refused)
		}
	}
}

// revoke ends a subscription that the viewer may not have any more.
func (c *conn) revoke(s *subscription, why *fault.Error) {
	c.mu.Lock()
	if c.subs[s.session] != s {
		c.mu.Unlock()
		return
	}
	delete(c.subs, s.session)
	c.drop(s)
	c.mu.Unlock()
	c.stream.release(s)
	c.send(protocol.ServerMessage{Type: "revoked", Session: s.session, Code: why.LiveCode(), Message: why.Error()})
}
