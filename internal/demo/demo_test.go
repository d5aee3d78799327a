package demo_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/daemon/daemontest"
	"github.com/ecovolt/telemetryd/internal/demo"
	"github.com/ecovolt/telemetryd/timeseries"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	key := demo.NewKey()
	d := daemontest.Start(t, daemon.Config{DemoKey: key})
	options := demo.Options{Auth: d.Auth, Store: d.Store, URL: d.URL(), Key: key, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	first := start(t, options)
	if info, err := os.Stat(filepath.Join(options.Dir, "demo-password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kept password: %v, %v", info, err)
	}
	if again := start(t, options); again != first {
		t.Error("a second start changed the password that browsers have stored")
	}
	options.Dir = ""
	if other := start(t, options); other == first {
		t.Error("a password that is kept nowhere came again")
	}
}

// start runs the demo until everything is there, signs in, and stops it.
func start(t *testing.T, o demo.Options) (password string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	password, done, err := demo.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	result, err := o.Auth.SignIn(ctx, auth.SignIn{Email: demo.Email, Password: password})
	if err != nil || result.Token == "" {
		t.Fatalf("sign in: %+v, %v", result, err)
	}
	principal, err := o.Auth.Authenticate(ctx, result.Token)
	if err != nil || principal.Role != auth.Admin {
		t.Errorf("the demo account is %v, %v", principal.Role, err)
	}
	await.Until(t, "two finished runs and a live car", func() bool {
		sessions, err := o.Store.Sessions(ctx, timeseries.SessionFilter{})
		if err != nil {
			t.Fatal(err)
		}
		finished, live := 0, 0
		for _, s := range sessions {
			switch {
			case strings.HasPrefix(s.ID, "demo-") && s.Records > 5000:
				finished++
			case s.ReadAt.Sub(s.End) < 2*time.Second && s.EndedAt == nil:
				live++
			}
		}
		return finished == 2 && live == 1
	})
	stop()
	<-done
	return password
}
