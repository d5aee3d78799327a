package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// Fleet sends the records of cars to a server over its public API, as bridges
// do: what could not be sent is sent again, newer records keep flowing.
type Fleet struct {
	URL    string // base URL of the server, without a slash at its end
	Key    string // deploy key
	Convex bool   // use the function endpoint that the team's bridge uses
	Cars   int
	Every  time.Duration // how often a car's new records are sent
	// Workers send at the same time, each for its share of the cars. Default:
	// one for 50 cars, at most 8.
	Workers int
	Car     Options // of every car but for its number; Start is when Run begins
	Log     *slog.Logger

	sent, retried, lost, requests atomic.Int64
	latency                       atomic.Int64 // ns, of the last request
	ids                           []string
}

// Stats counts what a fleet has sent.
type Stats struct {
	Sent     int64 // records acknowledged
	Retried  int64 // requests sent again
	Lost     int64 // records given up
	Requests int64
	Latency  time.Duration // of the newest request
}

// Stats may be called while Run does its work.
func (f *Fleet) Stats() Stats {
	return Stats{f.sent.Load(), f.retried.Load(), f.lost.Load(), f.requests.Load(), time.Duration(f.latency.Load())}
}

// errRefused is what Run ends with when the server does not take the key.
var errRefused = errors.New("the server refuses the deploy key")

const (
	bridgeBatch = 200  // records in one call of the function, as the bridge has it
	restBatch   = 5000 // records in one upload
	keepFailed  = 500  // requests kept to be sent again, for each worker
)

// Run sends until ctx ends, then what is left. The first car reports itself as
// the live session, and its driver is notified now and then.
func (f *Fleet) Run(ctx context.Context) error {
	start := time.Now().Truncate(time.Microsecond)
	if f.Every <= 0 {
		f.Every = 250 * time.Millisecond
	}
	if f.Workers <= 0 {
		f.Workers = min(8, (f.Cars+49)/50)
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: f.Workers + 1, DisableCompression: true},
	}
	defer client.CloseIdleConnections()
	shares := make([][]*Car, f.Workers)
	for i := range f.Cars {
		opt := f.Car
		opt.Number, opt.Start = i+1, start
		car := New(opt)
		f.ids = append(f.ids, car.SessionID())
		shares[i%f.Workers] = append(shares[i%f.Workers], car)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for k, cars := range shares {
		w := &worker{fleet: f, client: client, cars: cars, start: start, rng: rand.New(rand.NewPCG(f.Car.Seed, uint64(k)+1<<32))}
		all.Go(func() {
			if err := w.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	reporter := &reporter{fleet: f, client: client, car: shares[0][0], start: start, rng: rand.New(rand.NewPCG(f.Car.Seed, 1<<40))}
	all.Go(func() { reporter.run(ctx) })
	all.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errRefused) {
		return cause
	}
	reporter.report(context.WithoutCancel(ctx), "ended")
	return nil
}

// worker sends the records of its cars.
type worker struct {
	fleet  *Fleet
	client *http.Client
	cars   []*Car
	ahead  []pending // each car's next record, already made
	start  time.Time
	rng    *rand.Rand
	failed []*upload
	pause  time.Duration // before failed ones are tried again
	again  time.Time
}

// pending is a record whose time has not come.
type pending struct {
	json []byte
	at   time.Time
}

// upload is one request's body.
type upload struct {
	body    []byte
	records int
}

func (w *worker) run(ctx context.Context) error {
	w.ahead = make([]pending, len(w.cars))
	// Cars do not all send at the same moment.
	timer := time.NewTimer(time.Duration(w.rng.Int64N(int64(w.fleet.Every))))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			w.again = time.Time{}
			err := w.send(last, time.Now())
			for _, u := range w.failed {
				w.fleet.lost.Add(int64(u.records))
			}
			return err
		case now := <-timer.C:
			if err := w.send(ctx, now); err != nil {
				return err
			}
			timer.Reset(max(w.fleet.Every-time.Since(now), time.Millisecond))
		}
	}
}

// send uploads everything measured until now, and what failed before.
func (w *worker) send(ctx context.Context, now time.Time) error {
	for _, u := range w.collect(now) {
		if err := w.try(ctx, u); err != nil {
			return err
		}
	}
	if len(w.failed) == 0 || now.Before(w.again) {
		return nil
	}
	failed := w.failed
	w.failed = nil
	for i, u := range failed {
		w.fleet.retried.Add(1)
		before := len(w.failed)
		if err := w.try(ctx, u); err != nil {
			return err
		}
		if len(w.failed) > before { // still not: leave the others for later
			w.failed = append(w.failed, failed[i+1:]...)
			break
		}
	}
	return nil
}

