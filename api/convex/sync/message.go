package sync

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
)

// clientMessage is any message of a client. Which members count depends on the
// type.
type clientMessage struct {
	Type string `json:"type"`

	// Connect
	SessionID            string  `json:"sessionId"`
	ConnectionCount      int64   `json:"connectionCount"`
	LastCloseReason      *string `json:"lastCloseReason"`
	MaxObservedTimestamp *string `json:"maxObservedTimestamp"`
	// ClientTs is the client's clock, in ms since 1970. Old clients do not
	// send it, and it may be off by any amount.
	ClientTs *float64 `json:"clientTs"`

	// Authenticate and ModifyQuerySet
	BaseVersion int64 `json:"baseVersion"`

	// Authenticate
	TokenType string `json:"tokenType"`
	Value     string `json:"value"`

	// ModifyQuerySet
	NewVersion    int64          `json:"newVersion"`
	Modifications []modification `json:"modifications"`

	// Mutation and Action
	RequestID int64 `json:"requestId"`
	functionCall

	observed int64 // MaxObservedTimestamp, decoded
}

// modification is one Add or Remove of a ModifyQuerySet.
type modification struct {
	Type    string `json:"type"`
	QueryID int64  `json:"queryId"`
	functionCall
	// Journal is what the query was last answered with, on another connection.
	Journal string `json:"journal"`

	in  *registry.Invocation // of an Add, once prepared
	err error                // why it cannot run
}

// functionCall names a function and its arguments.
type functionCall struct {
	Path      string          `json:"udfPath"`
	Args      json.RawMessage `json:"args"`
	Component string          `json:"componentPath"`
}

func (c functionCall) request() registry.Request {
	return registry.Request{Path: c.Path, Args: c.Args, Component: c.Component}
}

// maxModifications bounds the changes of one ModifyQuerySet.
const maxModifications = 10_000

// parseMessage decodes a client's message. Its errors are violations of the
// protocol.
func parseMessage(b []byte) (*clientMessage, error) {
	if err := value.Check(b); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	m := new(clientMessage)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("invalid message: %w", err)
	}
	if m.ConnectionCount < 0 || m.BaseVersion < 0 || m.NewVersion < 0 || m.RequestID < 0 {
		return nil, errors.New("invalid message: a number is negative")
	}
	switch m.Type {
	case "Connect":
		if m.SessionID == "" || len(m.SessionID) > 128 {
			return nil, errors.New("message Connect needs a sessionId")
		}
		if m.MaxObservedTimestamp != nil {
			var err error
			if m.observed, err = parseTs(*m.MaxObservedTimestamp); err != nil {
				return nil, fmt.Errorf("maxObservedTimestamp: %w", err)
			}
		}
	case "Authenticate":
		if m.TokenType != "User" && m.TokenType != "Admin" && m.TokenType != "None" {
			return nil, fmt.Errorf("unknown tokenType %.80q", m.TokenType)
		}
	case "ModifyQuerySet":
		if len(m.Modifications) > maxModifications {
			return nil, errors.New("too many modifications at once")
		}
		for _, mod := range m.Modifications {
			if mod.Type != "Add" && mod.Type != "Remove" || mod.QueryID < 0 {
				return nil, errors.New("invalid modification")
			}
		}
	case "Mutation", "Action", "Event":
	default:
		return nil, fmt.Errorf("unknown message type %.80q", m.Type)
	}
	return m, nil
}

// Violations of the protocol that depend on the connection's state.
var (
	errBaseVersion    = errors.New("baseVersion does not match the connection's state")
	errUnknownQuery   = errors.New("query to remove does not exist")
	errDuplicateQuery = errors.New("query to add exists already")
	errTooManyQueries = errors.New("too many queries on one connection")
	errNotConnected   = errors.New("the first message must be Connect, and only that")
)
