package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/analyst"
	schema "github.com/ecovolt/telemetryd/sql"
)

func (f facts) postgres() Finding {
	finding := Finding{Subject: "PostgreSQL", Found: fmt.Sprintf("%s, database %s as user %s", f.versionText, f.database, f.user)}
	if f.versionNumber < minimumPostgres*10_000 {
		finding.Level = Problem
		finding.Found = "version " + f.versionText + " is too old"
		finding.Advice = fmt.Sprintf("Use PostgreSQL %d or newer", minimumPostgres)
	}
	return finding
}

func (f facts) timescale() Finding {
	finding := Finding{Subject: "TimescaleDB", Found: f.extension}
	version := f.extension
	if version == "" {
		version = f.available
		finding.Found = f.available + ", not yet created in this database"
	}
	switch {
	case version == "":
		finding.Level = Problem
		finding.Found = "it is not installed on the server"
		finding.Advice = "Install the timescaledb package of this PostgreSQL version, or use the database of docker-compose.yml or `make db`"
	case !versionAtLeast(version, minimumTimescale):
		finding.Level = Problem
		finding.Found = "version " + version + " is too old"
		finding.Advice = "Install TimescaleDB " + minimumTimescale + " or newer and run ALTER EXTENSION timescaledb UPDATE in a new psql session"
	case f.extension == "" && f.preloaded != "" && !strings.Contains(f.preloaded, "timescaledb"),
		f.extension == "" && f.superuser && f.preloaded == "":
		finding.Level = Problem
		finding.Found = "the server does not load it at its start"
		finding.Advice = "Put shared_preload_libraries = 'timescaledb' into postgresql.conf and restart the server"
	case f.extension == "" && !f.mayCreate:
		finding.Level = Problem
		finding.Found = fmt.Sprintf("it is not created in database %s, and user %s may not create it", f.database, f.user)
		finding.Advice = "As an administrator, run CREATE EXTENSION timescaledb there"
	case f.extension != "" && f.available != "" && f.extension != f.available:
		finding.Level = Warning
		finding.Found = fmt.Sprintf("%s, while the server has %s", f.extension, f.available)
		finding.Advice = "Run ALTER EXTENSION timescaledb UPDATE in a new psql session"
	}
	return finding
}

func (f facts) edition() Finding {
	switch f.license {
	case "timescale":
		return Finding{Subject: "Edition", Found: "community: rollups are stored from 1 s up, and the columnstore makes history small"}
	case "apache":
		return Finding{Subject: "Edition", Level: Warning,
			Found:  "Apache-2: rollups are stored from 10 s up, finer charts are read from the records, and there is no columnstore",
			Advice: "For large data use the community edition, as docker-compose.yml does"}
	}
	return Finding{}
}

func (f facts) encoding() Finding {
	finding := Finding{Subject: "Encoding", Found: f.serverEncoding}
	if f.serverEncoding != "UTF8" {
		finding.Level = Problem
		finding.Advice = "Create the database with ENCODING 'UTF8'"
	}
	return finding
}

func (f facts) writable() Finding {
	switch {
	case f.inRecovery:
		return Finding{Subject: "Writes", Level: Problem, Found: "the server is a standby and takes no writes", Advice: "Connect to the primary"}
	case f.readOnly:
		return Finding{Subject: "Writes", Level: Problem, Found: "default_transaction_read_only is on", Advice: "Turn it off for this user or database"}
	}
	return Finding{}
}

func (f facts) permissions() Finding {
	finding := Finding{Subject: "Permissions", Found: "enough to migrate"}
	switch {
	case !f.mayCreatePublic && !f.migrationKnown:
		finding.Level = Problem
		finding.Found = fmt.Sprintf("user %s may not create tables in the schema public", f.user)
		finding.Advice = fmt.Sprintf("As an administrator, run GRANT CREATE ON SCHEMA public TO %s, or make it the owner of the database", f.user)
	case !f.mayCreate:
		finding.Level = Warning
		finding.Found = fmt.Sprintf("user %s may not create schemas in database %s", f.user, f.database)
		finding.Advice = fmt.Sprintf("As an administrator, run GRANT CREATE ON DATABASE %s TO %s", f.database, f.user)
	case !f.mayCreateRole:
		finding.Level = Warning
		finding.Found = fmt.Sprintf("user %s may not create roles, so analysts get none of their own", f.user)
		finding.Advice = fmt.Sprintf("As an administrator, run ALTER ROLE %s CREATEROLE", f.user)
	}
	return finding
}

