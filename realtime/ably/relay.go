package ably

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
	"github.com/ecovolt/telemetryd/realtime/hub"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/delta"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Options say where the relay publishes.
type Options struct {
	// Key is an Ably key that may publish, "name:secret".
	Key     string
	Channel string
	// BaseURL of Ably's REST interface. Default https://rest.ably.io.
	BaseURL string
	// Client sends the requests. Default: one with a timeout of 10 s.
	Client *http.Client
	Log    *slog.Logger
}

// Relay publishes the records of the live session, and its state, to the
// Ably channel that the team's dashboards listen to, as the bridge does: event
// telemetry_update with one record, at most 12 and 56 KiB to a request, and
// event session_state. It is for teams whose bridge does not publish itself.
//
// It begins where the live session stands when it starts; what was published
// before is Ably's history. While Ably does not answer, it keeps its place and
// goes on from there.
type Relay struct {
	hub     *hub.Hub
	records *delta.Reader
	state   func(context.Context) (*timeseries.LiveState, error)
	opt     Options
}

// The bridge's limits on one publish.
const (
	maxMessages = 12
	maxBytes    = 56 << 10
	// maxBacklog is how many records a relay sends late at most. Dashboards
	// that missed more read the store.
	maxBacklog = 20_000
	// pageRecords is how many records one read from the database brings.
	pageRecords = 500
)

// standing is for reads that only ask where a session stands.
var standing = record.Select("timestamp")

// New makes a relay. state returns the live session state.
func New(h *hub.Hub, records *delta.Reader, state func(context.Context) (*timeseries.LiveState, error), opt Options) (*Relay, error) {
	if name, secret, ok := strings.Cut(opt.Key, ":"); !ok || name == "" || secret == "" || strings.ContainsAny(opt.Key, " \t\r\n") || strings.Contains(secret, ":") {
		return nil, errors.New("the Ably key is not of the form name:secret")
	}
	if opt.BaseURL == "" {
		opt.BaseURL = "https://rest.ably.io"
	}
	if opt.Client == nil {
		opt.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Relay{hub: h, records: records, state: state, opt: opt}, nil
}

// relay is the state of one Run.
type relay struct {
	*Relay
	sub     *hub.Sub
	told    timeseries.LiveState // published last
	session string
	pos     delta.Position
}

// Run relays until ctx ends.
func (a *Relay) Run(ctx context.Context) error {
	r := &relay{Relay: a, sub: a.hub.Subscribe()}
	defer r.sub.Close()
	if err := r.sub.Watch(ctx, schema.TopicLive); err != nil {
		return err
	}
	backoff := retry.Backoff(250*time.Millisecond, 30*time.Second)
	failing, first := false, true
	for {
		err := r.step(ctx, first)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if !failing {
				a.opt.Log.Warn("cannot relay to Ably; trying again", "error", err)
			}
			failing = true
			if err := retry.Pause(ctx, backoff.NextBackOff()); err != nil {
				return err
			}
			continue
		case failing:
			a.opt.Log.Info("relaying to Ably again")
		}
		backoff.Reset()
		failing, first = false, false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.sub.C():
			r.sub.Changed()
		}
	}
}

// step publishes what is new. atStart says that nothing was followed before.
func (r *relay) step(ctx context.Context, atStart bool) error {
	state, err := r.state(ctx)
	if err != nil {
		return fmt.Errorf("read the live state: %w", err)
	}
	if state == nil {
		return nil
	}
	if state.SessionID != r.session {
		if err := r.follow(ctx, state.SessionID, atStart); err != nil {
			return err
		}
	}
	if !sameState(*state, r.told) {
		data, err := json.Marshal(state)
		if err != nil {
			return err
		}
		if err := r.publish(ctx, []message{{Name: "session_state", Data: string(data)}}); err != nil {
			return err
		}
		r.told = *state
	}
	return r.send(ctx)
}

