package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/realtime/live/client"
	"github.com/ecovolt/telemetryd/realtime/live/protocol"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

type watchCmd struct {
	Session string        `arg:"" optional:"" help:"Session to watch. Default: the live one."`
	URL     string        `default:"http://127.0.0.1:3210" env:"TELEMETRYD_URL,CONVEX_URL" help:"Base URL of the server."`
	Token   string        `env:"TELEMETRYD_TOKEN" help:"Session token or admin key, to watch what guests may not. Use the variable, not the flag."`
	Fields  []string      `default:"speed_ms,voltage_v,current_a,power_w,energy_j,distance_m,throttle_pct,brake_pct,motor_temp_c,latitude,longitude,altitude_m" help:"Fields to show."`
	Rate    float64       `default:"10" help:"Most records per second; 0 is all of them."`
	History time.Duration `default:"30s" help:"How much of the past to begin with."`
	JSON    bool          `help:"Print each record as a line of JSON, with all fields unless --fields is given."`
}

func (w watchCmd) Run(ctx context.Context, _ *slog.Logger) error {
	session := w.Session
	if session == "" {
		var err error
		if session, err = liveSession(ctx, w.URL); err != nil {
			return err
		}
	}
	show := &screen{out: os.Stdout, session: session, fields: w.Fields, redraw: isTerminal(os.Stdout) && !w.JSON, json: w.JSON}
	follower := &client.Follower{
		URL: w.URL,
		Subscribe: protocol.ClientMessage{
			Session: session, Fields: w.Fields, MaxRate: w.Rate, Mode: protocol.ModeLatest,
			Snapshot: &protocol.SnapshotRequest{Seconds: w.History.Seconds(), Records: 2000},
		},
		Message: show.message,
		Down:    func(err error) { show.down(fmt.Errorf("%w; --url names another server than %s", err, w.URL)) },
	}
	if w.Token != "" {
		follower.Authorize = "Bearer " + w.Token
	}
	if show.redraw {
		fmt.Fprint(os.Stdout, "\x1b[?25l")       // hide the cursor
		defer fmt.Fprint(os.Stdout, "\x1b[?25h") // and show it again
	}
	return follower.Run(ctx)
}

