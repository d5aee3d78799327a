package ws

import (
	"errors"

	"github.com/gorilla/websocket"
)

// Close is why a connection ends. Its zero value says nothing to the client,
// who is gone.
type Close struct {
	Code   int
	Reason string // for people, at most 123 bytes
}

// Reconnect reports whether a client whose connection ended with the error may
// come back by itself; see the ranges of the package comment.
func Reconnect(err error) bool {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return true // the link broke
	}
	code := closed.Code
	return code == websocket.CloseGoingAway || code == websocket.CloseAbnormalClosure || code > 1010 && code < 4400 || code > 4407
}
