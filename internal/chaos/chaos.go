package chaos

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// Options say what to try.
type Options struct {
	Program  string // the telemetryd binary
	Dir      string // an empty folder for the database, which is left behind
	PGBinDir string // of the server programs; found if empty
	Faults   int
	AtOnce   int    // how many of them; one after the other if it is not set
	Seed     uint64 // the same seed makes the same faults, in the same order
	Disk     *Disk  // that holds Dir, to be filled up now and then; nil: it is not
	Out      io.Writer
}

// Report is what became of it.
type Report struct {
	Faults map[string]int // by kind
	// Acknowledged counts records whose batch was answered with success.
	Acknowledged int
	Lost         int // acknowledged, and not there
	Doubled      int // there more than once
	Torn         int // batches of which only a part is there
	Unseen       int // stored, and not received by a viewer, or not in order
	Charts       int // buckets of the rollups that differ from the records
	Refused      []string
	Worst, P99   time.Duration // of a bridge's batch, with all its repetitions
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool {
	return r.Lost+r.Doubled+r.Torn+r.Unseen+r.Charts+len(r.Refused) == 0
}

// Write prints the report.
func (r *Report) Write(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(w, "%6d  %s\n", r.Faults[name], name)
	}
	fmt.Fprintf(w, "%d records acknowledged: %d lost, %d doubled, %d batches torn\n", r.Acknowledged, r.Lost, r.Doubled, r.Torn)
	fmt.Fprintf(w, "viewers: %d records unseen or out of order; charts: %d buckets differ from the records\n", r.Unseen, r.Charts)
	fmt.Fprintf(w, "a bridge's batch until it was acknowledged: p99 %s, worst %s\n", r.P99.Round(time.Millisecond), r.Worst.Round(time.Millisecond))
	for _, refused := range r.Refused {
		fmt.Fprintln(w, "refused, which no fault explains:", refused)
	}
}

const (
	instances      = 3
	bridges        = 3
	importers      = 1
	syncingBridge  = 1 // sends over the sync protocol
	steppingClock  = 2 // the car whose clock is set now and then
	maxConnections = 100
	// settling is how long everything may take to arrive once nothing is wrong
	// any more.
	settling = 2 * time.Minute
)

// run is one try.
type run struct {
	opt     Options
	url     string // of the database, past all proxies
	daemons []*daemon
	files   *files
	clocks  [bridges]atomic.Int64 // how far each car's clock has stepped
	report  Report

	acknowledged atomic.Int64 // batches
	// Of these faults there is one at a time: of the whole database, and by step.
	alone sync.Mutex
	slots [2]sync.Mutex

	mu      sync.Mutex // guards what follows and the report
	batches []batch
	waits   []time.Duration
}

// program is something that uses the database, and may be killed.
type program interface {
	ways() *proxy // to the database
	// restart kills it, and lets it begin again.
	restart(ctx context.Context, random *rand.Rand) error
}

func (r *run) programs() []program {
	all := []program{r.files}
	for _, d := range r.daemons {
		all = append(all, d)
	}
	return all
}

// daemon is an instance and the ways to it and from it.
type daemon struct {
	program, spool    string
	log               io.Writer
	clients, database *proxy
	url               string // of the database, by its proxy

	mu      sync.Mutex // held while it is down
	process *process.Process
}

func (d *daemon) ways() *proxy { return d.database }

func (d *daemon) start() (err error) {
	d.process, err = process.Start(d.log, d.program, d.url, "TELEMETRYD_LOG_LEVEL=error", "TMPDIR="+d.spool)
	if err == nil {
		d.clients.aim(target{network: "tcp", address: d.process.URL[len("http://"):]})
	}
	return err
}

func (d *daemon) restart(ctx context.Context, random *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	d.process.Stop()
	if err := pause(ctx, random, 300); err != nil {
		return err
	}
	return d.start()
}