// liveSession asks the server which session is on the road.
func liveSession(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(url, "/")+"/api/query",
		strings.NewReader(`{"path":"sessions:getLiveSessionState","args":{},"format":"json"}`))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("no telemetryd answers at %s: start one, or name another with --url: %w", url, err)
	}
	defer answer.Body.Close()
	var body struct {
		Value *struct {
			SessionID string `json:"session_id"`
		} `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&body); err != nil {
		return "", fmt.Errorf("ask for the live session: %w", err)
	}
	if body.Value == nil {
		return "", errors.New("no session is live; name one, or run 'telemetryd simulate'")
	}
	return body.Value.SessionID, nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// screen shows a session: a panel that is drawn over and over on a terminal,
// a line for each record elsewhere.
type screen struct {
	out     io.Writer
	session string
	fields  []string
	redraw  bool
	json    bool

	name    string
	note    string // what went wrong last
	stamp   string
	records int
	recent  []time.Time // arrival of the newest records
	values  map[string][]float64
	words   map[string]string
	lines   int // of the panel on the screen
	drawn   time.Time
}

const (
	sparkWidth = 40
	redrawGap  = 80 * time.Millisecond
)

func (s *screen) message(m protocol.ServerMessage) error {
	switch m.Type {
	case "hello", "subscribed", "begun":
		if m.Name != "" {
			s.name = m.Name
		}
		s.note = ""
		if m.Exists != nil && !*m.Exists {
			s.note = "waiting for the session to begin"
		}
	case "records", "snapshot":
		for _, raw := range m.Records {
			if err := s.record(raw, m.Type == "records"); err != nil {
				return err
			}
		}
	case "status":
		s.note = ""
		if m.Database == "away" {
			s.note = "the server's database is away; waiting"
		}
	case "dropped":
		s.note = fmt.Sprintf("the link is slow: %d records left out", m.Dropped)
	case "resync":
		s.note = "started over: " + m.Reason
	case "deleted":
		s.note = "the session was deleted"
	}
	return s.draw(m.Type != "records")
}

func (s *screen) down(err error) {
	s.note = "reconnecting: " + err.Error()
	if !s.redraw {
		fmt.Fprintln(os.Stderr, s.note)
		return
	}
	_ = s.draw(true) // the next draw tells of a broken terminal
}

func (s *screen) record(raw json.RawMessage, live bool) error {
	s.records++
	if s.json {
		_, err := fmt.Fprintf(s.out, "%s\n", raw)
		return err
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	s.stamp, _ = members["timestamp"].(string)
	if live {
		s.recent = append(s.recent, time.Now())
	}
	if s.values == nil {
		s.values, s.words = map[string][]float64{}, map[string]string{}
	}
	for _, field := range s.fields {
		switch v := members[field].(type) {
		case float64:
			s.values[field] = tail(append(s.values[field], v), 240)
		case nil:
		default:
			s.words[field] = fmt.Sprint(v)
		}
	}
	if s.redraw {
		return nil
	}
	_, err := fmt.Fprintln(s.out, s.line())
	return err
}

// line is the newest record on one line.
func (s *screen) line() string {
	var b strings.Builder
	b.WriteString(s.stamp)
	for _, field := range s.fields {
		if v := s.values[field]; len(v) > 0 {
			fmt.Fprintf(&b, " %s=%s", field, strconv.FormatFloat(v[len(v)-1], 'f', -1, 64))
		} else if word := s.words[field]; word != "" {
			fmt.Fprintf(&b, " %s=%s", field, word)
		}
	}
	return b.String()
}

func tail[T any](list []T, most int) []T {
	if len(list) > most {
		return list[len(list)-most:]
	}
	return list
}

// draw draws the panel over the last one.
func (s *screen) draw(force bool) error {
	now := time.Now()
	if !s.redraw || !force && now.Sub(s.drawn) < redrawGap {
		return nil
	}
	s.drawn = now
	for len(s.recent) > 0 && now.Sub(s.recent[0]) > 5*time.Second {
		s.recent = s.recent[1:]
	}
	var b bytes.Buffer
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format, args...)
		b.WriteString("\x1b[K\n")
		s.lines++
	}
	s.lines = 0
	line("\x1b[1m%s\x1b[0m  %s", printable(s.name), printable(s.session))
	age := ""
	if at, err := record.ParseTime(s.stamp); err == nil {
		age = fmt.Sprintf(", measured %v ago", max(now.Sub(at), 0).Round(10*time.Millisecond))
	}
	line("%.1f records/s, %d shown%s", float64(len(s.recent))/5, s.records, age)
	for _, field := range s.fields {
		unit := ""
		if f, ok := channel.ByName(field); ok {
			unit = f.Unit
		}
		switch v := s.values[field]; {
		case len(v) > 0:
			line("%-24s %12s %-6s %s", printable(field), strconv.FormatFloat(v[len(v)-1], 'f', -1, 64), unit, spark(v))
		case s.words[field] != "":
			line("%-24s %12s", printable(field), printable(s.words[field]))
		default:
			line("%-24s %12s", printable(field), "-")
		}
	}
	line("\x1b[33m%s\x1b[0m", printable(s.note))
	_, err := s.out.Write(b.Bytes())
	return err
}

// printable takes control characters out of what others wrote.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// spark draws values as a row of bars.
func spark(values []float64) string {
	values = tail(values, sparkWidth)
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		at := 0
		if high > low {
			at = int((v - low) / (high - low) * float64(len(bars)-1))
		}
		b.WriteRune(bars[at])
	}
	return b.String()
}
