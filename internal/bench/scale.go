package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/process"
	"github.com/ecovolt/telemetryd/internal/simulate"
)

// The scale suite measures what further instances and a replica change. All of
// them share this machine, so that besides rates it gives processor time by
// process: that is what a machine of its own would take over.
const (
	scaleClients = 4
	scaleUploads = 80
	scaleRecords = 500
	scaleSockets = 300
	scaleWindow  = 5 * time.Second
)

func scale(ctx context.Context, e *Env) error {
	instances := []*process.Process{e.Daemon}
	for range 2 {
		other, err := process.Start(os.Stderr, e.Program, e.URL)
		if err != nil {
			return err
		}
		defer other.Stop()
		instances = append(instances, other)
	}
	if err := scaleIngest(ctx, e, instances); err != nil {
		return err
	}
	if err := scaleLive(ctx, e, instances); err != nil {
		return err
	}
	if e.ReplicaURL == "" {
		_, err := fmt.Fprintln(e.Out, "\nreads on a replica: not measured without --replica-url")
		return err
	}
	return scaleReads(ctx, e)
}

// busy is the processor time of daemons and of database servers so far.
func busy(instances []*process.Process) (sum time.Duration) {
	for _, p := range instances {
		sum += p.CPU()
	}
	return sum
}

// serverCPU is the processor time of a database server on this machine so far:
// its main process and the processes that it started. 0 where it is not known.
func serverCPU(ctx context.Context, query func(ctx context.Context, sql string) (int, error)) time.Duration {
	pid, err := query(ctx, "SELECT pg_backend_pid()")
	if err != nil {
		return 0
	}
	main := parentOf(pid)
	if main <= 1 {
		return 0
	}
	sum := process.Of(main).CPU()
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		if child, err := strconv.Atoi(filepath.Base(name)); err == nil && parentOf(child) == main {
			sum += process.Of(child).CPU()
		}
	}
	return sum
}

func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func (e *Env) databaseCPU(ctx context.Context) time.Duration {
	return serverCPU(ctx, func(ctx context.Context, sql string) (pid int, err error) {
		return pid, e.Pool.QueryRow(ctx, sql).Scan(&pid)
	})
}