// sameState reports whether two states are equal for those who read them.
func sameState(a, b timeseries.LiveState) bool {
	return a.UpdatedAt == b.UpdatedAt && a.SessionID == b.SessionID && a.Status == b.Status
}

// follow turns to another session: a new one from its first record, the one
// that was there when the relay started from where it stands.
func (r *relay) follow(ctx context.Context, session string, atStart bool) error {
	topic := schema.TopicSession(session)
	if err := r.sub.Watch(ctx, topic); err != nil {
		return err
	}
	deltas, err := r.records.Read(ctx, []delta.Want{{ID: session}}, standing, 1)
	if err != nil {
		return err
	}
	r.sub.Set([]string{schema.TopicLive, topic})
	r.session, r.pos = session, deltas[0].Now
	if !atStart {
		r.pos = delta.Position{Session: r.pos.Session}
	}
	return nil
}

// send publishes the records that came since.
func (r *relay) send(ctx context.Context) error {
	for {
		deltas, err := r.records.Read(ctx, []delta.Want{{ID: r.session, From: r.pos}}, record.All, pageRecords)
		if err != nil {
			return fmt.Errorf("read new records: %w", err)
		}
		d := &deltas[0]
		switch {
		case d.Now.Session == 0:
			return nil // not begun yet, or deleted
		case d.Now.Session != r.pos.Session:
			r.pos = delta.Position{Session: d.Now.Session}
			continue
		case d.To == r.pos:
			return nil
		}
		behind, err := r.records.CountBetween(ctx, d.To, d.Now)
		if err != nil {
			return err
		}
		if behind > maxBacklog {
			r.opt.Log.Warn("too far behind to relay every record; going on with the newest", "records", behind)
			r.pos = d.Now
			continue
		}
		if err := r.sendAll(ctx, d); err != nil {
			return err
		}
	}
}

// sendAll publishes a delta, frame by frame, and notes how far it got.
func (r *relay) sendAll(ctx context.Context, d *delta.Delta) error {
	id, err := json.Marshal(r.session)
	if err != nil {
		return err
	}
	var frame []message
	size := 0
	var data []byte
	for i := range d.Len() {
		data = append(data[:0], `{"session_id":`...)
		data = append(data, id...)
		at := len(data)
		data = d.AppendRecord(data, i, record.All)
		data[at] = ',' // instead of the brace
		m := message{Name: "telemetry_update", Data: string(data)}
		length := m.length()
		if len(frame) > 0 && (len(frame) == maxMessages || size+length > maxBytes) {
			if err := r.publish(ctx, frame); err != nil {
				return err
			}
			r.pos = d.After(i - 1)
			frame, size = frame[:0], 0
		}
		frame, size = append(frame, m), size+length
	}
	if len(frame) > 0 {
		if err := r.publish(ctx, frame); err != nil {
			return err
		}
	}
	r.pos = d.To
	return nil
}

// message is one message of Ably's REST interface. Data is JSON text.
type message struct {
	Name     string `json:"name"`
	Data     string `json:"data"`
	Encoding string `json:"encoding"`
}

// length is an upper bound of the message's share of a request.
func (m message) length() int {
	quoted, _ := json.Marshal(m.Data) // a string never fails
	return len(quoted) + len(m.Name) + len(`{"name":"","data":,"encoding":"json"},`)
}

// publish sends one request.
func (r *relay) publish(ctx context.Context, frame []message) error {
	for i := range frame {
		frame[i].Encoding = "json"
	}
	body, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		strings.TrimRight(r.opt.BaseURL, "/")+"/channels/"+url.PathEscape(r.opt.Channel)+"/messages", bytes.NewReader(body))
	if err != nil {
		return err
	}
	name, secret, _ := strings.Cut(r.opt.Key, ":")
	request.SetBasicAuth(name, secret)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Ably-Version", "1.2")
	answer, err := r.opt.Client.Do(request)
	if err != nil {
		return fmt.Errorf("publish to Ably: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 2<<10))
	if err != nil {
		return fmt.Errorf("publish to Ably: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("publish to Ably: %s: %.200s", answer.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
