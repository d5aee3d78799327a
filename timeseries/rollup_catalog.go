package timeseries

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// catalog is what reads and refreshes need to know of the database's rollups.
type catalog struct {
	// version is that of the rollups' definition.
	version string
	// aggregates tells that the rollups are continuous aggregates. On the Apache
	// edition the refresher fills tables of ours.
	aggregates bool
	// tables holds the table behind each rollup that has one, by its relation.
	// Reads use it rather than the view: the view joins what is materialized with
	// the records behind its watermark, which costs more to plan than a read
	// takes, and it would not show late records. rollup_progress says better what
	// is materialized.
	tables map[string]string
	// oldest is where the records began when this was read. What lies before is
	// only in the rollups, if a retention policy dropped it.
	oldest time.Time
	// settings is the SELECT that prepares a transaction for a read.
	settings string
	// refreshOptions is what a refresh passes beside its window.
	refreshOptions string
}

// stored tells that there are tables to read.
func (c *catalog) stored() bool { return len(c.tables) > 0 }

// catalogCache keeps the catalog until a read finds it outdated.
type catalogCache struct {
	mu      sync.Mutex
	current *catalog
}

// forget makes the next caller look again.
func (c *catalogCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
}

func (c *catalogCache) get(ctx context.Context, q querier) (*catalog, error) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if current != nil {
		return current, nil
	}
	current, err := readCatalog(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("find the rollups: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = current
	return current, nil
}

// readSettings make the planner fit for short analytic reads. Compiling a
// query takes longer than running it; a generic plan opens every chunk there
// is; and the merge of sorted batches keeps the columnstore from aggregating
// whole vectors.
var readSettings = [][2]string{
	{"jit", "off"},
	{"plan_cache_mode", "force_custom_plan"},
	{"timescaledb.enable_decompression_sorted_merge", "off"},
}

func readCatalog(ctx context.Context, q querier) (*catalog, error) {
	version, err := rollupVersion(ctx, q, "")
	if err != nil {
		return nil, err
	}
	c := &catalog{version: version}
	var known []string
	var refreshArguments int
	err = q.QueryRow(ctx, `
		SELECT (SELECT array_agg(name) FROM pg_settings WHERE name = ANY($1)),
		       (SELECT coalesce(max(pronargs), 0) FROM pg_proc WHERE proname = 'refresh_continuous_aggregate')`,
		settingNames()).Scan(&known, &refreshArguments)
	if err != nil {
		return nil, err
	}
	var calls []string
	for _, setting := range readSettings {
		if slices.Contains(known, setting[0]) {
			calls = append(calls, fmt.Sprintf("set_config('%s', '%s', true)", setting[0], setting[1]))
		}
	}
	c.settings = "SELECT " + strings.Join(calls, ", ") + ", set_config('statement_timeout', $1, true)"
	if refreshArguments >= 5 {
		// By default a refresh goes by ten buckets at a time, which is slow where
		// buckets are short.
		c.refreshOptions = `, options => '{"buckets_per_batch": 0}'`
	}
	if c.oldest, err = oldestChunk(ctx, q); err != nil {
		return nil, err
	}
	if c.aggregates, err = hasContinuousAggregates(ctx, q); err != nil {
		return nil, err
	}
	found := map[string]string{}
	if !c.aggregates {
		for _, r := range plainRollups() {
			var there bool
			if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", r.plainTable()).Scan(&there); err != nil {
				return nil, err
			}
			if !there {
				return c, nil // made by the community edition and not rebuilt yet
			}
			found[r.relation] = r.plainTable()
		}
		c.tables = found
		return c, nil
	}
	// What charts read of rollups is in memory, so that an index costs little.
	c.settings += ", set_config('random_page_cost', '1', true)"
	for _, r := range rollups() {
		table, _, err := materialization(ctx, q, r.relation)
		if err != nil {
			return nil, err
		}
		if table == "" {
			return c, nil // made by the Apache edition and not rebuilt yet
		}
		found[r.relation] = table
	}
	c.tables = found
	return c, nil
}

func settingNames() []string {
	var names []string
	for _, setting := range readSettings {
		names = append(names, setting[0])
	}
	return names
}

// undefinedTable reports that a table of the catalog is gone, since another
// instance made the rollups anew.
func undefinedTable(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42P01"
}
