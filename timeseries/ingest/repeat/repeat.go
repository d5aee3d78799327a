package repeat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// Repeat compares the instants of an upload with those of a run: the session that
// it went to, as it was before, or another one.
type Repeat struct {
	Instants int `json:"instants"`
	There    int `json:"there"` // of these, instants at which the run has records
	// Held are the run's records, and Covered those thereof at instants of the
	// upload: where they are nearly all, it may be the same drive and more of it.
	Held    int    `json:"held"`
	Covered int    `json:"covered"`
	Run     string `json:"of,omitempty"` // id of another run
}

// String says it to a person.
func (r *Repeat) String() string {
	where := ""
	if r.Run != "" {
		where = fmt.Sprintf(" in run %q", fault.Clip(r.Run))
	}
	if Nearly(r.There, r.Instants) {
		return fmt.Sprintf("%d of the %d instants have records%s already: this may be the same drive", r.There, r.Instants, where)
	}
	return fmt.Sprintf("%d of the %d records%s are at instants of this one already: this may be the same drive, and more of it", r.Covered, r.Held, where)
}

// Likely reports whether one has nearly all that the other has.
func (r *Repeat) Likely() bool { return Nearly(r.There, r.Instants) || Nearly(r.Covered, r.Held) }

// Nearly reports whether part is 95 % of a whole.
func Nearly(part, whole int) bool { return whole > 0 && 20*part >= 19*whole }

// leastDifferent is how many different values must be the same.
const leastDifferent = 10

// leastShared is how many instants two runs must share to be one drive: small
// files say little.
const leastShared = 20

const (
	overlapsSQL = `
		SELECT o.session, o.id, o.records, n.session, n.first_time, n.last_time
		FROM sessions n
		JOIN sessions o ON o.deleted_at IS NULL AND o.session <> n.session AND o.first_time <= n.last_time AND o.last_time >= n.first_time
		WHERE n.id = $1 AND n.deleted_at IS NULL
		ORDER BY least(o.last_time, n.last_time) - greatest(o.first_time, n.first_time) DESC, o.session
		LIMIT 20`

	// No join of the two: of a run that has just come the planner expects a record or
	// none, and would go over all of the other for each of its own.
	sharedSQL = `
		SELECT count(*) FILTER (WHERE new > 0), count(*) FILTER (WHERE new > 0 AND held > 0), coalesce(sum(held) FILTER (WHERE new > 0), 0)::int
		FROM (
			SELECT count(*) FILTER (WHERE session = $1) AS new, count(*) FILTER (WHERE session = $2) AS held
			FROM telemetry
			WHERE session IN ($1, $2) AND time >= $3 AND time <= $4
			GROUP BY time
		) instants`

	// Two cars may be driven at the same seconds: so a few of the instants must
	// have the same values, and different ones among them: a speed of 5, 6, 7, 5, 6, 7
	// is the same by chance. Another export may have rounded them, or be in other
	// units: what is off by a hundredth of a channel's range is the same. Of repeated
	// instants the first records are compared.
	sameValuesSQL = `
		WITH file AS (
			SELECT time, row_number() OVER (ORDER BY time) AS place, count(*) OVER () AS places
			FROM telemetry
			WHERE session IN ($1, $2) AND time >= $3 AND time <= $4
			GROUP BY time
			HAVING count(*) FILTER (WHERE session = $1) > 0 AND count(*) FILTER (WHERE session = $2) > 0
		), compared AS (
			SELECT a.key, a.value, a.value = b.value AS same,
			       CASE WHEN jsonb_typeof(a.value) = 'number' AND jsonb_typeof(b.value) = 'number' THEN a.value::float8 END AS number,
			       CASE WHEN jsonb_typeof(a.value) = 'number' AND jsonb_typeof(b.value) = 'number' THEN abs(a.value::float8 - b.value::float8) END AS off
			FROM file
			CROSS JOIN LATERAL (SELECT to_jsonb(t) - ARRAY['extra', 'numbers'] || coalesce(record_members(numbers, extra), '{}') AS record FROM telemetry t WHERE t.session = $1 AND t.time >= $3 AND t.time <= $4 AND t.time = file.time ORDER BY batch, ord LIMIT 1) f
			CROSS JOIN LATERAL (SELECT to_jsonb(t) - ARRAY['extra', 'numbers'] || coalesce(record_members(numbers, extra), '{}') AS record FROM telemetry t WHERE t.session = $2 AND t.time >= $3 AND t.time <= $4 AND t.time = file.time ORDER BY batch, ord LIMIT 1) r
			CROSS JOIN LATERAL jsonb_each(f.record - $5::text[]) a
			JOIN LATERAL jsonb_each(r.record) b ON a.key = b.key AND a.value <> 'null' AND b.value <> 'null'
			WHERE place % greatest(1, places / 100) = 0
		), ranged AS (
			SELECT key, value, same OR coalesce(off < 0.01 * (max(number) OVER channel - min(number) OVER channel), false) AS same
			FROM compared
			WINDOW channel AS (PARTITION BY key)
		)
		SELECT count(DISTINCT (key, value)) >= $6 AND count(*) FILTER (WHERE same) >= 0.9 * count(*)
		FROM ranged`
)

// Elsewhere looks for a new session's drive in the runs of the same time, by
// instants and by values of channels that were measured, not derived from others.
// It returns nil where it finds none that is likely.
func Elsewhere(ctx context.Context, tx pgx.Tx, id string) (*Repeat, error) {
	type run struct {
		Session  int32
		ID       string
		Records  int
		New      int32
		From, To time.Time // of the new one
	}
	runs, err := schema.List(ctx, tx, pgx.RowToStructByPos[run], overlapsSQL, id)
	if err != nil {
		return nil, err
	}
	ignored := []string{"time", "session", "batch", "ord", "time_text"}
	for _, i := range derived.Channels() {
		ignored = append(ignored, channel.All[i].Name)
	}
	for _, of := range runs {
		r := Repeat{Run: of.ID, Held: of.Records}
		if err := tx.QueryRow(ctx, sharedSQL, of.New, of.Session, of.From, of.To).Scan(&r.Instants, &r.There, &r.Covered); err != nil {
			return nil, err
		}
		if r.There < leastShared || !r.Likely() {
			continue
		}
		var same bool
		if err := tx.QueryRow(ctx, sameValuesSQL, of.New, of.Session, of.From, of.To, ignored, leastDifferent).Scan(&same); err != nil {
			return nil, err
		}
		if same {
			return &r, nil
		}
	}
	return nil, nil
}
