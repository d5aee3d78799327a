package live

import "time"

// closing is why a connection ends: a websocket close code and a word for it.
type closing struct {
	code   int
	reason string
	// lingers is set where the client is likely still sending: a socket that is
	// closed with unread bytes is reset, and the client would never see why.
	lingers bool
}

// The reasons. Codes from 4000 are ours; docs/live.md says what a client does.
var (
	closeGone     = closing{code: 1001} // the other side went away, or its link did
	closeShutdown = closing{code: 1001, reason: "going away"}
	closeTimeout  = closing{code: 4408, reason: "no sign of life"}
	closeSlow     = closing{code: 4409, reason: "reading too slowly"}
	closeRefused  = closing{code: 4403, reason: "not allowed"}
	closeProtocol = closing{4400, "too many invalid messages", true}
	closeFlood    = closing{4429, "too many messages", true}
)

// lingerFor and lingerBytes bound what is still read of a client that was told
// to go.
const (
	lingerFor   = 2 * time.Second
	lingerBytes = 1 << 20
)

// writeWait is how long one write to a client may take. A client whose link
// takes nothing for so long is gone; it comes back with its cursor.
const writeWait = 15 * time.Second
