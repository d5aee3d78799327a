package daemon

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// metrics are the daemon's figures in the conventions of Prometheus: base
// units, _total for counters, few label values.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	records  *prometheus.CounterVec
	batches  *prometheus.HistogramVec
	copying  prometheus.Counter
	storing  prometheus.Counter
	signIns  *prometheus.CounterVec
	stale    prometheus.Gauge
	newest   prometheus.Gauge
	over     prometheus.Gauge
	passes   *prometheus.CounterVec
	lag      prometheus.Histogram
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "telemetryd_http_request_duration_seconds", Help: "Time to answer requests, or until a socket ended.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "route", "status"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "telemetryd_ingest_records_total", Help: "Records taken in, by way in, and whether they were stored, set aside since their time cannot be right, rejected, or recognised as stored before.",
		}, []string{"source", "outcome"}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "telemetryd_ingest_duration_seconds", Help: "Time from an upload's first decoded record to after its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"source"}),
		copying: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telemetryd_ingest_copy_seconds_total", Help: "Time that uploads spent in COPY; set against telemetryd_ingest_seconds_total it is COPY's share.",
		}),
		storing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "telemetryd_ingest_seconds_total", Help: "Time that uploads took in all.",
		}),
	}
	m.signIns = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telemetryd_sign_ins_total", Help: "Sign-ins by outcome: succeeded, refused, blocked after too many attempts, or failed on our side.",
	}, []string{"outcome"})
	for _, outcome := range []string{"succeeded", "refused", "blocked", "failed"} {
		m.signIns.WithLabelValues(outcome) // at zero from the start, so that the first one is a rise
	}
	m.stale = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "telemetryd_rollup_staleness_seconds", Help: "For how long the oldest batch that the rollups lack has been stored.",
	})
	m.newest = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "telemetryd_newest_record_age_seconds", Help: "Age of the newest record of any run, by the record's time and the database's clock; NaN while there is none.",
	})
	m.newest.Set(math.NaN())
	m.over = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "telemetryd_channels_without_levels", Help: "Channels of runs, counted for each run, that have no levels since others came first: charts of them are made from the records.",
	})
	m.passes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "telemetryd_rollup_passes_total", Help: "Looks of the rollups' refresher for what changed, by outcome: done, left to another instance, or failed.",
	}, []string{"outcome"})
	m.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "telemetryd_hub_lag_seconds", Help: "Time from the storing of records to their being queued for the screens that watch them.",
		Buckets: []float64{.0025, .005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 10},
	})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "telemetryd_build_info", Help: "1, with the version as a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.records, m.batches, m.copying, m.storing, m.signIns, m.stale, m.newest, m.over, m.passes, m.lag, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) observeRequest(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) observeIngest(s ingest.Stats) {
	m.records.WithLabelValues(s.Source, "stored").Add(float64(s.Inserted))
	m.records.WithLabelValues(s.Source, "set_aside").Add(float64(s.SetAside))
	m.records.WithLabelValues(s.Source, "rejected").Add(float64(s.Rejected))
	m.records.WithLabelValues(s.Source, "already_stored").Add(float64(s.AlreadyStored))
	if s.Took == 0 {
		return // it was refused
	}
	m.batches.WithLabelValues(s.Source).Observe(s.Took.Seconds())
	m.copying.Add(s.Copying.Seconds())
	m.storing.Add(s.Took.Seconds())
}

func (m *metrics) observeRefresh(result rollup.Result, err error) {
	outcome := "done"
	switch {
	case err != nil:
		outcome = "failed"
	case result.Busy:
		outcome = "elsewhere"
	}
	m.passes.WithLabelValues(outcome).Inc()
}

func (m *metrics) observeSignIn(outcome string) { m.signIns.WithLabelValues(outcome).Inc() }

func (m *metrics) observeLag(lag time.Duration) { m.lag.Observe(lag.Seconds()) }

// gauge shows a figure that somebody else keeps.
func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// counter is gauge for figures that only grow.
func (m *metrics) counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

func (m *metrics) watchPool(name string, pool *pgxpool.Pool) {
	labels := prometheus.Labels{"pool": name}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	counter := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("telemetryd_pool_connections", "Connections to the database, open now.",
		func() float64 { return float64(pool.Stat().TotalConns()) })
	gauge("telemetryd_pool_acquired_connections", "Connections in use now.",
		func() float64 { return float64(pool.Stat().AcquiredConns()) })
	gauge("telemetryd_pool_max_connections", "Most connections that the pool may open.",
		func() float64 { return float64(pool.Stat().MaxConns()) })
	counter("telemetryd_pool_wait_seconds_total", "Time that work waited for a connection.",
		func() float64 { return database.Waits(pool).Waited.Seconds() })
	counter("telemetryd_pool_turned_away_total", "Requests that were turned away since their caller waited for too many connections, or for too long.",
		func() float64 { return float64(database.Waits(pool).TurnedAway) })
}

