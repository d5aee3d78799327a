package database

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/load"
)

// Pools are the connections of a daemon, apart by what they are for, so that no
// kind of work can take those of another. Nobody waits in a pool: its
// connections are the places of a load.Queue, which whoever asks for one enters
// as the context's caller.
type Pools struct {
	// Ingest is for records that come in and keys that bring them, the live hub,
	// and the daemon's work beside requests.
	Ingest *pgxpool.Pool
	// Reads is for what somebody waits for: charts, lists, sign-in.
	Reads *pgxpool.Pool
	// Exports is for long answers: whole runs and archive files.
	Exports *pgxpool.Pool
}

// kind is what a pool is for, and how long its work may take.
type kind struct {
	name string
	// patience is how long somebody waits for a connection.
	patience time.Duration
	// settings bound the statements of a connection. What takes as long as it
	// takes (rollups, columnstore, purges) lifts them for itself: schema.Unbounded.
	// Reads are planned with their times known: a plan for all times looks cheap
	// under a LIMIT, and locks every chunk.
	settings map[string]string
	// begin is what a connection runs besides, once.
	begin string
}

// compression has long values compressed by LZ4, where the server has it: it takes a
// fifth of the time that PostgreSQL's own does, of records of hundreds of members.
const compression = "SELECT set_config(name, 'lz4', false) FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"

var (
	ingestPool = kind{"ingest", 30 * time.Second, map[string]string{
		"statement_timeout": "5min", "lock_timeout": "4min", "idle_in_transaction_session_timeout": "5min",
	}, compression}
	readsPool = kind{"reads", 10 * time.Second, map[string]string{
		"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s", "plan_cache_mode": "force_custom_plan",
	}, ""}
	exportsPool = kind{"exports", 20 * time.Second, map[string]string{
		"statement_timeout": "60s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s", "plan_cache_mode": "force_custom_plan",
	}, ""}
)

const (
	// leastConnections is what a database must give for the pools to be apart.
	// With fewer, all work shares one.
	leastConnections = 10
	// usualConnections is the total where pool_max_conns does not tell, on up to
	// eight processors.
	usualConnections = 20
)

// OpenPools divides the connections that the URL's pool_max_conns names: a
// fifth for exports, a third for reads, the rest for ingest.
// Nothing connects before it is used. Close them.
func OpenPools(ctx context.Context, url string) (*Pools, error) {
	total, err := connections(url)
	if err != nil {
		return nil, err
	}
	if total < leastConnections {
		pool, err := open(ctx, url, ingestPool, total)
		return &Pools{pool, pool, pool}, err
	}
	exports, reads := max(2, total/5), total/3
	p := new(Pools)
	for _, one := range []struct {
		pool **pgxpool.Pool
		kind
		size int32
	}{{&p.Ingest, ingestPool, total - exports - reads}, {&p.Reads, readsPool, reads}, {&p.Exports, exportsPool, exports}} {
		if *one.pool, err = open(ctx, url, one.kind, one.size); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// OpenReplica makes a pool of a replica, for reads alone.
func OpenReplica(ctx context.Context, url string) (*pgxpool.Pool, error) {
	total, err := connections(url)
	if err != nil {
		return nil, err
	}
	return open(ctx, url, exportsPool, total)
}

// Names returns the pools that there are, by their names.
func (p *Pools) Names() map[string]*pgxpool.Pool {
	if p.Reads == p.Ingest {
		return map[string]*pgxpool.Pool{"all": p.Ingest}
	}
	return map[string]*pgxpool.Pool{ingestPool.name: p.Ingest, readsPool.name: p.Reads, exportsPool.name: p.Exports}
}

// Waits returns how long work waited for connections of a pool, and how much of
// it was turned away.
func Waits(pool *pgxpool.Pool) load.QueueStats {
	return pool.Config().ConnConfig.Tracer.(admission).queue.Stats()
}

// Close waits for what is under way.
func (p *Pools) Close() {
	for _, pool := range p.Names() {
		pool.Close()
	}
}

// connections returns how many connections the daemon may have.
func connections(url string) (int32, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return 0, err
	}
	// The driver's own default is too few to be divided.
	own, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, err
	}
	if own.RuntimeParams["pool_max_conns"] == "" {
		return max(usualConnections, int32(2*runtime.GOMAXPROCS(0))), nil
	}
	return config.MaxConns, nil
}

func open(ctx context.Context, url string, k kind, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	params := config.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "telemetryd"
	}
	var settings strings.Builder
	for _, name := range slices.Sorted(maps.Keys(k.settings)) {
		if params[name] == "" { // the URL's word counts
			fmt.Fprintf(&settings, "SET %s = '%s';", name, k.settings[name])
		}
	}
	settings.WriteString(k.begin)
	// Statements, since poolers refuse settings in the first message.
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, settings.String()).ReadAll()
		return err
	}
	// A connection that died with a restarted server is found before it is used.
	config.PingTimeout = 2 * time.Second
	config.MaxConns, config.MinConns = size, min(config.MinConns, size)
	// Nobody, however many requests it sends, takes the last connection.
	config.ConnConfig.Tracer = admission{load.NewQueue(int(size), int(size+1)/2, k.patience)}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool for %s: %w", k.name, err)
	}
	return pool, nil
}

// admission lets work wait in a queue before it asks a pool for a connection.
// The driver calls it, however the connection is asked for.
type admission struct{ queue *load.Queue }

// callerOf names the holder of a connection among what the driver keeps with it.
const callerOf = "telemetryd.caller"

// refused is the context of work that was turned away: the pool returns its error.
type refused struct {
	context.Context
	err error
}

func (r refused) Err() error { return r.err }

// TraceAcquireStart waits for the caller's turn.
func (a admission) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if err := a.queue.Enter(ctx); err != nil {
		over, cancel := context.WithCancel(ctx)
		cancel()
		return refused{over, err}
	}
	return ctx
}

// TraceAcquireEnd notes who holds the connection.
func (a admission) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, got pgxpool.TraceAcquireEndData) {
	if _, out := ctx.(refused); out {
		return
	}
	if got.Err != nil {
		a.queue.Leave(load.Caller(ctx))
		return
	}
	got.Conn.PgConn().CustomData()[callerOf] = load.Caller(ctx)
}

// TraceRelease lets the next one have it.
func (a admission) TraceRelease(_ *pgxpool.Pool, gone pgxpool.TraceReleaseData) {
	caller, _ := gone.Conn.PgConn().CustomData()[callerOf].(string)
	a.queue.Leave(caller)
}

// TraceQueryStart does nothing; a tracer must have it.
func (admission) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing; a tracer must have it.
func (admission) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
