package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/ecovolt/telemetryd/internal/daemon"
	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/demo"
)

type serveCmd struct {
	database.Flags
	policyFlags
	daemon.Config
	Demo bool `help:"Fill the daemon for a first look: an administrator, finished runs, and a car that drives."`
}

// What the daemon holds for long is small beside what an upload leaves behind:
// the collector waits until garbage is garbagePercent of what is in use, and
// works harder before the daemon grows past memoryGoal. That bounds what garbage
// adds, not what is in use.
const (
	garbagePercent = 400
	memoryGoal     = 112 << 20
)

func (s serveCmd) Run(ctx context.Context, log *slog.Logger) error {
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(memoryGoal)
	for _, unknown := range unknownVariables(os.Environ()) {
		log.Warn("nothing reads this variable: is it misspelt?", "variable", unknown.name, "perhaps", unknown.perhaps)
	}
	db := new(database.Database)
	defer func() {
		if err := db.Close(ctx); err != nil {
			log.Error("stop the database", "error", err)
		}
	}()
	config := s.Config
	config.Log, config.Version = log, version
	config.Database = func(ctx context.Context) (string, error) {
		own, err := s.Own(ctx, log)
		if err != nil {
			return "", err
		}
		db = own
		log.Info("bringing the database to this version's schema")
		return db.URL, database.Await(ctx, log, db.URL, s.policies())
	}
	if s.Demo {
		config.DemoKey = demo.NewKey()
	}
	d, err := daemon.Start(ctx, config)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped before it served")
		return nil
	}
	if err != nil {
		return err
	}
	log.Info("serving", "url", d.URL(), "version", version)
	fmt.Printf("telemetryd is at %s\n", d.URL())
	endDemo := func() {}
	if s.Demo {
		if endDemo, err = s.startDemo(ctx, d, config.DemoKey, log); err != nil {
			log.Error("the demo does not start", "error", err)
		}
	}
	select {
	case err = <-d.Failed():
	case <-ctx.Done():
		log.Info("stopping: finishing what was accepted")
	}
	endDemo()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer cancel()
	if stopErr := d.Stop(drain); err == nil {
		err = stopErr
	}
	return err
}

// startDemo fills the daemon and says how to sign in. It returns what stops the
// demo's car; that must come before the daemon stops.
func (s serveCmd) startDemo(ctx context.Context, d *daemon.Daemon, key string, log *slog.Logger) (func(), error) {
	dir := s.Flags.DataDir
	if s.Flags.DatabaseURL != "" {
		dir = ""
	}
	ctx, stop := context.WithCancel(ctx)
	password, done, err := demo.Start(ctx, demo.Options{Auth: d.Auth, Store: d.Store, URL: d.URL(), Key: key, Dir: dir, Log: log})
	if err != nil {
		stop()
		return func() {}, err
	}
	fmt.Printf("sign in as %s with the password %s\n", demo.Email, password)
	return func() { stop(); <-done }, nil
}
