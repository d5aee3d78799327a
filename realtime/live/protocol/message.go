package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// Version is the version of the live protocol, and Subprotocol its name for
// the websocket handshake.
const (
	Version     = 1
	Subprotocol = "telemetryd.live.v1"
)

// What a client may ask for.
const (
	MaxMessageBytes    = 64 << 10
	MaxSubscriptions   = 128 // on one connection
	maxFieldNames      = 256
	maxFieldNameBytes  = 128
	maxSessionBytes    = 256
	maxIDBytes         = 64
	maxTokenBytes      = 512
	maxSnapshotRecords = 20_000
	maxSnapshotSeconds = 24 * 3600
	minRate            = 0.1 // Hz
	maxRate            = 100
)

// Types of client messages.
const (
	TypeAuth        = "auth"
	TypeSubscribe   = "subscribe"
	TypeUnsubscribe = "unsubscribe"
	TypePing        = "ping"
)

// What happens to a subscription whose client reads too slowly.
const (
	ModeEvery  = "every"  // what was dropped is sent again from the database
	ModeLatest = "latest" // what was dropped stays dropped; go on with the newest
)

// ClientMessage is any message from a client.
type ClientMessage struct {
	Type string `json:"type"`
	// ID is the client's own name for the request; the answer carries it.
	ID      string `json:"id,omitempty"`
	Session string `json:"session,omitempty"`
	// Fields are the members wanted besides the timestamp; none means all.
	Fields []string `json:"fields,omitempty"`
	// Since is the cursor of the last message that the client has.
	Since string `json:"since,omitempty"`
	// Snapshot is how much of the recent past comes first, without Since.
	Snapshot *SnapshotRequest `json:"snapshot,omitempty"`
	// MaxRate is the most records per second of measured time, 0 for all.
	MaxRate float64 `json:"max_rate,omitempty"`
	Mode    string  `json:"mode,omitempty"`
	// Token signs the connection in; empty signs it out.
	Token string `json:"token,omitempty"`
}

// SnapshotRequest asks for records measured in the last Seconds, or for the
// newest Records, whichever is less when both are given.
type SnapshotRequest struct {
	Seconds float64 `json:"seconds,omitempty"`
	Records int     `json:"records,omitempty"`
}