// scaleIngest uploads through one, two and three instances.
func scaleIngest(ctx context.Context, e *Env, instances []*process.Process) error {
	fmt.Fprintf(e.Out, "ingest: %d clients with a session each, uploads of %d records\n", scaleClients, scaleRecords)
	t := newTable(e.Out, "instances", "records/s", "beside 1", "daemons us/record", "database us/record")
	first := 0.0
	serial := 0
	for _, n := range []int{1, 2, 3, 1, 2, 3} {
		bodies := make([][][]byte, scaleClients)
		for c := range bodies {
			serial++
			car := simulate.New(simulate.Options{Seed: uint64(serial), Rate: liveRate, SessionID: fmt.Sprintf("scale-%d", serial)})
			for range scaleUploads {
				var body bytes.Buffer
				if err := car.WriteNDJSON(&body, scaleRecords); err != nil {
					return err
				}
				bodies[c] = append(bodies[c], body.Bytes())
			}
		}
		daemons, database := busy(instances), e.databaseCPU(ctx)
		begun := time.Now()
		err := together(scaleClients, func(c int) error {
			client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for _, body := range bodies[c] {
				if err := post(ctx, client, instances[c%n].URL, "ndjson", body); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		seconds := time.Since(begun).Seconds()
		const records = scaleClients * scaleUploads * scaleRecords
		rate := records / seconds
		if n == 1 {
			first = rate
		}
		t.row(n, int(rate), rate/first, float64((busy(instances)-daemons).Microseconds())/records, float64((e.databaseCPU(ctx)-database).Microseconds())/records)
	}
	t.flush()
	return nil
}

// scaleLive spreads screens over one, two and three instances.
func scaleLive(ctx context.Context, e *Env, instances []*process.Process) error {
	fmt.Fprintf(e.Out, "\nlive: a %d Hz car at the first instance, %d screens in all\n", liveRate, scaleSockets)
	t := newTable(e.Out, "instances", "messages/s", "upload to socket p50 ms", "p99", "hub queries/s", "daemons' cores", "of the first")
	for _, n := range []int{1, 2, 3} {
		car := newLiveCar(e)
		if err := car.upload(ctx); err != nil {
			return err
		}
		urls := []string{}
		for _, at := range instances[:n] {
			urls = append(urls, at.URL)
		}
		screens, err := openScreens(urls, car, scaleSockets, 0)
		if err != nil {
			return err
		}
		defer screens.Close()
		polls := func() (sum float64) {
			for _, p := range instances {
				sum += metric(ctx, p, "telemetryd_hub_polls_total")
			}
			return sum
		}
		for int(screens.live.Load()) < scaleSockets {
			if err := car.drive(ctx, time.Second, nil); err != nil {
				return err
			}
		}
		screens.measureFrom.Store(int64(len(car.sent)) + 1)
		asked, daemons, one, messages := polls(), busy(instances), busy(instances[:1]), screens.messages.Load()
		begun := time.Now()
		if err := car.drive(ctx, scaleWindow, nil); err != nil {
			return err
		}
		seconds := time.Since(begun).Seconds()
		queries, cores, oneCore := (polls()-asked)/seconds, (busy(instances)-daemons).Seconds()/seconds, (busy(instances[:1])-one).Seconds()/seconds
		messages = screens.messages.Load() - messages
		screens.Close()
		all := screens.allLatencies()
		slices.Sort(all)
		t.row(n, int(float64(messages)/seconds), quantile(all, 0.5), quantile(all, 0.99), queries, cores, oneCore)
	}
	t.flush()
	return nil
}

// scaleReads reads charts and exports with and without a replica.
func scaleReads(ctx context.Context, e *Env) error {
	fmt.Fprintf(e.Out, "\nreads by %d clients, beside a %d Hz car\n", scaleClients, liveRate)
	if err := fillSeries(ctx, e); err != nil {
		return err
	}
	name, err := url.Parse(e.URL)
	if err != nil {
		return err
	}
	replica, err := withDatabase(e.ReplicaURL, strings.TrimPrefix(name.Path, "/"))
	if err != nil {
		return err
	}
	with, err := process.Start(os.Stderr, e.Program, e.URL, "TELEMETRYD_READ_DATABASE_URL="+replica)
	if err != nil {
		return err
	}
	defer with.Stop()
	other, err := openReplica(ctx, replica)
	if err != nil {
		return err
	}
	defer other.Close()
	replicaCPU := func() time.Duration {
		return serverCPU(ctx, func(ctx context.Context, sql string) (pid int, err error) {
			return pid, other.QueryRow(ctx, sql).Scan(&pid)
		})
	}
	length := time.Duration(e.SeriesRecords) * time.Second / seriesRate
	t := newTable(e.Out, "reads", "from", "reads/s", "p50 ms", "p99 ms", "primary ms/read", "replica ms/read", "upload p99 ms", "served by the replica")
	for _, what := range []struct {
		name   string
		window time.Duration
		path   string
	}{
		{"chart of 10 min", 10 * time.Minute, "series?metrics=speed_ms,power_w,voltage_v&points=1000"},
		{"CSV of 1 min", time.Minute, "records?format=csv"},
	} {
		for _, from := range []struct {
			name string
			at   *process.Process
		}{{"primary", e.Daemon}, {"replica", with}, {"primary", e.Daemon}, {"replica", with}} {
			car := newLiveCar(e)
			driving, stop := context.WithCancel(ctx)
			var uploads []float64
			var background sync.WaitGroup
			background.Go(func() { _ = car.drive(driving, time.Hour, &uploads) })
			var mu sync.Mutex
			var all []float64
			read := func(for_ time.Duration, keep bool) error {
				return together(scaleClients, func(c int) error {
					random := rand.New(rand.NewPCG(uint64(c), 1))
					client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					var took []float64
					for end := time.Now().Add(for_); time.Now().Before(end); {
						a, b := windowAt(random, what.window, length)
						begun := time.Now()
						if err := get(ctx, client, fmt.Sprintf("%s/api/v1/sessions/%s/%s&from=%s&to=%s", from.at.URL, seriesSession, what.path,
							url.QueryEscape(a.Format(time.RFC3339Nano)), url.QueryEscape(b.Format(time.RFC3339Nano)))); err != nil {
							return err
						}
						took = append(took, time.Since(begun).Seconds()*1000)
					}
					mu.Lock()
					defer mu.Unlock()
					if keep {
						all = append(all, took...)
					}
					return nil
				})
			}
			err := read(time.Second, false)
			const served = `telemetryd_replica_reads_total{served_by="replica"}`
			before, one, two := metric(ctx, from.at, served), e.databaseCPU(ctx), replicaCPU()
			begun := time.Now()
			err = errors.Join(err, read(scaleWindow, true))
			seconds := time.Since(begun).Seconds()
			one, two = e.databaseCPU(ctx)-one, replicaCPU()-two
			share := metric(ctx, from.at, served) - before
			stop()
			background.Wait()
			if err != nil {
				return err
			}
			slices.Sort(all)
			slices.Sort(uploads)
			n := float64(len(all))
			t.row(what.name, from.name, n/seconds, quantile(all, 0.5), quantile(all, 0.99), ms(one)/n, ms(two)/n, quantile(uploads, 0.99), fmt.Sprintf("%.0f %%", 100*share/n))
		}
	}
	t.flush()
	return nil
}

// openReplica waits until the replica has the scratch database.
func openReplica(ctx context.Context, address string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, err
	}
	for range 300 {
		if err = pool.Ping(ctx); err == nil {
			return pool, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	pool.Close()
	return nil, fmt.Errorf("the replica does not have the database: %w", err)
}

func get(ctx context.Context, client *http.Client, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	authorize(r)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL.Path, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// together runs n of them at once and returns what went wrong.
func together(n int, work func(i int) error) error {
	problems := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { problems[i] = work(i) })
	}
	group.Wait()
	return errors.Join(problems...)
}
