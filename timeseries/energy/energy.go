package energy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/analysis/trail"
	"github.com/ecovolt/telemetryd/timeseries/kept"
)

const (
	// timeout bounds each statement.
	timeout = 10 * time.Second
	// keptBytes is how much of the answers of late is kept.
	keptBytes = 32 << 20
	// mostMinutes bounds the runs that there is an answer of: a step is held in some 200
	// bytes.
	mostMinutes = 5 * 24 * 60
)

// Reader says where the energy of runs of one database went. It is safe for concurrent use.
type Reader struct {
	pool    *pgxpool.Pool
	busy    *load.Queue
	answers *kept.Values[*Balance]
}

// New returns a Reader on the connections for what somebody waits for.
func New(pool *pgxpool.Pool) *Reader {
	return &Reader{pool, load.NewQueue(2, 1, 2*timeout), kept.New[*Balance](keptBytes)}
}

// Read returns where the energy of a run went, whose analysis must be up to date. It fails
// with fault.NotFound, and with fault.Unavailable where too many wait. The answer is not to be changed.
func (r *Reader) Read(ctx context.Context, id string) (answer *Balance, err error) {
	err = r.busy.Try(ctx, func(admitted bool) error {
		return schema.Snapshot(ctx, r.pool, timeout, func(tx pgx.Tx) error {
			var session int32
			var computed, named *time.Time
			var minutes int
			err := tx.QueryRow(ctx, `
				SELECT s.session, r.computed_at, t.updated_at, (SELECT count(*) FROM analysis_parts p WHERE p.session = s.session)
				FROM sessions s LEFT JOIN analysis_runs r USING (session) LEFT JOIN tracks t USING (track)
				WHERE s.id = $1 AND s.deleted_at IS NULL`, id).Scan(&session, &computed, &named, &minutes)
			if err == pgx.ErrNoRows {
				return fault.NoSession(id)
			}
			if err != nil {
				return err
			}
			key := ""
			if computed != nil {
				key = fmt.Sprint(session, computed.UnixMicro())
				if named != nil { // its sectors may have got names since
					key += fmt.Sprint(" ", named.UnixMicro())
				}
				if known, ok := r.answers.Get(key); ok {
					answer = known
					return nil
				}
			}
			if minutes > mostMinutes {
				answer = refuse(fmt.Sprintf("the run has records in %d minutes, and runs of up to %d are looked at", minutes, mostMinutes))
				answer.Session = id
				return nil
			}
			if !admitted {
				return load.ErrHeavy
			}
			if answer, err = read(ctx, tx, id, session); err == nil && key != "" {
				r.answers.Put(key, answer, answer.bytes())
			}
			return err
		})
	})
	if schema.TimedOut(ctx, err) {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the run could not be read in time", RetryAfter: timeout, Err: err}
	}
	if err != nil {
		return nil, fault.Wrap("say where the energy went", err)
	}
	return answer, nil
}

// lapRow and sectorRow are what the functions of schema analytics say.
type lapRow struct {
	Lap     int64
	From    time.Time
	To      time.Time
	Seconds float64
	Whole   bool
	Joules  *float64
}

type sectorRow struct {
	Lap      int64
	Sector   int32
	From, To time.Time
	Seconds  float64
	Whole    bool
	Name     string
	Joules   *float64
}

func read(ctx context.Context, tx pgx.Tx, id string, session int32) (*Balance, error) {
	laps, err := schema.List(ctx, tx, pgx.RowToStructByPos[lapRow], "SELECT lap, from_time, to_time, seconds, valid, energy_wh * 3600 FROM analytics.laps($1) ORDER BY lap", id)
	if err != nil {
		return nil, fmt.Errorf("find laps: %w", err)
	}
	sectors, err := schema.List(ctx, tx, pgx.RowToStructByPos[sectorRow], `
		SELECT lap, sector, from_time, to_time, seconds, paused_s = 0 AND silent_s = 0, name, energy_wh * 3600 FROM analytics.sectors($1) WHERE lap_over ORDER BY lap, sector`, id)
	if err != nil {
		return nil, fmt.Errorf("find sectors: %w", err)
	}
	steps, err := trail.Read(ctx, tx, session)
	if err != nil {
		return nil, err
	}
	answer := explain(newDrive(steps), laps, sectors)
	answer.Session = id
	return answer, nil
}