// try sends one upload. Only a refused key is an error.
func (w *worker) try(ctx context.Context, u *upload) error {
	begun := time.Now()
	status, answer, err := w.fleet.post(ctx, w.client, w.path(), w.contentType(), u.body)
	w.fleet.requests.Add(1)
	w.fleet.latency.Store(int64(time.Since(begun)))
	switch {
	case err == nil && status/100 == 2:
		w.fleet.sent.Add(int64(u.records))
		w.pause = 0
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", errRefused, answer)
	case err == nil && status/100 == 4 && status != http.StatusTooManyRequests:
		w.fleet.lost.Add(int64(u.records))
		w.fleet.Log.Error("the server rejects records", "status", status, "answer", answer)
		return nil
	}
	if w.pause == 0 {
		w.fleet.Log.Warn("records could not be sent; trying again", "status", status, "answer", answer, "error", err)
	}
	w.pause = min(max(2*w.pause, 250*time.Millisecond), 5*time.Second)
	w.again = time.Now().Add(w.pause)
	w.failed = append(w.failed, u)
	if len(w.failed) > keepFailed {
		w.fleet.lost.Add(int64(w.failed[0].records))
		w.failed = w.failed[1:]
	}
	return nil
}

func (w *worker) path() string {
	if w.fleet.Convex {
		return "/api/mutation"
	}
	return "/api/v1/telemetry"
}

func (w *worker) contentType() string {
	if w.fleet.Convex {
		return "application/json"
	}
	return "application/x-ndjson"
}

// collect makes uploads of all records whose time has come.
func (w *worker) collect(now time.Time) []*upload {
	var uploads []*upload
	var u *upload
	finish := func() {
		if u == nil {
			return
		}
		if w.fleet.Convex {
			u.body = append(u.body, `]},"format":"json"}`...)
		}
		uploads = append(uploads, u)
		u = nil
	}
	for i, car := range w.cars {
		for next := &w.ahead[i]; ; {
			if next.json == nil {
				r := car.Next()
				next.json, next.at = r.AppendJSON(next.json), r.Time
			}
			if next.at.After(now) {
				break
			}
			switch {
			case u == nil:
				u = &upload{}
				if w.fleet.Convex {
					u.body = append(u.body, `{"path":"telemetry:insertTelemetryBatch","args":{"records":[`...)
				}
			case w.fleet.Convex:
				u.body = append(u.body, ',')
			}
			u.body = append(u.body, next.json...)
			if !w.fleet.Convex {
				u.body = append(u.body, '\n')
			}
			u.records++
			next.json = nil
			if u.records >= restBatch || w.fleet.Convex && u.records >= bridgeBatch {
				finish()
			}
		}
		if w.fleet.Convex {
			finish() // a bridge serves one car
		}
	}
	finish()
	return uploads
}

func (f *Fleet) post(ctx context.Context, client *http.Client, path, contentType string, body []byte) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Convex "+f.Key)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return response.StatusCode, "", err
	}
	return response.StatusCode, strings.TrimSpace(string(text)), nil
}

// reporter reports the live session state and notifies the driver.
type reporter struct {
	fleet  *Fleet
	client *http.Client
	car    *Car
	start  time.Time
	rng    *rand.Rand
}

// notices are what a bridge tells drivers.
var notices = []struct{ severity, title, message, category string }{
	{"info", "Glide now", "Target speed reached: release the throttle.", "efficiency"},
	{"warn", "High current", "Above 18 A for two seconds. Ease off.", "efficiency"},
	{"info", "On schedule", "Lap time is within two seconds of the plan.", "speed"},
	{"warn", "Lateral load", "0.4 g in the hairpin; brake earlier.", "style"},
	{"critical", "Battery sag", "Pack voltage dipped below 43 V.", "system"},
}

func (r *reporter) run(ctx context.Context) {
	r.report(ctx, "active")
	for {
		if retry.Pause(ctx, time.Duration(12+r.rng.IntN(20))*time.Second) != nil {
			return
		}
		r.report(ctx, "active")
		n := notices[r.rng.IntN(len(notices))]
		r.call(ctx, "driverNotifications:insertNotificationBatch", map[string]any{"notifications": []any{map[string]any{
			"session_id": r.car.SessionID(), "severity": n.severity, "title": n.title, "message": n.message,
			"category": n.category, "created_at": isoformat(time.Now()),
		}}})
	}
}

// report tells the server how the first car's session stands.
func (r *reporter) report(ctx context.Context, status string) {
	state := map[string]any{
		"status": status, "session_id": r.car.SessionID(), "session_name": r.car.sessionName(),
		"started_at": isoformat(r.start), "record_count": r.fleet.sent.Load() / int64(max(r.fleet.Cars, 1)),
	}
	if status == "ended" {
		state["ended_at"], state["reason"] = isoformat(time.Now()), "user_interrupt"
	}
	r.call(ctx, "sessions:reportLiveSessionState", state)
}

func (r *reporter) call(ctx context.Context, function string, args map[string]any) {
	body, err := json.Marshal(map[string]any{"path": function, "args": args, "format": "json"})
	if err != nil {
		r.fleet.Log.Error("call "+function, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	status, answer, err := r.fleet.post(ctx, r.client, "/api/mutation", "application/json", body)
	if (err != nil || status/100 != 2) && ctx.Err() == nil {
		r.fleet.Log.Warn("call "+function, "status", status, "answer", answer, "error", err)
	}
}

// isoformat writes a time as the bridge does.
func isoformat(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000+00:00") }

// SessionIDs lists the sessions of a fleet that ran.
func (f *Fleet) SessionIDs() []string { return f.ids }
