package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// existing is what an upload knows of the records that a session held before
// it began. A stored record stands for one record of the upload at most, so
// that repeated rows of a file are stored as often as the file has them.
type existing struct {
	batch int32              // the watermark when the upload began
	used  map[int32][]uint64 // for each batch, one bit for each record already matched
}

func (e *existing) take(batch, ord int32) {
	bits := e.used[batch]
	if word := int(ord >> 6); word >= len(bits) {
		bits = append(bits, make([]uint64, word+1-len(bits))...)
		e.used[batch] = bits
	}
	bits[ord>>6] |= 1 << (ord & 63)
}

func (e *existing) taken(batch, ord int32) bool {
	bits := e.used[batch]
	return int(ord>>6) < len(bits) && bits[ord>>6]>>(ord&63)&1 != 0
}

// storedRow is a stored record that may be one of the rows.
type storedRow struct {
	batch, ord int32
	values     [][]byte // of the rows' fields, then extra, in PostgreSQL's binary form
	taken      bool
}

// skipExisting leaves out of a share what the session, which is locked, holds
// already. The share keeps its digest, so that the whole input is recognised
// when it comes again.
func (u *upload) skipExisting(ctx context.Context, tx pgx.Tx, s *share) error {
	held := u.existing[s.id]
	if held == nil {
		held = &existing{batch: s.batch - 1, used: map[int32][]uint64{}}
		u.existing[s.id] = held
	}
	if held.batch == 0 {
		return nil
	}
	for i, r := range s.rows {
		order := slices.Collect(r.indexes())
		stored, err := readStored(ctx, tx, r, order, s.session, held)
		if err != nil {
			return fmt.Errorf("compare with stored records: %w", err)
		}
		aside, err := asideBefore(ctx, tx, r, s, held.batch)
		if err != nil {
			return fmt.Errorf("compare with records set aside: %w", err)
		}
		if len(stored)+len(aside) == 0 {
			continue
		}
		// Records with more fields choose first: what matches them matches less else.
		slices.SortStableFunc(order, func(x, y int) int {
			vx, vy := r.batch.Record(x), r.batch.Record(y)
			return cmp.Compare(vy.Present.Count(), vx.Present.Count())
		})
		drop := map[int]bool{}
		for _, i := range order {
			v := r.batch.Record(i)
			if drop[i] = aside[i]; drop[i] || v.Odd != "" {
				continue
			}
			candidates := stored[v.Micros]
			for c := range candidates {
				row := &candidates[c]
				if !row.taken && row.covers(&v, r.layout.Channels.Channels()) {
					row.taken = true
					held.take(row.batch, row.ord)
					drop[i] = true
					break
				}
			}
		}
		s.rows[i] = newCopyRows(r.batch, r.session, 0, drop, nil)
	}
	s.take(s.rows)
	return nil
}

// asideBefore returns the rows' records that the session has set aside already,
// or had until somebody put them back or dropped them, by their places.
func asideBefore(ctx context.Context, tx pgx.Tx, r *copyRows, s *share, batch int32) (map[int]bool, error) {
	if !s.before.odd {
		return nil, nil
	}
	var places []int
	var timestamps, members []string
	for i := range r.indexes() {
		v := r.batch.Record(i)
		odd := newOddRecord(&v, i, 0, cmp.Or(v.Odd, record.Stray))
		places, timestamps, members = append(places, i), append(timestamps, odd.timestamp), append(members, odd.members)
	}
	rows, err := tx.Query(ctx, `
		SELECT place
		FROM unnest($3::int[], $4::text[], $5::text[]) AS odd (place, timestamp, record)
		WHERE (timestamp, record::jsonb) IN (SELECT timestamp, record FROM set_aside WHERE session = $1 AND batch <= $2)
		   OR sha256(convert_to(timestamp || record::jsonb::text, 'UTF8')) IN (SELECT digest FROM repaired WHERE session = $1 AND batch <= $2)`,
		s.session, batch, places, timestamps, members)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int])
	before := map[int]bool{}
	for _, place := range list {
		before[place] = true
	}
	return before, err
}

