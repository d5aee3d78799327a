package schema

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed repeatable/*.sql
var repeatableFiles embed.FS

// Repeatable is a group of database objects that is made anew, rather than
// altered, when its definition changes.
type Repeatable struct {
	Name string
	// Definition decides whether the objects are current: they are made again
	// when it differs from the one they were made from.
	Definition string
	// Make removes what any earlier definition left and makes the objects. It
	// runs in a transaction together with all the other groups.
	Make func(ctx context.Context, tx pgx.Tx) error
}

// ApplyRepeatables brings groups of objects up to date, in that order. Groups
// build on earlier ones: when one is made again, so are those that follow.
// Several instances may call it at once.
func ApplyRepeatables(ctx context.Context, databaseURL string, groups []Repeatable) error {
	conn, err := Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("apply repeatable objects: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return applyRepeatables(ctx, conn, groups)
}

// RepeatableFiles returns the groups that the files of sql/repeatable define, in
// the order of their names.
func RepeatableFiles() ([]Repeatable, error) { return repeatablesOf(repeatableFiles, "repeatable") }

func applyRepeatables(ctx context.Context, conn *pgx.Conn, groups []Repeatable) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := Lock(ctx, tx, "repeatables"); err != nil {
			return err
		}
		applied, err := appliedVersions(ctx, tx)
		if err != nil {
			return err
		}
		versions := repeatableVersions(groups)
		for i, group := range groups {
			version := versions[i]
			if applied[group.Name] == version {
				continue
			}
			if err := group.Make(ctx, tx); err != nil {
				return fmt.Errorf("make %s: %w", group.Name, err)
			}
			if _, err := tx.Exec(ctx, `
				INSERT INTO repeatable_objects (name, version) VALUES ($1, $2)
				ON CONFLICT (name) DO UPDATE SET version = $2, applied_at = clock_timestamp()`,
				group.Name, version); err != nil {
				return fmt.Errorf("record the version of %s: %w", group.Name, err)
			}
		}
		return nil
	})
}

// RepeatablesCurrent reports whether ApplyRepeatables has nothing to do.
func RepeatablesCurrent(ctx context.Context, conn *pgx.Conn, groups []Repeatable) (bool, error) {
	applied, err := appliedVersions(ctx, conn)
	if err != nil {
		return false, err
	}
	for i, version := range repeatableVersions(groups) {
		if applied[groups[i].Name] != version {
			return false, nil
		}
	}
	return true, nil
}

func appliedVersions(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) (map[string]string, error) {
	rows, err := q.Query(ctx, "SELECT name, version FROM repeatable_objects")
	if err != nil {
		return nil, fmt.Errorf("read versions of repeatable objects: %w", err)
	}
	applied := map[string]string{}
	var name, version string
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		applied[name] = version
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read versions of repeatable objects: %w", err)
	}
	return applied, nil
}

// repeatableVersions returns each group's version. The running digest makes it
// depend on all groups before it.
func repeatableVersions(groups []Repeatable) []string {
	versions := make([]string, len(groups))
	digest := sha256.New()
	for i, group := range groups {
		fmt.Fprintf(digest, "%s %d\n%s", group.Name, len(group.Definition), group.Definition)
		versions[i] = hex.EncodeToString(digest.Sum(nil))
	}
	return versions
}

// repeatablesOf reads a folder of SQL files. Each must cope with what an
// earlier version of itself left behind.
func repeatablesOf(files fs.FS, dir string) ([]Repeatable, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read repeatable objects: %w", err)
	}
	var groups []Repeatable
	for _, entry := range entries {
		text, err := fs.ReadFile(files, dir+"/"+entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read repeatable objects: %w", err)
		}
		groups = append(groups, Repeatable{
			Name:       entry.Name(),
			Definition: string(text),
			Make: func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, string(text))
				return err
			},
		})
	}
	return groups, nil
}
