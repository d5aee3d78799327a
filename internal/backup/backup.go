package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Programs finds pg_dump and pg_restore. They must be at least as new as the server.
type Programs interface {
	Path(name string) string
}

// errNotEmpty says that the database to restore into holds a schema already.
var errNotEmpty = errors.New("the database is not empty: restore into a new one")

// Dump writes the database to out in pg_dump's custom format, as of one moment,
// while it is in use.
func Dump(ctx context.Context, programs Programs, databaseURL string, out io.Writer) error {
	// What analysts may not call is the server's matter: who restores need not be
	// able to say so there.
	return run(ctx, programs, "pg_dump", databaseURL, nil, out, "--format=custom", "--no-owner", "--exclude-schema=pg_catalog")
}

// Restore fills an empty database from what Dump wrote. The server must have the
// version and edition of TimescaleDB that the dump was made with.
func Restore(ctx context.Context, programs Programs, databaseURL string, in io.Reader) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var used bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('public.telemetry') IS NOT NULL OR to_regclass('public.sessions') IS NOT NULL`).Scan(&used); err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	if used {
		return errNotEmpty
	}
	// Grants in the dump name the role, which belongs to the server, not to a database.
	if _, err := conn.Exec(ctx, `
		CREATE EXTENSION IF NOT EXISTS timescaledb;
		DO $$
		BEGIN
			CREATE ROLE telemetry_analyst LOGIN CONNECTION LIMIT 20;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
		END
		$$;
		SELECT timescaledb_pre_restore()`); err != nil {
		return fmt.Errorf("prepare the restore: %w", err)
	}
	// pg_restore's exit status is not zero when it only warned, as it does of the
	// extension that is there already: what it says of errors decides.
	restoreErr := run(ctx, programs, "pg_restore", databaseURL, in, nil, "--no-owner", "--exit-on-error")
	if _, err := conn.Exec(context.WithoutCancel(ctx), "SELECT timescaledb_post_restore()"); err != nil {
		restoreErr = errors.Join(restoreErr, fmt.Errorf("finish the restore: %w", err))
	}
	if restoreErr != nil {
		return restoreErr
	}
	// A restored table has no statistics; without them the first plans are bad.
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

func run(ctx context.Context, programs Programs, name, databaseURL string, in io.Reader, out io.Writer, args ...string) error {
	env, err := Environment(databaseURL)
	if err != nil {
		return err
	}
	database := ""
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PGDATABASE="); ok {
			database = value
		}
	}
	cmd := exec.CommandContext(ctx, programs.Path(name), append(args, "--dbname="+database)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout = in, out
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// Environment puts a database URL into the variables of PostgreSQL's programs,
// whose command lines others can read.
func Environment(databaseURL string) ([]string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, errors.New("the database URL cannot be read")
	}
	var env []string
	set := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	query := u.Query()
	set("PGHOST", u.Hostname())
	set("PGHOST", query.Get("host"))
	set("PGPORT", u.Port())
	set("PGPORT", query.Get("port"))
	if u.User != nil {
		password, _ := u.User.Password()
		set("PGUSER", u.User.Username())
		set("PGPASSWORD", password)
	}
	set("PGUSER", query.Get("user"))
	set("PGPASSWORD", query.Get("password"))
	set("PGDATABASE", filepath.Base(u.Path))
	set("PGSSLMODE", query.Get("sslmode"))
	set("PGSSLROOTCERT", query.Get("sslrootcert"))
	return env, nil
}
