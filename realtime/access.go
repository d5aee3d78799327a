package realtime

import (
	"context"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// signIn resolves a credential and makes the connection act for whom it
// belongs to.
func (p *peer) signIn(ctx context.Context, credential string) error {
	viewer, err := p.stream.opt.Policy.Viewer(ctx, credential)
	if err != nil {
		return err
	}
	p.stream.setViewer(p, credential, viewer)
	return nil
}

// setViewer notes who the viewer is and which topics may change that.
func (st *Stream) setViewer(p *peer, credential string, viewer Viewer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	p.mu.Lock()
	var old []string
	for _, topic := range p.viewer.Topics {
		if !slices.Contains(viewer.Topics, topic) {
			old = append(old, topic)
		}
	}
	p.viewer, p.token = viewer, credential
	p.mu.Unlock()
	st.dropTopics(p, old)
	if _, open := st.peers[p]; !open {
		return
	}
	for _, topic := range viewer.Topics {
		if st.topics[topic] == nil {
			st.topics[topic] = map[*peer]struct{}{}
		}
		st.topics[topic][p] = struct{}{}
	}
}

// dropTopics forgets that changes of the topics concern p; st.mu is held.
func (st *Stream) dropTopics(p *peer, topics []string) {
	for _, topic := range topics {
		delete(st.topics[topic], p)
		if len(st.topics[topic]) == 0 {
			delete(st.topics, topic)
			st.sub.Unwatch(topic)
		}
	}
}

// watchViewer makes the hub watch the viewer's topics. Whatever changed before
// it did is found by resolving the credential again afterwards.
func (p *peer) watchViewer(ctx context.Context) error {
	for range 3 {
		p.mu.Lock()
		topics, token := slices.Clone(p.viewer.Topics), p.token
		p.mu.Unlock()
		if len(topics) == 0 {
			return nil
		}
		if err := p.stream.sub.Watch(ctx, topics...); err != nil {
			return err
		}
		if err := p.signIn(ctx, token); err != nil {
			return err
		}
		p.mu.Lock()
		same := slices.Equal(topics, p.viewer.Topics)
		p.mu.Unlock()
		if same {
			return nil
		}
	}
	return nil
}

// outdated reports whether an answer of the policy has run out.
func (p *peer) outdated(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(p.viewer.Until) {
		return true
	}
	for _, s := range p.subs {
		if past(s.until) {
			return true
		}
	}
	return false
}

// askAgain asks the policy again for the viewer and all that it watches. While
// the answer is on its way, no second question is asked.
func (p *peer) askAgain(ctx context.Context) {
	p.mu.Lock()
	if p.closed || p.asking {
		p.askTwice = true
		p.mu.Unlock()
		return
	}
	p.asking = true
	p.stream.work.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.stream.work.Done()
		for {
			p.review(ctx)
			p.mu.Lock()
			if !p.askTwice || p.closed {
				p.asking = false
				p.mu.Unlock()
				return
			}
			p.askTwice = false
			p.mu.Unlock()
		}
	}()
}

// review drops what the viewer may no longer watch. When the policy cannot
// answer, because the database is away, nothing is dropped: there is nothing
// new to see either, and the question is asked again.
func (p *peer) review(ctx context.Context) {
	select {
	case p.stream.reading <- struct{}{}:
	case <-ctx.Done():
		return
	case <-p.ctx.Done():
		return
	}
	defer func() { <-p.stream.reading }()

	p.mu.Lock()
	token, topics := p.token, p.viewer.Topics
	p.mu.Unlock()
	if err := p.signIn(p.ctx, token); err != nil {
		refused := fault.Refusal(err)
		if refused == nil {
			return
		}
		p.send(ServerMessage{Type: "error", Code: refused.LiveCode(), Message: refused.Error()})
		if err := p.signIn(p.ctx, ""); err != nil {
			p.close(closeRefused)
			return
		}
	}
	p.mu.Lock()
	viewer := p.viewer
	again := !slices.Equal(topics, viewer.Topics)
	subs := make([]*subscription, 0, len(p.subs))
	for _, s := range p.subs {
		subs = append(subs, s)
	}
	p.mu.Unlock()
	if again {
		if err := p.watchViewer(p.ctx); err != nil {
			return // asked again when the database is back
		}
	}
	for _, s := range subs {
		until, err := p.stream.opt.Policy.MayWatch(p.ctx, viewer, s.session)
		if err == nil {
			p.mu.Lock()
			s.until = until
			p.mu.Unlock()
			continue
		}
		if refused := fault.Refusal(err); refused != nil {
			p.revoke(s, refused)
		}
	}
}

// revoke ends a subscription that the viewer may not have any more.
func (p *peer) revoke(s *subscription, why *fault.Error) {
	p.mu.Lock()
	if p.subs[s.session] != s {
		p.mu.Unlock()
		return
	}
	delete(p.subs, s.session)
	p.drop(s)
	p.mu.Unlock()
	p.stream.release(s)
	p.send(ServerMessage{Type: "revoked", Session: s.session, Code: why.LiveCode(), Message: why.Error()})
}
