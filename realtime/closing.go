package realtime

import "time"

// closing is why a connection ends: a websocket close code and a word for it.
type closing struct {
	code   int
	reason string
}

// The reasons. Codes from 4000 are ours; docs/live.md says what a client does.
var (
	closeGone     = closing{1001, ""} // the other side went away, or its link did
	closeShutdown = closing{1001, "going away"}
	closeTimeout  = closing{4408, "no sign of life"}
	closeSlow     = closing{4409, "reading too slowly"}
	closeRefused  = closing{4403, "not allowed"}
	closeProtocol = closing{4400, "too many invalid messages"}
	closeFlood    = closing{4429, "too many messages"}
)

// writeWait is how long one write to a client may take. A client whose link
// takes nothing for so long is gone; it comes back with its cursor.
const writeWait = 15 * time.Second
