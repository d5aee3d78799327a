package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// Email is the demo administrator's.
const Email = "demo@telemetryd.example"

// Options are what Start needs.
type Options struct {
	Auth  *auth.Service
	Store *timeseries.Store
	URL   string // base URL of the daemon
	Key   string // a deploy key that it takes
	// Dir is where the administrator's password is kept, so that it stays the
	// same; "" makes a new one each time.
	Dir string
	Log *slog.Logger
}

// NewKey makes a secret that the demo's cars may use as deploy key.
func NewKey() string { return "demo-" + rand.Text() }

// Start makes the administrator and the finished runs, and returns the
// administrator's password. The live car drives until ctx ends; done is closed
// when it has stopped.
func Start(ctx context.Context, o Options) (password string, done <-chan struct{}, err error) {
	if password, err = admin(ctx, o); err != nil {
		return "", nil, err
	}
	if err := finishedRuns(ctx, o.Store, o.Log, time.Now()); err != nil {
		return "", nil, err
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		fleet := &simulate.Fleet{
			URL: o.URL, Key: o.Key, Cars: 1, Every: 200 * time.Millisecond, Log: o.Log,
			Car: simulate.Options{Seed: uint64(time.Now().UnixMilli()), Rate: 10, Noise: noise, Laps: 4, SessionName: "Demo: on track", Source: "SIMULATED"},
		}
		if err := fleet.Run(ctx); err != nil && ctx.Err() == nil {
			o.Log.Warn("the demo's car has stopped", "error", err)
		}
	}()
	return password, stopped, nil
}

// noise of the cars' sensors: less than in the team's export, so that laps and
// stops are easy to see.
const noise = 0.15

// admin makes the administrator, or finds it again with the password kept.
func admin(ctx context.Context, o Options) (string, error) {
	by := auth.Operator("demo")
	file := filepath.Join(o.Dir, "demo-password")
	profile, err := o.Auth.FindUser(ctx, by, Email)
	known := err == nil
	if f := fault.As(err); err != nil && (f == nil || f.Kind != fault.NotFound) {
		return "", fmt.Errorf("find the demo's administrator: %w", err)
	}
	if known && o.Dir != "" {
		kept, err := os.ReadFile(file)
		if password := strings.TrimSpace(string(kept)); err == nil && password != "" {
			return password, nil
		}
	}
	text := strings.ToLower(rand.Text())
	password := fmt.Sprintf("%s-%s-%s", text[:5], text[5:10], text[10:15])
	if known {
		err = o.Auth.ResetPassword(ctx, by, profile.UserID, password)
	} else {
		_, err = o.Auth.CreateAccount(ctx, by, auth.NewAccount{Email: Email, Password: password, Name: "Demo admin", Role: auth.Admin})
	}
	if err != nil {
		return "", fmt.Errorf("make the demo's administrator: %w", err)
	}
	if o.Dir != "" {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("keep the demo's password: %w", err)
		}
	}
	return password, nil
}

// finishedRuns stores two runs of the last days, once.
func finishedRuns(ctx context.Context, store *timeseries.Store, log *slog.Logger, now time.Time) error {
	for i, run := range []struct {
		id, name string
		ago      time.Duration
		length   time.Duration
	}{
		{"demo-practice", "Demo: practice", 27 * time.Hour, 22 * time.Minute},
		{"demo-race", "Demo: race", 3 * time.Hour, 36 * time.Minute},
	} {
		found, err := store.Session(ctx, run.id)
		if err != nil {
			return err
		}
		if found != nil {
			continue
		}
		log.Info("storing a run of the demo", "session", run.id)
		const rate = 5
		car := simulate.New(simulate.Options{
			Seed: 20, Number: i + 1, SessionID: run.id, SessionName: run.name, Source: "SIMULATED",
			Start: now.Add(-run.ago).Truncate(time.Minute), Rate: rate, Noise: noise, Laps: 6, Gap: 40 * time.Second,
		})
		in, out := io.Pipe()
		go func() { out.CloseWithError(car.WriteNDJSON(out, int(run.length.Seconds()*rate))) }()
		_, err = store.Writer.IngestStream(ctx, decode.New(in, decode.Options{Format: decode.FormatJSON}), ingest.Options{Source: "demo"})
		in.Close() // ends the writer, should the reader have stopped early
		if err != nil {
			return fmt.Errorf("store the run %s: %w", run.id, err)
		}
	}
	return nil
}
