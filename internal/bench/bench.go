package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/process"
)

// Options say what to measure and where.
type Options struct {
	DatabaseURL string   // a server to make a scratch database on
	Suites      []string // names; none means all
	Rows        int      // records of each ingest case
	// SeriesRecords is the length of the session that series are read from.
	SeriesRecords int
	// SeriesOthers is how many more sessions of that length lie beside it.
	SeriesOthers int
	Program      string // the telemetryd binary, run as the daemon under test
	// ReplicaURL is a streaming replica of the server; empty measures none.
	ReplicaURL string
	PGBinDir   string // where psql is; empty looks on PATH
	Out        io.Writer
	Log        *slog.Logger
}

// Env is what a suite works with: a migrated scratch database, and the daemon
// under test in a process of its own.
type Env struct {
	Options
	Pool   *pgxpool.Pool
	URL    string // of the scratch database
	Daemon *process.Process

	programs time.Duration // processor time of those that were run to their end
}

// Suite is a group of measurements that belong together.
type Suite struct {
	Name  string
	About string
	Run   func(ctx context.Context, e *Env) error
}

// Suites lists what can be measured.
func Suites() []Suite {
	return []Suite{
		{"ingest", "records/s into one hypertable, beside psql \\copy of the same rows", ingest},
		{"costs", "processor time of values until all that follows them is done, beside psql \\copy", costs},
		{"series", "reads of one long session at every zoom, beside a GROUP BY of its records", series},
		{"live", "from the start of an upload to every screen, at 50 commits/s", live},
		{"scale", "one, two and three instances; reads with and without a replica", scale},
		{"screens", "uploads of 200 records beside a 50 Hz car that 1,000 screens watch, and that none does", watched},
	}
}

// Run measures the chosen suites and writes their tables.
func Run(ctx context.Context, opt Options, migrate func(ctx context.Context, url string) error) error {
	chosen := []Suite{}
	for _, s := range Suites() {
		if len(opt.Suites) == 0 || slices.Contains(opt.Suites, s.Name) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("there is no suite of that name: %s", strings.Join(opt.Suites, ", "))
	}
	for _, suite := range chosen {
		if err := runSuite(ctx, opt, suite, migrate); err != nil {
			return fmt.Errorf("suite %s: %w", suite.Name, err)
		}
	}
	return nil
}

func runSuite(ctx context.Context, opt Options, suite Suite, migrate func(context.Context, string) error) (err error) {
	url, drop, err := scratch(ctx, opt.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() {
		if dropErr := drop(); err == nil {
			err = dropErr
		}
	}()
	if err := migrate(ctx, url); err != nil {
		return err
	}
	e := &Env{Options: opt, URL: url}
	if e.Pool, err = pgxpool.New(ctx, url); err != nil {
		return err
	}
	defer e.Pool.Close()
	if e.Daemon, err = process.Start(os.Stderr, opt.Program, url); err != nil {
		return err
	}
	defer e.Daemon.Stop()
	var server string
	if err := e.Pool.QueryRow(ctx, `
		SELECT format('PostgreSQL %s, TimescaleDB %s (%s)', current_setting('server_version'),
		              (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
		              current_setting('timescaledb.license'))`).Scan(&server); err != nil {
		return err
	}
	fmt.Fprintf(opt.Out, "\n%s: %s\n%s\n\n", suite.Name, suite.About, server)
	return suite.Run(ctx, e)
}

// refreshed waits until rollups, summaries and what is kept of members without a column
// hold all that was stored.
func refreshed(ctx context.Context, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) error {
	for {
		var behind bool
		err := db.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT FROM sessions s
				LEFT JOIN rollup_progress p USING (session) LEFT JOIN session_summaries m USING (session)
				LEFT JOIN member_progress c USING (session) LEFT JOIN member_level_progress l USING (session)
				WHERE s.batch > least(coalesce(p.batch, 0), coalesce(m.batch, 0), coalesce(c.batch, 0), coalesce(l.batch, 0)) AND s.deleted_at IS NULL)`).Scan(&behind)
		if err != nil || !behind {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// scratch makes a database and returns its URL and what drops it.
func scratch(ctx context.Context, serverURL string) (string, func() error, error) {
	admin, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		return "", nil, fmt.Errorf("connect: %w", err)
	}
	name := fmt.Sprintf("telemetryd_bench_%d", time.Now().UnixNano())
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		_ = admin.Close(ctx)
		return "", nil, err
	}
	drop := func() error {
		ctx := context.WithoutCancel(ctx)
		defer admin.Close(ctx)
		_, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	}
	url, err := withDatabase(serverURL, name)
	if err != nil {
		return "", nil, err
	}
	return url, drop, nil
}

// authorize puts the deploy key on a request.
func authorize(r *http.Request) { r.Header.Set("Authorization", process.Authorization) }

func withDatabase(serverURL, name string) (string, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return "", errors.New("the database URL cannot be read")
	}
	u.Path = "/" + name
	return u.String(), nil
}
