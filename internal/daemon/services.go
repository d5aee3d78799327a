package daemon

import (
	"context"
	"errors"
	"slices"
	"time"
)

// service is work that goes on beside the requests, or serves them.
type service struct {
	// run works until its context ends, and returns once all that it began has
	// ended.
	run func(context.Context)
	// drain, if there is one, finishes what was accepted, until its context
	// ends. run goes on meanwhile.
	drain func(context.Context) error
}

// services start in the order in which they need one another, and stop in the
// reverse order, one after the other.
type services struct {
	running []running
}

type running struct {
	service
	end  context.CancelFunc
	done chan struct{}
}

// start lets a service run until stop, whatever becomes of ctx.
func (s *services) start(ctx context.Context, v service) {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	r := running{v, end, make(chan struct{})}
	s.running = append(s.running, r)
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
}

// stop ends all services and waits for them. Those that drain do so until ctx
// ends. Stopped services are forgotten, so that a second call does nothing.
func (s *services) stop(ctx context.Context) (err error) {
	for _, r := range slices.Backward(s.running) {
		if r.drain != nil {
			err = errors.Join(err, r.drain(ctx))
		}
		r.end()
		<-r.done
	}
	s.running = nil
	return err
}

// every is a service that does its work now and then.
func every(pause time.Duration, work func(context.Context)) service {
	return service{run: func(ctx context.Context) {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				work(ctx)
			}
		}
	}}
}
