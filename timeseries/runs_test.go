package timeseries_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// runSample is a record as the tests of rollups and series make it. A nil value
// is one that the record lacks.
type runSample struct {
	time  time.Time
	speed *float64
	power *float64
	mode  string
}

// run makes random records of a session: a cadence with jitter, gaps, missing
// values, spikes and timestamps that repeat.
func run(rng *rand.Rand, start time.Time, n int) []runSample {
	cadence := time.Duration(20+rng.IntN(400)) * time.Millisecond
	if rng.IntN(4) == 0 {
		cadence *= 50
	}
	t := start
	samples := make([]runSample, 0, n)
	speed := 8.0
	for range n {
		switch rng.IntN(200) {
		case 0:
			t = t.Add(time.Duration(rng.Int64N(int64(20 * time.Minute))))
		case 1: // the same timestamp again
		default:
			t = t.Add(cadence + time.Duration(rng.Int64N(int64(cadence/4))))
		}
		speed += rng.Float64() - 0.5
		s := runSample{time: t.Truncate(time.Microsecond), mode: []string{"eco", "normal", "coasting"}[rng.IntN(3)]}
		if rng.IntN(10) > 0 {
			v := speed
			if rng.IntN(300) == 0 {
				v += float64(rng.IntN(2)*2-1) * 1000
			}
			s.speed = &v
		}
		if rng.IntN(3) > 0 {
			v := rng.NormFloat64() * 300
			s.power = &v
		}
		samples = append(samples, s)
	}
	return samples
}

func encodeSamples(session string, samples []runSample) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, s := range samples {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"session_id":%q,"timestamp":%q`, session, s.time.UTC().Format("2006-01-02T15:04:05.000000+00:00"))
		if s.mode != "" {
			fmt.Fprintf(&b, `,"driver_mode":%q`, s.mode)
		}
		number := func(name string, v *float64) {
			if v != nil {
				fmt.Fprintf(&b, `,%q:%s`, name, strconv.FormatFloat(*v, 'g', -1, 64))
			}
		}
		number("speed_ms", s.speed)
		number("power_w", s.power)
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes()
}

// store sends samples as one batch.
func store(t testing.TB, s *timeseries.Store, session string, samples []runSample) {
	t.Helper()
	storeJSON(t, s, encodeSamples(session, samples))
}

func storeJSON(t testing.TB, s *timeseries.Store, records []byte) {
	t.Helper()
	b := decode.NewBatch()
	defer b.Release()
	if err := decode.Records(records, b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Writer.Ingest(t.Context(), b, ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
}

func refresh(t testing.TB, s *timeseries.Store) rollup.Result {
	t.Helper()
	for {
		result, err := s.Rollups.Refresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !result.Busy {
			return result
		}
	}
}

type rollupRelation struct {
	relation string
	width    time.Duration
}

// storedToo lists the relations of all levels, and on the Apache edition the
// tables that serve series in their place.
func storedToo(t testing.TB, pool *pgxpool.Pool, relation func(rollup.Level) string) []rollupRelation {
	t.Helper()
	var list []rollupRelation
	for _, level := range rollup.Levels {
		name := relation(level)
		if name == "" {
			continue
		}
		list = append(list, rollupRelation{name, level.Width})
		var stored bool
		if err := pool.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", name+"_stored").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if stored {
			list = append(list, rollupRelation{name + "_stored", level.Width})
		}
	}
	return list
}

// equal fails with the buckets that a query, to which the relation and its width in
// seconds are given, counts as others than the records make them.
func (level rollupRelation) equal(t testing.TB, pool *pgxpool.Pool, query string) {
	t.Helper()
	var wrong int
	var example string
	if err := pool.QueryRow(t.Context(), fmt.Sprintf(query, level.relation, int(level.width.Seconds()))).Scan(&wrong, &example); err != nil {
		t.Fatal(err)
	}
	if wrong > 0 {
		t.Errorf("%d buckets of %s differ from the records, such as session and bucket %s", wrong, level.relation, example)
	}
}

// levelsEqualRecords compares every level with a plain GROUP BY over the records.
func levelsEqualRecords(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	for _, level := range storedToo(t, pool, func(l rollup.Level) string { return l.Relation }) {
		level.equal(t, pool, `
			WITH raw AS (
				SELECT session, time_bucket(INTERVAL '%[2]d seconds', time) AS bucket, count(*) AS records, min(time) AS first_time, max(time) AS last_time,
				       min(speed_ms) AS smin, max(speed_ms) AS smax, sum(speed_ms) AS ssum, count(speed_ms) AS scount,
				       min(power_w) AS pmin, max(power_w) AS pmax, sum(power_w) AS psum, count(power_w) AS pcount
				FROM telemetry GROUP BY 1, 2
			), joined AS (
				SELECT coalesce(raw.session, l.session) AS session, coalesce(raw.bucket, l.bucket) AS bucket,
				       (raw.records, raw.first_time, raw.last_time, smin, smax, scount, pmin, pmax, pcount)
				       IS NOT DISTINCT FROM
				       (l.records, l.first_time, l.last_time, speed_ms_min, speed_ms_max, speed_ms_count, power_w_min, power_w_max, power_w_count)
				       AND (ssum IS NOT DISTINCT FROM speed_ms_sum OR abs(ssum - speed_ms_sum) <= 1e-9 * (abs(ssum) + 1000))
				       AND (psum IS NOT DISTINCT FROM power_w_sum OR abs(psum - power_w_sum) <= 1e-9 * (abs(psum) + 1000)) AS equal
				FROM raw FULL JOIN %[1]s l USING (session, bucket)
			)
			SELECT count(*), coalesce(min(session || ' ' || bucket), '') FROM joined WHERE equal IS NOT TRUE`)
	}
	statesEqualRecords(t, pool)
}

// statesEqualRecords does the same with the newest states. Of records that
// share a timestamp, any may be the newest.
func statesEqualRecords(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	for _, level := range storedToo(t, pool, func(l rollup.Level) string { return l.States }) {
		level.equal(t, pool, `
			WITH raw AS (
				SELECT session, time_bucket(INTERVAL '%[2]d seconds', time) AS bucket, max(time) FILTER (WHERE driver_mode IS NOT NULL) AS newest
				FROM telemetry GROUP BY 1, 2
			), modes AS (
				SELECT raw.session, raw.bucket, array_agg(t.driver_mode) FILTER (WHERE t.driver_mode IS NOT NULL) AS modes
				FROM raw LEFT JOIN telemetry t ON t.session = raw.session AND t.time = raw.newest
				GROUP BY 1, 2
			), joined AS (
				SELECT coalesce(m.session, l.session) AS session, coalesce(m.bucket, l.bucket) AS bucket,
				       m.session IS NOT NULL -- where no run carries a state there may be no row
				       AND coalesce(l.driver_mode = ANY(m.modes), m.modes IS NULL AND l.driver_mode IS NULL) AS equal
				FROM modes m FULL JOIN %[1]s l USING (session, bucket)
			)
			SELECT count(*), coalesce(min(session || ' ' || bucket), '') FROM joined WHERE equal IS NOT TRUE`)
	}
}