func (m *metrics) watchReplica(r *timeseries.Replica) {
	m.gauge("telemetryd_replica_up", "1 while the replica answers.", func() float64 {
		if r.Stats().Up {
			return 1
		}
		return 0
	})
	m.gauge("telemetryd_replica_lag_seconds", "For how long the replica has lacked something that the primary wrote.",
		func() float64 { return r.Stats().Lag.Seconds() })
	m.gauge("telemetryd_replica_lag_bytes", "Write-ahead log that the replica has not replayed yet.",
		func() float64 { return float64(r.Stats().BehindBytes) })
	for reason, count := range map[string]func(timeseries.ReplicaStats) int64{
		"replica":        func(s timeseries.ReplicaStats) int64 { return s.Served },
		"primary_behind": func(s timeseries.ReplicaStats) int64 { return s.Behind },
		"primary_away":   func(s timeseries.ReplicaStats) int64 { return s.Away },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "telemetryd_replica_reads_total",
			Help:        "Reads of exports, charts, laps and tracks by who served them: the replica, or the primary since the replica was behind or away.",
			ConstLabels: prometheus.Labels{"served_by": reason},
		}, func() float64 { return float64(count(r.Stats())) }))
	}
}

// watch shows what the parts of the daemon hold.
func (m *metrics) watch(d *Daemon) {
	for name, pool := range d.pools.Names() {
		m.watchPool(name, pool)
	}
	if d.replica != nil {
		m.watchReplica(d.replica)
	}
	m.gauge("telemetryd_hub_topics", "Topics that the live hub polls now.",
		func() float64 { return float64(d.Hub.Stats().Topics) })
	m.gauge("telemetryd_hub_subscribers", "Subscribers of the live hub now.",
		func() float64 { return float64(d.Hub.Stats().Subscribers) })
	m.counter("telemetryd_hub_polls_total", "Queries that the live hub sent.",
		func() float64 { return float64(d.Hub.Stats().Polls) })
	m.gauge("telemetryd_hub_healthy", "1 while the live hub reaches the database.", func() float64 {
		if ok, _ := d.Hub.Healthy(); ok {
			return 1
		}
		return 0
	})
	m.gauge("telemetryd_chart_memory_bytes", "Memory that holds what charts read of runs.",
		func() float64 { return float64(d.Store.Columns.Stats().Bytes) })
	m.counter("telemetryd_chart_memory_hits_total", "Charts that were made of what is in memory.",
		func() float64 { return float64(d.Store.Columns.Stats().Hits) })
	m.counter("telemetryd_chart_memory_misses_total", "Charts that were not.",
		func() float64 { return float64(d.Store.Columns.Stats().Misses) })
	m.counter("telemetryd_chart_memory_failures_total", "What charts missed in memory and could not be read to be held.",
		func() float64 { return float64(d.Store.Columns.Stats().Failures) })
	m.gauge("telemetryd_live_connections", "Connections of the live stream now.",
		func() float64 { return float64(d.Live.Stats().Connections) })
	m.gauge("telemetryd_live_sessions", "Sessions that the live stream follows now.",
		func() float64 { return float64(d.Live.Stats().Sessions) })
	m.counter("telemetryd_live_messages_total", "Messages that the live stream wrote.",
		func() float64 { return float64(d.Live.Stats().Frames) })
	m.counter("telemetryd_live_reads_total", "Reads of new records for all live connections together.",
		func() float64 { return float64(d.Live.Stats().DeltaReads) })
	m.counter("telemetryd_live_replay_reads_total", "Reads by connections that catch up.",
		func() float64 { return float64(d.Live.Stats().ReplayReads) })
	m.counter("telemetryd_live_overflows_total", "Subscriptions whose client read too slowly.",
		func() float64 { return float64(d.Live.Stats().Overflows) })
	m.counter("telemetryd_live_slow_total", "Live connections that were ended because their client read too slowly.",
		func() float64 { return float64(d.Live.Stats().Slow) })
	m.gauge("telemetryd_sync_sockets", "Sockets of Convex clients now.",
		func() float64 { return float64(d.sync.Stats().Sockets) })
	m.gauge("telemetryd_sync_queries", "Watched queries of Convex clients now; equal ones are shared.",
		func() float64 { return float64(d.sync.Stats().Queries) })
}
