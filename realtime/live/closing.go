package live

import (
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
)

// closing is why a connection ends.
type closing struct {
	ws.Close
	// lingers is set where the client is likely still sending: a socket that is
	// closed with unread bytes is reset, and the client would never see why.
	lingers bool
}

// The reasons. Codes from 4000 are ours; docs/live.md says what a client does.
var (
	closeGone     = closing{} // the other side went away, or its link did
	closeShutdown = closing{ws.Close{Code: 1001, Reason: "going away"}, false}
	closeBinary   = closing{ws.Close{Code: 1003, Reason: "text messages only"}, true}
	closeTooLong  = closing{ws.Close{Code: 1009, Reason: "message too long"}, true}
	closeProtocol = closing{ws.Close{Code: 4400, Reason: "too many invalid messages"}, true}
	closeRefused  = closing{ws.Close{Code: 4403, Reason: "not allowed"}, false}
	closeTimeout  = closing{ws.Close{Code: 4408, Reason: "no sign of life"}, false}
	closeSlow     = closing{ws.Close{Code: 4409, Reason: "reading too slowly"}, true}
	closeFlood    = closing{ws.Close{Code: 4429, Reason: "too many messages"}, true}
	closeOusted   = closing{ws.Close{Code: 4430, Reason: "too many connections"}, false}
)

// lingerFor is how long a client that was told to go is still read.
const lingerFor = 5 * time.Second

// writeWait is how long one write to a client may take. A client whose link
// takes nothing for so long is gone; it comes back with its cursor.
const writeWait = 15 * time.Second
