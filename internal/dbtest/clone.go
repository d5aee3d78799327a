package dbtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/await"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

const (
	// Each database of a TimescaleDB server has a scheduler process of its
	// own, so a test process must not hold many.
	maxLive = 12
	// One without workers has each in its own memory, about 250 MB.
	maxLiveLone = 3
	// How many templates are kept on a server. Checkouts with different
	// schemas may share it.
	maxTemplates = 16

	templatePrefix = "tdtemplate_"
	clonePrefix    = "tdtest_"
)

type kind int

const (
	kindMigrated kind = iota
	kindEmpty
)

type handle struct {
	t    testing.TB
	name string
}

var handles = struct {
	sync.Mutex
	url map[handle]string
}{url: map[handle]string{}}

// database returns the URL of the test's database of that name, making it when
// there is none yet.
func database(t testing.TB, name string, k kind) string {
	t.Helper()
	h := handle{t, name}
	handles.Lock()
	url, ok := handles.url[h]
	handles.Unlock()
	if ok {
		return url
	}
	s := connect(t)
	select {
	case s.live <- struct{}{}:
	case <-time.After(await.Patience):
		t.Fatalf("dbtest: %d databases are in use by this process and none was given back within %v; "+
			"call t.Parallel() before dbtest, so that waiting tests hold none", cap(s.live), await.Patience)
	}
	ctx, cancel := short(t.Context())
	defer cancel()
	db, err := s.create(ctx, k)
	if err != nil {
		<-s.live
		t.Fatalf("dbtest: %v", err)
	}
	url = withDatabase(s.base, db)
	handles.Lock()
	handles.url[h] = url
	handles.Unlock()
	t.Cleanup(func() {
		defer func() { <-s.live }()
		handles.Lock()
		delete(handles.url, h)
		handles.Unlock()
		ctx, cancel := short(context.Background())
		defer cancel()
		if err := s.drop(ctx, db); err != nil {
			t.Errorf("dbtest: %v", err)
		}
	})
	return url
}

func (s *server) create(ctx context.Context, k kind) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := "template0"
	if k == kindMigrated {
		if err := s.ensureTemplate(ctx); err != nil {
			return "", fmt.Errorf("prepare the template database: %w", err)
		}
		source = s.template
	}
	s.serial++
	name := fmt.Sprintf("%s%d_%d", clonePrefix, s.process, s.serial)
	statement := "CREATE DATABASE " + name + " TEMPLATE " + source
	if !s.singleBackend {
		statement += " STRATEGY file_copy" // half the processor time of a copy by way of the log
	}
	if _, err := s.admin.Exec(ctx, statement); err != nil {
		return "", fmt.Errorf("clone %s: %w", source, err)
	}
	return name, nil
}

func (s *server) drop(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

// ensureTemplate makes the template of this version of the schema if the
// server does not have it. A template is complete once it is marked as one;
// from then on nobody can connect to it, since a clone needs it without
// sessions, TimescaleDB's own scheduler among them.
func (s *server) ensureTemplate(ctx context.Context) (err error) {
	if s.template != "" {
		return nil
	}
	version, err := fingerprint()
	if err != nil {
		return err
	}
	name := templatePrefix + version
	if s.singleBackend {
		return s.ensureLoneTemplate(ctx, name)
	}

	if _, err := s.admin.Exec(ctx, "SELECT pg_advisory_lock($1, 0)", lockTemplate); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := s.admin.Exec(ctx, "SELECT pg_advisory_unlock($1, 0)", lockTemplate)
		if err == nil {
			err = unlockErr
		}
	}()
	if err := s.sweep(ctx, name); err != nil {
		return err
	}
	var complete bool
	err = s.admin.QueryRow(ctx,
		"SELECT count(*) > 0 FROM pg_database WHERE datname = $1 AND datistemplate AND NOT datallowconn", name).Scan(&complete)
	if err != nil {
		return err
	}
	if !complete {
		if err := s.makeTemplate(ctx, name); err != nil {
			return err
		}
	}
	s.template = name
	return nil
}

// ensureLoneTemplate does the same where one test process has the server to
// itself, and databases appear in no catalog.
func (s *server) ensureLoneTemplate(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
	switch {
	case schema.HasCode(err, pgerrcode.DuplicateDatabase): // an earlier package made it
	case err != nil:
		return err
	default:
		if err := s.fillTemplate(ctx, name); err != nil {
			return err
		}
		if _, err := s.admin.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true"); err != nil {
			return err
		}
	}
	s.template = name
	return nil
}

func (s *server) fillTemplate(ctx context.Context, name string) error {
	url := withDatabase(s.base, name)
	if err := createExtension(ctx, url); err != nil {
		return err
	}
	// No policies: a background worker would change the data under a test.
	return rollup.Migrate(ctx, url, &rollup.Policies{})
}

func (s *server) makeTemplate(ctx context.Context, name string) error {
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)",
		"CREATE DATABASE " + name + " TEMPLATE template0",
	} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := s.fillTemplate(ctx, name); err != nil {
		return err
	}
	comment := "made " + time.Now().UTC().Format(time.RFC3339)
	for _, sql := range []string{
		"COMMENT ON DATABASE " + name + " IS '" + comment + "'",
		"ALTER DATABASE " + name + " WITH ALLOW_CONNECTIONS false IS_TEMPLATE true",
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" + name + "'",
	} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// createExtension runs in a connection of its own: the extension can only be
// created by the first statements of one.
func createExtension(ctx context.Context, url string) error {
	conn, err := schema.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS timescaledb"); err != nil {
		return fmt.Errorf("create the timescaledb extension: %w", err)
	}
	return nil
}

// sweep drops the clones of processes that are gone, and the oldest templates
// when there are many. keep is the template that must stay.
func (s *server) sweep(ctx context.Context, keep string) error {
	stale, err := schema.List(ctx, s.admin, pgx.RowTo[string], `
		SELECT datname FROM pg_database d
		WHERE datname LIKE 'tdtest\_%' AND NOT EXISTS (
			SELECT FROM pg_locks l
			WHERE l.locktype = 'advisory' AND l.classid = $1 AND l.objid::text = split_part(d.datname, '_', 2))`, lockProcess)
	if err != nil {
		return err
	}
	old, err := schema.List(ctx, s.admin, pgx.RowTo[string], `
		SELECT datname FROM pg_database
		WHERE datname LIKE 'tdtemplate\_%' AND datname <> $1
		ORDER BY shobj_description(oid, 'pg_database') DESC NULLS LAST OFFSET $2`, keep, maxTemplates-1)
	if err != nil {
		return err
	}
	for _, name := range old {
		if _, err := s.admin.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE false"); err != nil {
			return err
		}
	}
	for _, name := range append(stale, old...) {
		_, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		if err != nil && !strings.Contains(err.Error(), "being accessed") {
			return fmt.Errorf("drop %s, left behind by an earlier run: %w", name, err)
		}
	}
	return nil
}
