package delta_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/delta"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	deltas := delta.New(pool)
	ctx := t.Context()
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	watched := []string{
		schema.TopicSession("a"), schema.TopicSession("b"), schema.TopicSession("gone"), schema.TopicSession("nul\x00"),
		schema.TopicSessions, schema.TopicUsers, schema.TopicUser("\xff"), schema.TopicLive,
	}
	read := func() map[string]string {
		t.Helper()
		versions, err := deltas.Versions(ctx, watched)
		if err != nil {
			t.Fatal(err)
		}
		return versions
	}

	first := read()
	if diff := cmp.Diff(map[string]string{"sessions": "0"}, first); diff != "" {
		t.Fatalf("empty database (-want +got):\n%s", diff)
	}
	if got, err := deltas.Versions(ctx, []string{schema.TopicUsers}); err != nil || len(got) != 0 {
		t.Fatalf("a list that nobody asked for: %v, %v", got, err)
	}

	// Each step must change exactly these topics.
	steps := []struct {
		name    string
		do      func()
		changed []string
	}{
		{"a session appears", func() { exec(`INSERT INTO sessions (id, batch) VALUES ('a', 1)`) }, []string{"session:a", "sessions"}},
		{"it grows", func() { exec(`UPDATE sessions SET batch = batch + 1 WHERE id = 'a'`) }, []string{"session:a", "sessions"}},
		{"it is renamed", func() { exec(`UPDATE sessions SET revision = revision + 1 WHERE id = 'a'`) }, []string{"session:a", "sessions"}},
		{"another that nobody watches", func() { exec(`INSERT INTO sessions (id, batch) VALUES ('c', 1)`) }, []string{"sessions"}},
		{"a change is announced", func() {
			err := schema.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
				return schema.Touch(ctx, tx, schema.TopicUsers, schema.TopicUser("1"))
			})
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"users"}},
		{"a goes and comes back the same size", func() {
			exec(`UPDATE sessions SET deleted_at = now() WHERE id = 'a'`)
			exec(`INSERT INTO sessions (id, batch, revision) VALUES ('a', 2, 1)`)
		}, []string{"session:a", "sessions"}},
		{"a goes", func() { exec(`UPDATE sessions SET deleted_at = now() WHERE id = 'a' AND deleted_at IS NULL`) }, []string{"session:a", "sessions"}},
		{"its records were removed at last", func() { exec(`DELETE FROM sessions WHERE deleted_at IS NOT NULL`) }, nil},
	}
	before := first
	for _, step := range steps {
		step.do()
		after := read()
		var changed []string
		for _, topic := range []string{"session:a", "session:b", "session:gone", "sessions", "users", "live"} {
			if before[topic] != after[topic] {
				changed = append(changed, topic)
			}
		}
		if diff := cmp.Diff(step.changed, changed); diff != "" {
			t.Errorf("%s: changed topics (-want +got):\n%s", step.name, diff)
		}
		before = after
	}
}