// Run makes the faults while everybody is at work, and counts. The report is
// worth reading where the error is nil only.
func Run(ctx context.Context, opt Options) (*Report, error) {
	server, err := pgserver.Start(ctx, pgserver.Options{DataDir: opt.Dir, BinDir: opt.PGBinDir, Settings: map[string]string{
		"max_connections": fmt.Sprint(maxConnections),
		"max_wal_size":    "256MB", // or a killed server would have to read a GB of it again
	}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Stop(context.WithoutCancel(ctx)) }()
	r := &run{opt: opt, url: server.URL(), report: Report{Faults: map[string]int{}}}
	if err := database.Prepare(ctx, r.url, nil); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(r.url)
	if err != nil {
		return nil, err
	}
	socket, err := filepath.Glob(filepath.Join(opt.Dir, "run", ".s.PGSQL.*[0-9]"))
	if err != nil || len(socket) != 1 {
		return nil, fmt.Errorf("find the server's socket: %v, %w", socket, err)
	}
	log, err := os.Create(filepath.Join(opt.Dir, "daemons.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// way leads to the database.
	way := func() (*proxy, string, error) {
		p, err := newProxy(target{network: "unix", address: socket[0], database: true})
		if err != nil {
			return nil, "", err
		}
		return p, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, p.address(), config.Database), nil
	}
	drives, err := os.MkdirTemp("", "telemetryd-chaos-files-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(drives)
	spool := filepath.Join(opt.Dir, "spool") // on the disk that gets full
	if err := os.Mkdir(spool, 0o700); err != nil {
		return nil, err
	}
	r.files = &files{program: opt.Program, log: log, dir: drives}
	if r.files.database, r.files.url, err = way(); err != nil {
		return nil, err
	}
	defer r.files.database.close()
	for range instances {
		d := &daemon{program: opt.Program, spool: spool, log: log}
		if d.database, d.url, err = way(); err != nil {
			return nil, err
		}
		defer d.database.close()
		if d.clients, err = newProxy(target{}); err != nil {
			return nil, err
		}
		defer d.clients.close()
		if err := d.start(); err != nil {
			return nil, err
		}
		defer func() { d.process.Stop() }()
		r.daemons = append(r.daemons, d)
	}

	working, stop := context.WithCancel(ctx)
	defer stop()
	var writers, viewers sync.WaitGroup
	watching, enough := context.WithCancel(ctx)
	defer enough()
	var diaries []*diary
	for i := range bridges {
		session := fmt.Sprintf("bridge %d", i)
		writers.Go(func() { r.bridge(ctx, working, i, session) })
		native := &diary{session: session}
		viewers.Go(func() { r.watch(watching, i, native) })
		diaries = append(diaries, native)
		if i == steppingClock {
			continue // a page goes by the records' times
		}
		paged := &diary{session: session}
		viewers.Go(func() { r.watchPage(watching, i+1, paged) })
		diaries = append(diaries, paged)
	}
	writers.Go(func() { r.importFiles(ctx, working) })
	for i := range importers {
		writers.Go(func() { r.importer(ctx, working, i) })
	}
	writers.Go(func() { r.reader(working) })
	err = r.strike(ctx)
	stop()
	writers.Wait()
	if err == nil {
		err = r.settle(ctx, diaries)
	}
	enough()
	viewers.Wait()
	if err == nil {
		err = r.count(ctx, diaries)
	}
	slices.Sort(r.waits)
	if n := len(r.waits); n > 0 {
		r.report.Worst, r.report.P99 = r.waits[n-1], r.waits[n*99/100]
	}
	return &r.report, err
}

// settle waits until the viewers have received as much as is stored.
func (r *run) settle(ctx context.Context, diaries []*diary) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for _, d := range diaries {
		want, err := r.stored(ctx, d.session)
		if err != nil {
			return err
		}
		for d.len() < len(want) {
			if err := retry.Pause(ctx, 100*time.Millisecond); err != nil {
				return nil // which the count tells
			}
		}
	}
	return nil
}

// refuse notes an answer that no fault explains.
func (r *run) refuse(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Refused) < 20 {
		r.report.Refused = append(r.report.Refused, fmt.Sprintf("%s: %v", what, err))
	}
}
