package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/analyst"
	schema "github.com/ecovolt/telemetryd/sql"
)

// The oldest versions that the daemon works with. TimescaleDB 2.14 is the
// first one whose columnstore can be written and updated freely enough.
const (
	minimumPostgres  = 15
	minimumTimescale = "2.14"
)

// Level says how much a finding matters.
type Level int

// The levels.
const (
	Fine    Level = iota
	Warning       // works, but worse than it could
	Problem       // does not work
)

// String returns the level's name: ok, warning or problem.
func (l Level) String() string {
	switch l {
	case Fine:
		return "ok"
	case Warning:
		return "warning"
	case Problem:
		return "problem"
	}
	return "level " + strconv.Itoa(int(l))
}

// MarshalText is String, for JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was looked at.
type Finding struct {
	Level   Level  `json:"level"`
	Subject string `json:"subject"`          // such as "TimescaleDB"
	Found   string `json:"found"`            // what is the case
	Advice  string `json:"advice,omitempty"` // what to do; empty when it is fine
}

// Require returns nil when the daemon can work on the database, or else an error
// that says why it cannot and what to do. It reads only.
func Require(ctx context.Context, db schema.Querier) error {
	findings, err := Database(ctx, db)
	if err != nil {
		return err
	}
	var problems []error
	for _, f := range findings {
		if f.Level == Problem {
			problems = append(problems, fmt.Errorf("%s: %s. %s", f.Subject, f.Found, f.Advice))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("this database cannot be used: %w", errors.Join(problems...))
	}
	return nil
}

// Database looks at the server behind the connection. The error says that it
// could not be asked.
func Database(ctx context.Context, db schema.Querier) ([]Finding, error) {
	f, err := read(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("ask the database: %w", err)
	}
	findings := []Finding{f.postgres()}
	if findings[0].Level == Problem {
		return findings, nil // the rest may not even be known there
	}
	if err := db.QueryRow(ctx, "SELECT has_parameter_privilege('log_min_messages', 'SET')").Scan(&f.quiet); err != nil {
		return nil, fmt.Errorf("ask the database: %w", err)
	}
	findings = append(findings, f.timescale(), f.mends(), f.edition(), f.encoding(), f.writable(), f.permissions(), f.durability(), f.checksummed(),
		f.workers(), f.serverLog(), f.clock(), f.size())
	if f.migrationKnown {
		findings = append(findings, f.migrations())
	}
	lacks, err := analyst.Lacks(ctx, db)
	if err != nil {
		return nil, err
	}
	findings = append(findings, analysts(lacks)...)
	shown := findings[:0]
	for _, finding := range findings {
		if finding.Subject != "" {
			shown = append(shown, finding)
		}
	}
	return shown, nil
}

// facts are what the server told.
type facts struct {
	versionNumber int    // such as 170012
	versionText   string // such as 17.12
	database      string
	user          string

	extension string // version in the database, or empty
	available string // version that can be installed, or empty
	preloaded string // shared_preload_libraries, or empty where we may not read it
	license   string

	serverEncoding string
	inRecovery     bool
	readOnly       bool

	mayCreate       bool // schemas in the database
	mayCreatePublic bool // tables in the schema public
	mayCreateRole   bool
	superuser       bool

	fsync             string
	synchronousCommit string
	checksums         bool
	quiet             bool // we may keep lines out of the server's log
	workerProcesses   int
	timescaleWorkers  string

	clockAhead time.Duration // server minus us
	clockError time.Duration // how wrong clockAhead can be

	bytes int64

	migrationKnown bool
	migration      int64
	dirty          bool
}

func read(ctx context.Context, db schema.Querier) (facts, error) {
	var f facts
	err := db.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, split_part(current_setting('server_version'), ' ', 1),
			current_database()::text, current_user::text,
			coalesce((SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), ''),
			coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'), ''),
			coalesce((SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'), ''),
			coalesce(current_setting('timescaledb.license', true), ''),
			current_setting('server_encoding'), pg_is_in_recovery(),
			current_setting('default_transaction_read_only')::bool,
			has_database_privilege(current_database(), 'CREATE'),
			coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false),
			r.rolcreaterole OR r.rolsuper, r.rolsuper,
			current_setting('fsync'), current_setting('synchronous_commit'), current_setting('data_checksums')::bool,
			current_setting('max_worker_processes')::int,
			coalesce(current_setting('timescaledb.max_background_workers', true), ''),
			pg_database_size(current_database()),
			to_regclass('schema_migrations') IS NOT NULL
		FROM pg_roles r WHERE r.rolname = current_user`).Scan(
		&f.versionNumber, &f.versionText, &f.database, &f.user,
		&f.extension, &f.available, &f.preloaded, &f.license,
		&f.serverEncoding, &f.inRecovery, &f.readOnly,
		&f.mayCreate, &f.mayCreatePublic, &f.mayCreateRole, &f.superuser,
		&f.fsync, &f.synchronousCommit, &f.checksums, &f.workerProcesses, &f.timescaleWorkers,
		&f.bytes, &f.migrationKnown)
	if err != nil {
		return facts{}, err
	}
	if f.migrationKnown {
		err := db.QueryRow(ctx, "SELECT version, dirty FROM schema_migrations").Scan(&f.migration, &f.dirty)
		switch {
		case errors.Is(err, pgx.ErrNoRows), schema.HasCode(err, pgerrcode.InsufficientPrivilege): // empty, or not for us
			f.migrationKnown = false
		case err != nil:
			return facts{}, err
		}
	}
	return f, f.readClock(ctx, db)
}

// readClock asks a few times and believes the quickest answer.
func (f *facts) readClock(ctx context.Context, db schema.Querier) error {
	for range 3 {
		var server time.Time
		before := time.Now()
		if err := db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&server); err != nil {
			return err
		}
		trip := time.Since(before)
		if f.clockError == 0 || trip/2 < f.clockError {
			f.clockError = max(trip/2, 1)
			f.clockAhead = server.Sub(before.Add(trip / 2))
		}
	}
	return nil
}

// versionAtLeast compares dotted versions by their numbers: 2.9 < 2.14.
func versionAtLeast(version, minimum string) bool {
	have, want := numbers(version), numbers(minimum)
	for i, w := range want {
		if i >= len(have) {
			return w == 0
		}
		if have[i] != w {
			return have[i] > w
		}
	}
	return true
}

// numbers reads a version up to what is no number, as in 2.15.0-dev.
func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		digits := part
		if end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = part[:end]
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		out = append(out, n)
		if digits != part {
			break
		}
	}
	return out
}