// ServerMessage is any message to a client, but for those with records, which
// are put together from encoded parts. Which members a type has stands in
// docs/live.md.
type ServerMessage struct {
	Type          string            `json:"type"`
	ID            string            `json:"id,omitempty"`
	Session       string            `json:"session,omitempty"`
	Name          string            `json:"name,omitempty"`
	Cursor        string            `json:"cursor,omitempty"`
	Protocol      int               `json:"protocol,omitempty"`
	Time          string            `json:"time,omitempty"`
	Limits        *Limits           `json:"limits,omitempty"`
	Exists        *bool             `json:"exists,omitempty"`
	Resumed       *bool             `json:"resumed,omitempty"`
	Fields        []string          `json:"fields,omitempty"`
	UnknownFields []string          `json:"unknown_fields,omitempty"`
	MaxRate       float64           `json:"max_rate,omitempty"`
	Mode          string            `json:"mode,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Messages      int               `json:"messages,omitempty"`
	Dropped       int64             `json:"dropped,omitempty"`
	Replay        *bool             `json:"replay,omitempty"`
	Database      string            `json:"database,omitempty"`
	Since         string            `json:"since,omitempty"`
	Code          string            `json:"code,omitempty"`
	Message       string            `json:"message,omitempty"`
	Records       []json.RawMessage `json:"records,omitempty"`
	Conflated     int               `json:"conflated,omitempty"`
	Done          bool              `json:"done,omitempty"`
}

// Limits tells a client what it may ask for.
type Limits struct {
	Subscriptions int `json:"subscriptions"`
	MessageBytes  int `json:"message_bytes"`
	QueueBytes    int `json:"queue_bytes"`
	ReplayRecords int `json:"replay_records"`
}

// Codes of error messages, besides those of the function contract.
const (
	CodeInvalid     = "INVALID_MESSAGE"
	CodeLimit       = "LIMIT"
	CodeUnavailable = "UNAVAILABLE"
	CodeNotWatched  = "NOT_SUBSCRIBED"
)

// Request is a client message that was checked.
type Request struct {
	ClientMessage
	After  *delta.Position // the place that Since names
	Recent delta.Recent    // what Snapshot asks for
}

// Parse reads and checks one client message. The id is returned even with an
// error, if it could be read.
func Parse(text []byte) (Request, error) {
	var r Request
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r.ClientMessage); err != nil {
		return Request{ClientMessage: ClientMessage{ID: clipID(r.ID)}}, fmt.Errorf("not a message of this protocol: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Request{ClientMessage: ClientMessage{ID: clipID(r.ID)}}, errors.New("more than one JSON value in a message")
	}
	return r.check()
}

func clipID(id string) string {
	if len(id) > maxIDBytes {
		return ""
	}
	return id
}

// check validates the members that the message's type uses.
func (r Request) check() (Request, error) {
	if len(r.ID) > maxIDBytes {
		r.ID = ""
		return r, fmt.Errorf("id: longer than %d bytes", maxIDBytes)
	}
	switch r.Type {
	case TypeAuth:
		if len(r.Token) > maxTokenBytes {
			return r, fmt.Errorf("token: longer than %d bytes", maxTokenBytes)
		}
		return r, nil
	case TypePing:
		return r, nil
	case TypeUnsubscribe:
		return r, r.checkSession()
	case TypeSubscribe:
		return r.checkSubscribe()
	case "":
		return r, errors.New("type: missing")
	}
	return r, fmt.Errorf("type: %.40q is not one of %s", r.Type, strings.Join([]string{TypeAuth, TypeSubscribe, TypeUnsubscribe, TypePing}, ", "))
}

func (r Request) checkSession() error {
	switch {
	case r.Session == "":
		return errors.New("session: missing")
	case len(r.Session) > maxSessionBytes:
		return fmt.Errorf("session: longer than %d bytes", maxSessionBytes)
	case strings.ContainsRune(r.Session, 0) || !utf8.ValidString(r.Session):
		return errors.New("session: not valid text")
	}
	return nil
}

func (r Request) checkSubscribe() (Request, error) {
	if err := r.checkSession(); err != nil {
		return r, err
	}
	if len(r.Fields) > maxFieldNames {
		return r, fmt.Errorf("fields: more than %d names", maxFieldNames)
	}
	for _, name := range r.Fields {
		if name == "" || len(name) > maxFieldNameBytes {
			return r, fmt.Errorf("fields: a name must have 1 to %d bytes", maxFieldNameBytes)
		}
	}
	if r.Since != "" {
		p, err := parseCursor(r.Since)
		if err != nil {
			return r, fmt.Errorf("since: %w", err)
		}
		r.After = &p
	}
	if s := r.Snapshot; s != nil {
		if !(s.Seconds >= 0 && s.Seconds <= maxSnapshotSeconds) {
			return r, fmt.Errorf("snapshot.seconds: not between 0 and %d", maxSnapshotSeconds)
		}
		if s.Records < 0 || s.Records > maxSnapshotRecords {
			return r, fmt.Errorf("snapshot.records: not between 0 and %d", maxSnapshotRecords)
		}
		r.Recent = delta.Recent{Period: time.Duration(s.Seconds * float64(time.Second)), Records: s.Records}
		if r.Recent.Period > 0 && r.Recent.Records == 0 {
			r.Recent.Records = maxSnapshotRecords
		}
	}
	if r.MaxRate != 0 && !(r.MaxRate >= minRate && r.MaxRate <= maxRate) {
		return r, fmt.Errorf("max_rate: not between %v and %v records per second", minRate, maxRate)
	}
	r.MaxRate = math.Round(r.MaxRate*10) / 10 // so that clients share their encodings
	switch r.Mode {
	case "":
		r.Mode = ModeEvery
	case ModeEvery, ModeLatest:
	default:
		return r, fmt.Errorf("mode: %.40q is not one of %s, %s", r.Mode, ModeEvery, ModeLatest)
	}
	return r, nil
}
