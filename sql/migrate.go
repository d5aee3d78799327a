package schema

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// UpToDate reports whether the numbered migrations have nothing to do. It
// spares commands the locks and round trips of a migration.
func UpToDate(ctx context.Context, conn *pgx.Conn) (bool, error) {
	newest, err := Newest()
	if err != nil {
		return false, err
	}
	var version int
	var dirty bool
	if err := conn.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&version, &dirty); err != nil {
		return false, nil // not there yet, or not readable: the migration will tell
	}
	return version == newest && !dirty, nil
}

func upToDate(ctx context.Context, databaseURL string) (bool, error) {
	conn, err := Connect(ctx, databaseURL)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return UpToDate(ctx, conn)
}

// Newest is the highest number among the embedded migrations.
func Newest() (int, error) {
	names, err := fs.Glob(Migrations, "migrations/*.up.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	number, _, _ := strings.Cut(path.Base(slices.Max(names)), "_")
	return strconv.Atoi(number)
}

// Migrate brings the database to the newest schema. It is safe to run from
// several instances at once: golang-migrate holds an advisory lock meanwhile.
// It closes every connection that it opens.
func Migrate(ctx context.Context, databaseURL string) error {
	if current, err := upToDate(ctx, databaseURL); err != nil || current {
		return err
	}
	files, err := iofs.New(Migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	config, err := parseURL(databaseURL)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{MultiStatementEnabled: false})
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx5", driver)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	defer m.Close()
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