func (f facts) durability() Finding {
	finding := Finding{Subject: "Durability", Found: "what is acknowledged is on disk"}
	if f.fsync != "on" || f.synchronousCommit == "off" {
		finding.Level = Warning
		finding.Found = fmt.Sprintf("fsync is %s and synchronous_commit %s: a power cut can lose acknowledged records", f.fsync, f.synchronousCommit)
		finding.Advice = "Turn both on where the data matters"
	}
	return finding
}

func (f facts) checksummed() Finding {
	if f.checksums {
		return Finding{}
	}
	return Finding{
		Subject: "Checksums", Level: Warning, Found: "data checksums are off: what a failing disk returns is taken for what was stored",
		Advice: "Stop the server and run pg_checksums --enable on its data directory; telemetryd does so at the start of a server of its own",
	}
}

// serverLog warns where the refreshes of continuous aggregates flood it.
func (f facts) serverLog() Finding {
	if f.quiet || f.license != "timescale" {
		return Finding{}
	}
	return Finding{
		Subject: "Server log", Level: Warning, Found: "each refresh of the rollups writes lines to it, up to 300 MB a day",
		Advice: fmt.Sprintf("As a superuser, run GRANT SET ON PARAMETER log_min_messages TO %s and restart telemetryd", f.user),
	}
}

func (f facts) workers() Finding {
	timescale, err := strconv.Atoi(f.timescaleWorkers)
	if err != nil {
		return Finding{}
	}
	finding := Finding{Subject: "Workers", Found: fmt.Sprintf("%d, of which TimescaleDB may use %d", f.workerProcesses, timescale)}
	if f.workerProcesses < timescale+3 {
		finding.Level = Warning
		finding.Advice = fmt.Sprintf("Set max_worker_processes to %d or more, or background jobs may not start", timescale+11)
	}
	return finding
}

func (f facts) clock() Finding {
	apart := f.clockAhead.Abs()
	finding := Finding{Subject: "Clock"}
	switch {
	case apart <= max(2*f.clockError, 50*time.Millisecond):
		finding.Found = "the server's and ours agree"
		return finding
	case f.clockAhead > 0:
		finding.Found = fmt.Sprintf("the server's is %v ahead of ours", apart.Round(time.Millisecond))
	default:
		finding.Found = fmt.Sprintf("the server's is %v behind ours", apart.Round(time.Millisecond))
	}
	if apart > 2*time.Second {
		finding.Level = Warning
		finding.Advice = "Let both machines keep time by NTP; live views judge freshness by the server's clock"
	}
	return finding
}

func (f facts) size() Finding {
	return Finding{Subject: "Size", Found: size(f.bytes)}
}

func (f facts) migrations() Finding {
	finding := Finding{Subject: "Schema", Found: "migrated to version " + strconv.FormatInt(f.migration, 10)}
	if f.dirty {
		finding.Level = Problem
		finding.Found = fmt.Sprintf("the migration to version %d failed half-way", f.migration)
		finding.Advice = "Look at the log of the migration, restore a backup or repair by hand, then set schema_migrations.dirty to false"
		return finding
	}
	if newest, err := schema.Newest(); err == nil && f.migration > int64(newest) {
		finding.Level = Problem
		finding.Found += fmt.Sprintf(" by a newer telemetryd: this one knows versions up to %d", newest)
		finding.Advice = "Start the newer telemetryd, or restore a backup from before its upgrade"
	}
	return finding
}

// analysts says what those can do that the server does not let us forbid.
func analysts(lacks []analyst.Lack) (findings []Finding) {
	for _, l := range lacks {
		findings = append(findings, Finding{Subject: "Analysts", Level: Warning, Found: "they " + l.What, Advice: "As a superuser: " + l.Advice})
	}
	return findings
}