// bytes is about how much memory an answer takes.
func (a *Balance) bytes() int { return 1024 + 350*len(a.Laps) + 1500*len(a.Sectors) }

// refuse says why nothing is said.
func refuse(why string) *Balance {
	a := &Balance{Why: why, Laps: []SpentLap{}, Sectors: []SpentSector{}, Advice: []Advice{}}
	a.Verdict = a.verdict()
	return a
}

// explain says where the energy of a run went.
func explain(d *drive, laps []lapRow, sectors []sectorRow) *Balance {
	f := d.fit()
	a := refuse(f.refused)
	if a.Why != "" {
		return a
	}
	a.Model = f.model()
	run := f.spent(d.sums[len(d.sums)-1], 1)
	a.Run = &run
	whole := map[int64]*lapRow{}
	var all []passage
	for i := range laps {
		l := &laps[i]
		p := passage{d.between(l.From.UnixMicro(), l.To.UnixMicro()), l.Seconds}
		p.measured(l.Joules)
		lap := SpentLap{Lap: l.Lap, From: l.From.UTC(), To: l.To.UTC(), Spent: f.spent(p.sums, 1)}
		if l.Whole {
			whole[l.Lap] = l
			all = append(all, p)
			lap.Score = f.score([]passage{p}, 1)
		}
		a.Laps = append(a.Laps, lap)
	}
	switch a.Score = f.score(all, len(all)); {
	case a.Score != nil:
	case !f.told:
		a.Why = "the data do not tell drag apart from rolling, so what an even speed takes is not known"
	case len(all) == 0:
		a.Why = "the run has no lap without pause and gap"
	default:
		a.Why = "what an even speed takes is not known to within 5 % of what the laps took"
	}
	a.sectors(f, d, whole, sectors)
	slices.SortStableFunc(a.Advice, func(x, y Advice) int { return cmp.Compare(y.Saving, x.Saving) })
	a.Verdict = a.verdict()
	return a
}

// sectors says it of the sectors of the laps without pause and gap.
func (a *Balance) sectors(f *fit, d *drive, whole map[int64]*lapRow, rows []sectorRow) {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y sectorRow) int { return cmp.Compare(x.Sector, y.Sector) })
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Sector == rows[0].Sector {
			n++
		}
		of := rows[:n]
		rows = rows[n:]
		s := SpentSector{Sector: of[0].Sector, Name: of[0].Name}
		var sum sums
		var passages []passage
		var first, last []through // of a sector in which laps begin, and of any
		for i := range of {
			row := &of[i]
			lap := whole[row.Lap]
			if lap == nil || !row.Whole || !(row.Seconds > 0) {
				continue
			}
			s.Laps++
			later := d.through(row.Lap, row.From, row.To)
			later.measured(row.Joules)
			// A lap that begins within the sector comes by twice, at its begin and at its end.
			if more := row.Seconds - row.To.Sub(row.From).Seconds(); more > 1e-3 {
				early := d.through(row.Lap, lap.From, lap.From.Add(time.Duration(more*1e9)))
				if row.Joules != nil {
					later.energy -= early.energy
				}
				first, passages, sum = append(first, early), append(passages, early.passage), sum.plus(1, early.sums)
			}
			last, passages, sum = append(last, later), append(passages, later.passage), sum.plus(1, later.sums)
		}
		if s.Laps == 0 {
			continue
		}
		s.Spent, s.Score = f.spent(sum, len(passages)), f.score(passages, s.Laps)
		a.Sectors = append(a.Sectors, s)
		name := s.Name
		if len(first) > 0 {
			a.advise(f, &s, s.Name+" from the line on", first)
			name += " up to the line"
		}
		a.advise(f, &s, name, last)
	}
}
