package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/ecovolt/telemetryd/internal/daemon"
)

type serveCmd struct {
	databaseFlags
	policyFlags
	daemon.Config
}

// memoryGoal makes the collector work harder before the daemon grows past it.
// It bounds what garbage adds, not what is in use.
const memoryGoal = 160 << 20

func (s serveCmd) Run(ctx context.Context, log *slog.Logger) error {
	debug.SetMemoryLimit(memoryGoal)
	url, server, err := s.open(ctx, log)
	if err != nil {
		return err
	}
	if server != nil {
		defer func() {
			if err := server.Stop(context.WithoutCancel(ctx)); err != nil {
				log.Error("stop the database", "error", err)
			}
		}()
	}
	if err := prepareWith(ctx, url, s.policies()); err != nil {
		return err
	}
	config := s.Config
	config.DatabaseURL, config.Log, config.Version = url, log, version
	d, err := daemon.Start(ctx, config)
	if err != nil {
		return err
	}
	log.Info("serving", "url", d.URL(), "version", version)
	fmt.Printf("telemetryd is at %s\n", d.URL())
	select {
	case err = <-d.Failed():
	case <-ctx.Done():
		log.Info("stopping: finishing what was accepted")
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer cancel()
	if stopErr := d.Stop(drain); err == nil {
		err = stopErr
	}
	return err
}
