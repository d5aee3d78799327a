package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/ecovolt/telemetryd/internal/retry"
)

// fault is a kind of thing that goes wrong, and how often of all.
type fault struct {
	name   string
	weight int
	strike func(ctx context.Context, r *run, random *rand.Rand) error
	// It may be long in coming: others strike meanwhile.
	late bool
}

// faults: about 85 of 100 are of the network, 13 of a daemon or an import, and the
// rest of the database.
var faults = append(atSteps(), []fault{
	{"network cut", 48, func(ctx context.Context, r *run, random *rand.Rand) error {
		r.link(random).cut()
		return nil
	}, false},
	{"network slow", 48, func(ctx context.Context, r *run, random *rand.Rand) error {
		p := r.link(random)
		p.there.Store(int64(time.Millisecond) * (1 + random.Int64N(40)))
		p.back.Store(int64(time.Millisecond) * (1 + random.Int64N(40)))
		defer p.clear()
		return pause(ctx, random, 300)
	}, false},
	// Requests are lost on their way: nothing is committed.
	{"half-open before commit", 48, func(ctx context.Context, r *run, random *rand.Rand) error {
		p := r.link(random)
		p.there.Store(held)
		return p.cutAfter(ctx, random)
	}, false},
	// Answers are lost: what was asked for is done.
	{"half-open after commit", 68, func(ctx context.Context, r *run, random *rand.Rand) error {
		p := r.link(random)
		p.back.Store(held)
		return p.cutAfter(ctx, random)
	}, false},
	{"half-open, then goes on", 32, func(ctx context.Context, r *run, random *rand.Rand) error {
		p := r.link(random)
		p.there.Store(held)
		p.back.Store(held)
		defer p.clear()
		return pause(ctx, random, 500)
	}, false},
	{"car's clock set", 16, func(ctx context.Context, r *run, random *rand.Rand) error {
		r.clocks[steppingClock].Store(int64(time.Minute) * (random.Int64N(60) - 30))
		return nil
	}, false},
	{"import killed", 12, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.files.interrupt(ctx, random)
	}, false},
	{"daemon killed", 20, func(ctx context.Context, r *run, random *rand.Rand) error {
		return r.daemons[random.IntN(len(r.daemons))].restart(ctx, random)
	}, false},
	{"daemon stopped", 20, func(ctx context.Context, r *run, random *rand.Rand) error {
		d := r.daemons[random.IntN(len(r.daemons))]
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := d.process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := pause(ctx, random, 1500)
		return errors.Join(err, d.process.Signal(syscall.SIGCONT))
	}, false},
	{"database killed", 4, func(ctx context.Context, r *run, random *rand.Rand) error {
		r.alone.Lock()
		defer r.alone.Unlock()
		text, err := os.ReadFile(filepath.Join(r.opt.Dir, "cluster", "postmaster.pid"))
		if err != nil {
			return nil // it is down already
		}
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err != nil {
			return nil
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return r.reachable(ctx)
	}, false},
	{"connections used up", 4, func(ctx context.Context, r *run, random *rand.Rand) error {
		r.alone.Lock()
		defer r.alone.Unlock()
		var conns []*pgx.Conn
		defer func() {
			for _, conn := range conns {
				_ = conn.Close(context.WithoutCancel(ctx))
			}
		}()
		for range maxConnections {
			conn, err := pgx.Connect(ctx, r.url)
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, d := range r.daemons {
			d.database.cut() // they need new ones
		}
		return pause(ctx, random, 800)
	}, false},
	{diskFull, 4, func(ctx context.Context, r *run, random *rand.Rand) error {
		r.alone.Lock()
		defer r.alone.Unlock()
		if err := r.opt.Disk.fill(); err != nil {
			return err
		}
		err := pause(ctx, random, 3000)
		return errors.Join(err, r.opt.Disk.empty(), r.reachable(ctx))
	}, false},
}...)

// diskFull is the one that needs a file system of its own.
const diskFull = "disk full"

// atSteps are faults before and after each step.
func atSteps() (all []fault) {
	for _, s := range steps {
		for _, after := range []bool{false, true} {
			name := "before the " + s.name
			if after {
				name = "after the " + s.name
			}
			weight := 4
			if s.refresh { // until somebody refreshes again, a lease may have to run out
				weight = 1
			}
			all = append(all, fault{name, weight, func(ctx context.Context, r *run, random *rand.Rand) error {
				return r.atStep(ctx, random, s, after)
			}, s.refresh})
		}
	}
	return all
}

// pause waits for up to so many milliseconds.
func pause(ctx context.Context, random *rand.Rand, most int) error {
	return retry.Pause(ctx, time.Duration(1+random.IntN(most))*time.Millisecond)
}

func (p *proxy) clear() {
	p.there.Store(0)
	p.back.Store(0)
}

// cutAfter lets a fault hold for a moment. Both sides lose the connection then.
func (p *proxy) cutAfter(ctx context.Context, random *rand.Rand) error {
	err := pause(ctx, random, 300)
	p.cut()
	p.clear()
	return err
}

// link is one of the ways between clients, daemons and the database.
func (r *run) link(random *rand.Rand) *proxy {
	d := r.daemons[random.IntN(len(r.daemons))]
	if random.IntN(2) == 0 {
		return d.clients
	}
	return d.database
}

// strike makes the faults, each chosen by the seed, as many at once as is asked for.
func (r *run) strike(all context.Context) error {
	random := rand.New(rand.NewPCG(r.opt.Seed, 12))
	faults := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.name == diskFull && r.opt.Disk == nil })
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	group, ctx := errgroup.WithContext(all)
	late, others := make(chan struct{}, 1), make(chan struct{}, max(1, r.opt.AtOnce))
	for n := range r.opt.Faults {
		pick := random.IntN(total)
		for _, f := range faults {
			if pick -= f.weight; pick >= 0 {
				continue
			}
			// Whatever one draws, the next ones stay what they are.
			its := rand.New(rand.NewPCG(random.Uint64(), 12))
			place := others
			if f.late {
				place = late
			}
			select {
			case place <- struct{}{}:
			case <-ctx.Done():
				return errors.Join(group.Wait(), all.Err())
			}
			group.Go(func() error {
				defer func() { <-place }()
				if err := f.strike(ctx, r, its); err != nil {
					return fmt.Errorf("fault %d, %s: %w", n+1, f.name, err)
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.report.Faults[f.name]++
				return nil
			})
			break
		}
		if err := pause(ctx, random, 100); err != nil {
			break // the group tells why
		}
		if (n+1)%100 == 0 {
			fmt.Fprintf(r.opt.Out, "%d faults, %d batches acknowledged\n", n+1, r.acknowledged.Load())
		}
	}
	return errors.Join(group.Wait(), all.Err())
}

// reachable waits until the database takes connections again.
func (r *run) reachable(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, r.url)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil || retry.Pause(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}
