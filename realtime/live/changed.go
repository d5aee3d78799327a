package live

import (
	"strings"

	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	schema "github.com/ecovolt/telemetryd/sql"
)

// tellChanged tells whoever watches a session that something was said of it: its
// name, its book, a note or a message to the driver. What, clients ask for.
func (st *Stream) tellChanged(topics []string) {
	told := map[string]bool{}
	for _, topic := range topics {
		for _, prefix := range []string{schema.TopicBook(""), schema.TopicNotifications("")} {
			id, ok := strings.CutPrefix(topic, prefix)
			if !ok || told[id] {
				continue
			}
			told[id] = true
			f := messageFrame(protocol.ServerMessage{Type: "changed", Session: id})
			for _, c := range st.allConns() {
				if c.watches(id) {
					c.sendFrame(f)
				}
			}
		}
	}
}

// watches reports whether the client was let in to a session.
func (c *conn) watches(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[id]
	return s != nil && s.placed && !s.gone
}
