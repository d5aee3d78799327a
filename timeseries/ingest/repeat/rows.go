package repeat

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Held is what an upload knows of the records that a session held before
// it began. A stored record stands for one record of the upload at most, so
// that repeated rows of a file are stored as often as the file has them.
type Held struct {
	Batch int32              // the watermark when the upload began
	used  map[int32][]uint64 // for each batch, one bit for each record already matched
}

// NewHeld begins an upload to a session of that watermark.
func NewHeld(batch int32) *Held { return &Held{Batch: batch, used: map[int32][]uint64{}} }

func (h *Held) take(batch, ord int32) {
	bits := h.used[batch]
	if word := int(ord >> 6); word >= len(bits) {
		bits = append(bits, make([]uint64, word+1-len(bits))...)
		h.used[batch] = bits
	}
	bits[ord>>6] |= 1 << (ord & 63)
}

func (h *Held) taken(batch, ord int32) bool {
	bits := h.used[batch]
	return int(ord>>6) < len(bits) && bits[ord>>6]>>(ord&63)&1 != 0
}

// Rows are stored records that may be some of an upload's.
type Rows struct {
	held     *Held
	channels []int
	at       map[int64][]storedRow // by time, µs
}

type storedRow struct {
	batch, ord int32
	values     [][]byte // of the channels, then all others, in PostgreSQL's binary form
	taken      bool
}

// Read reads the session's records at those times, with the layout's columns.
func (h *Held) Read(ctx context.Context, tx pgx.Tx, session int32, layout *record.Layout, times []time.Time) (*Rows, error) {
	r := &Rows{held: h, channels: layout.Channels.Channels(), at: map[int64][]storedRow{}}
	if len(times) == 0 {
		return r, nil
	}
	var sql strings.Builder
	sql.WriteString("SELECT time, batch, ord")
	for _, f := range r.channels {
		sql.WriteString(", " + channel.All[f].Name)
	}
	if layout.Extra || layout.Numbers {
		sql.WriteString(", record_members(numbers, extra)")
	}
	sql.WriteString(`
		FROM telemetry
		WHERE session = $1 AND batch <= $2 AND time >= $3 AND time <= $4 AND time = ANY($5)
		ORDER BY time, batch, ord`)
	rows, err := tx.Query(ctx, sql.String(), pgx.QueryResultFormats{pgx.BinaryFormatCode},
		session, h.Batch, slices.MinFunc(times, time.Time.Compare), slices.MaxFunc(times, time.Time.Compare), times)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var key record.Columns
	for rows.Next() {
		raw := rows.RawValues()
		key.Reset(raw)
		at := key.Micros()
		row := storedRow{batch: key.Int32(), ord: key.Int32(), values: make([][]byte, len(raw)-3)}
		if key.Err() != nil {
			return nil, key.Err()
		}
		if h.taken(row.batch, row.ord) {
			continue
		}
		for i, value := range raw[3:] {
			if value != nil {
				row.values[i] = append([]byte{}, value...) // the driver reuses its buffer
			}
		}
		r.at[at] = append(r.at[at], row)
	}
	return r, rows.Err()
}

// Len is at how many times there are any.
func (r *Rows) Len() int { return len(r.at) }

// Take reports whether one of them is the record, and has it stand for no other.
func (r *Rows) Take(v *record.Values) bool {
	candidates := r.at[v.Micros]
	for i := range candidates {
		if row := &candidates[i]; !row.taken && row.covers(v, r.channels) {
			row.taken = true
			r.held.take(row.batch, row.ord)
			return true
		}
	}
	return false
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
