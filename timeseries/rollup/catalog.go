package rollup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Catalog is what reads and refreshes need to know of a database's rollups.
type Catalog struct {
	// Tables holds the table behind each rollup that has one, by its relation.
	// Reads use it rather than the view: the view joins what is materialized with
	// the records behind its watermark, which costs more to plan than a read
	// takes, and it would not show late records. rollup_progress says better what
	// is materialized.
	Tables map[string]string
	// Oldest is where the records began when that was last looked at. What lies before
	// is only in the rollups, if a retention policy dropped it.
	Oldest time.Time
	// Settings is the SELECT that prepares a transaction for a read; its
	// parameter is the statement timeout in milliseconds.
	Settings string

	// version is that of the rollups' definition.
	version string
	// aggregates tells that the rollups are continuous aggregates. On the Apache
	// edition the refresher fills tables of ours.
	aggregates bool
	// refreshOptions is what a refresh passes beside its window.
	refreshOptions string
	// quiet tells that a refresh may keep what it does out of the server's log.
	quiet bool
}

// Stored reports whether there are tables to read. There are none while
// another edition's rollups wait to be made anew.
func (c *Catalog) Stored() bool { return len(c.Tables) > 0 }

// Catalog returns the database's, which is read once and kept until Outdated
// finds out that it no longer holds.
func (r *Rollups) Catalog(ctx context.Context, q schema.Querier) (*Catalog, error) {
	if c := r.catalog.Load(); c != nil {
		return c, nil
	}
	c, err := readCatalog(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("find the rollups: %w", err)
	}
	r.catalog.Store(c)
	return c, nil
}

// FindDropped looks, once a minute, where the records begin now, for the catalog and the
// caller: no batch tells of those that a retention policy drops. Of callers at the same
// time, one looks.
func (r *Rollups) FindDropped(ctx context.Context, q schema.Querier) (oldest time.Time, looked bool, err error) {
	last, now := r.looked.Load(), time.Now().UnixNano()
	if now-last < int64(time.Minute) || !r.looked.CompareAndSwap(last, now) {
		return oldest, false, nil
	}
	if oldest, err = OldestRecord(ctx, q); err != nil {
		r.looked.Store(last) // the next one looks
		return oldest, false, fmt.Errorf("find where records begin: %w", err)
	}
	if c := r.catalog.Load(); c != nil && c.Oldest.Before(oldest) {
		later := *c
		later.Oldest = oldest
		r.catalog.CompareAndSwap(c, &later)
	}
	return oldest, true, nil
}

// Outdated reports whether a read failed since another instance has made the
// rollups anew. The next Catalog is a fresh one then.
func (r *Rollups) Outdated(err error) bool {
	if !schema.HasCode(err, pgerrcode.UndefinedTable) {
		return false
	}
	r.catalog.Store(nil)
	return true
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

func readCatalog(ctx context.Context, q schema.Querier) (*Catalog, error) {
	version, err := definitionVersion(ctx, q, "")
	if err != nil {
		return nil, err
	}
	c := &Catalog{version: version}
	var known []string
	var refreshArguments int
	err = q.QueryRow(ctx, `
		SELECT (SELECT array_agg(name) FROM pg_settings WHERE name = ANY($1)),
		       (SELECT coalesce(max(pronargs), 0) FROM pg_proc WHERE proname = 'refresh_continuous_aggregate'),
		       has_parameter_privilege('log_min_messages', 'SET')`,
		settingNames()).Scan(&known, &refreshArguments, &c.quiet)
	if err != nil {
		return nil, err
	}
	var calls []string
	for _, setting := range readSettings {
		if slices.Contains(known, setting[0]) {
			calls = append(calls, fmt.Sprintf("set_config('%s', '%s', true)", setting[0], setting[1]))
		}
	}
	c.Settings = "SELECT " + strings.Join(calls, ", ") + ", set_config('statement_timeout', $1, true)"
	if refreshArguments >= 5 {
		// By default a refresh goes by ten buckets at a time, which is slow where
		// buckets are short.
		c.refreshOptions = `, options => '{"buckets_per_batch": 0}'`
	}
	if c.Oldest, err = OldestRecord(ctx, q); err != nil {
		return nil, err
	}
	if c.aggregates, err = hasContinuousAggregates(ctx, q); err != nil {
		return nil, err
	}
	found := map[string]string{}
	if !c.aggregates {
		for _, r := range plainRelations() {
			var there bool
			if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", plainTable(r.name)).Scan(&there); err != nil {
				return nil, err
			}
			if !there {
				return c, nil // made by the community edition and not rebuilt yet
			}
			found[r.name] = plainTable(r.name)
		}
		c.Tables = found
		return c, nil
	}
	// What charts read of rollups is in memory, so that an index costs little.
	c.Settings += ", set_config('random_page_cost', '1', true)"
	for _, r := range relations() {
		table, _, err := materialization(ctx, q, r.name)
		if err != nil {
			return nil, err
		}
		if table == "" {
			return c, nil // made by the Apache edition and not rebuilt yet
		}
		found[r.name] = table
	}
	c.Tables = found
	return c, nil
}

func settingNames() []string {
	var names []string
	for _, setting := range readSettings {
		names = append(names, setting[0])
	}
	return names
}