// readStored reads the session's records that have the time of one of the
// rows, by time.
func readStored(ctx context.Context, tx pgx.Tx, r *copyRows, order []int, session int32, held *existing) (map[int64][]storedRow, error) {
	times := make([]time.Time, 0, len(order))
	for _, i := range order {
		times = append(times, time.UnixMicro(r.batch.Record(i).Micros))
	}
	var sql strings.Builder
	sql.WriteString("SELECT time, batch, ord")
	for _, f := range r.layout.Channels.Channels() {
		sql.WriteString(", " + channel.All[f].Name)
	}
	if r.layout.Extra {
		sql.WriteString(", extra")
	}
	sql.WriteString(`
		FROM telemetry
		WHERE session = $1 AND batch <= $2 AND time >= $3 AND time <= $4 AND time = ANY($5)
		ORDER BY time, batch, ord`)
	rows, err := tx.Query(ctx, sql.String(), pgx.QueryResultFormats{pgx.BinaryFormatCode},
		session, held.batch, time.UnixMicro(r.minMicros), time.UnixMicro(r.maxMicros), times)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[int64][]storedRow{}
	var key record.Columns
	for rows.Next() {
		raw := rows.RawValues()
		key.Reset(raw)
		at := key.Micros()
		row := storedRow{batch: key.Int32(), ord: key.Int32(), values: make([][]byte, len(raw)-3)}
		if key.Err() != nil {
			return nil, key.Err()
		}
		if held.taken(row.batch, row.ord) {
			continue
		}
		for i, value := range raw[3:] {
			if value != nil {
				row.values[i] = append([]byte{}, value...) // the driver reuses its buffer
			}
		}
		stored[at] = append(stored[at], row)
	}
	return stored, rows.Err()
}

// derived are the channels that bridge, importer and dashboards work out of
// others. What they say is no measurement: they are neither compared nor new.
var derived = masked(
	"session_name", // a person's, not the car's
	"total_acceleration", "motor_voltage_v", "motor_current_a", "motor_phase_current_a", "outlier_severity", "current_efficiency_km_kwh",
	"cumulative_energy_kwh", "route_distance_km", "avg_speed_kmh", "max_speed_kmh", "avg_power", "avg_voltage", "avg_current", "max_power_w", "max_current_a",
	"optimal_speed_kmh", "optimal_speed_ms", "optimal_efficiency_km_kwh", "optimal_speed_confidence", "optimal_speed_data_points", "optimal_speed_range",
	"motion_state", "driver_mode", "throttle_intensity", "brake_intensity", "current_g_force", "max_g_force", "accel_magnitude", "avg_acceleration",
	"elevation_gain_m", "quality_score")

// pageMembers are what the historical dashboard's export has and no record was
// sent with: HA.normalizeRecord of the team's repository adds them. It also puts
// 0 where a record lacks a value, or works the value out of others
// (pageComputed), and writes objects as [object Object].
var (
	pageMembers = []string{
		"speed_kmh", "g_force", "lat", "lon", "alt", "instEfficiency", "accEfficiency", "efficiency", "cumEnergy", "routeDist",
		"optimalSpeed", "optimalSpeedMs", "optimalEfficiency", "optimalConfidence", "optimalDataPoints", "optimalRange",
		"motionState", "driverMode", "qualityScore", "outlierSeverity", "outlierFields", "outlierReasons"}
	pageComputed = masked("speed_ms", "power_w", "throttle_pct", "brake_pct", "brake2_pct", "vesc_voltage_v", "vesc_current_a")
)

func masked(names ...string) (m record.Mask) {
	for _, name := range names {
		i, _ := channel.Index(name)
		m.Set(i)
	}
	return m
}

// covers reports whether the stored record, read with those channels, is the
// record v: they share a member, all that they share are equal, and v has none
// that the stored record lacks. What somebody worked out of the others does not
// count.
func (stored *storedRow) covers(v *record.Values, channels []int) bool {
	shared, page := 0, false
	if len(v.Extra) > 0 {
		var members, held map[string]json.RawMessage
		if json.Unmarshal(v.Extra, &members) != nil {
			return false
		}
		if raw := stored.values[len(channels)]; raw != nil && json.Unmarshal(raw[1:], &held) != nil {
			return false
		}
		for name, value := range members {
			if slices.Contains(pageMembers, name) {
				page = true
			} else if other, ok := held[name]; !ok || !record.SameJSON(other, value) {
				return false
			} else {
				shared++
			}
		}
	}
	for c, i := range channels {
		kind := channel.All[i].Type
		switch raw := stored.values[c]; {
		case !v.Present.Has(i) || derived.Has(i) || page && kind == channel.JSON:
		case raw == nil && page && (pageComputed.Has(i) || kind == channel.Float && math.Float64frombits(v.Values[i]) == 0):
		case !v.Stored(i, raw):
			return false
		default:
			shared++
		}
	}
	return shared > 0
}
