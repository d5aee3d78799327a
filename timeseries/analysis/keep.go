package analysis

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/analysis/mode"
)

// storeLaps replaces the laps and sectors of the run, those of the open lap too.
func (u *update) storeLaps(ctx context.Context, list []lap, open *lap) error {
	if _, err := u.tx.Exec(ctx, "WITH laps AS (DELETE FROM analysis_laps WHERE session = $1) DELETE FROM analysis_sectors WHERE session = $1", u.session); err != nil {
		return err
	}
	var laps, sectors [][]any
	for i, l := range list {
		laps = append(laps, append([]any{u.session, int32(i + 1), l.FromWay}, l.columns()...))
	}
	if open != nil {
		list = append(slices.Clip(list), *open)
	}
	for i, l := range list {
		for k, s := range l.sectors {
			if i < len(laps) || s.Seconds > 0 {
				sectors = append(sectors, append([]any{u.session, int32(i + 1), int32(k + 1), s.Seconds}, s.columns()...))
			}
		}
	}
	if _, err := u.tx.CopyFrom(ctx, pgx.Identifier{"analysis_laps"}, append([]string{"session", "lap", "from_way_m"}, legColumns...), pgx.CopyFromRows(laps)); err != nil {
		return err
	}
	_, err := u.tx.CopyFrom(ctx, pgx.Identifier{"analysis_sectors"}, append([]string{"session", "lap", "sector", "seconds"}, legColumns...), pgx.CopyFromRows(sectors))
	return err
}

var legColumns = []string{"from_time", "to_time", "distance_m", "energy_j", "silent_s", "paused_s", "coast_s", "top_ms", "peak_w", "error_s"}

func (s *leg) columns() []any {
	return []any{s.From, s.To, s.Distance, s.Energy, s.Silent, s.Paused, s.Coast, nanIsNull(s.Top), nanIsNull(s.Peak), s.Error}
}

// bins and spots are how many columns of analysis_parts hold those.
const bins, spots = 8, 5

var partColumns = []string{"session", "minute", "begun", "at", "way_m", "energy_j", "silent_s", "paused_s", "top_ms", "peak_w", "coast_s", "altitude_m", "fix_at", "fix_way_m", "latitude", "longitude", "fixes", "lap_at", "lap_after", "lap_number", "modes", "mode_s", "mode_way_m", "mode_energy_j"}

func (p *part) row(session int32) []any {
	at := make([]int64, len(p.Bins))
	columns := [bins + spots][]float64{}
	for i, b := range p.Bins {
		at[i] = b.At
		for k, v := range [bins]float64{b.Way, b.Energy, b.Silent, b.Paused, b.Top, b.Peak, b.Coast, b.Alt} {
			columns[k] = append(columns[k], v)
		}
	}
	for k := bins; k < len(columns); k++ {
		columns[k] = []float64{}
	}
	for _, s := range p.Spots {
		for k, v := range [spots]float64{s.At, s.Way, s.Lat, s.Lon, s.N} {
			columns[bins+k] = append(columns[bins+k], v)
		}
	}
	row := []any{session, p.minute, p.begun, at}
	for _, c := range columns {
		row = append(row, c)
	}
	changes := [3][]int64{{}, {}, {}}
	for _, c := range p.Counted {
		changes[0], changes[1], changes[2] = append(changes[0], c.At), append(changes[1], c.After), append(changes[2], c.Number)
	}
	m := &p.Modes
	if m.Names == nil {
		*m = mode.Sums{Names: []string{}, Seconds: []float64{}, Way: []float64{}, Energy: []float64{}}
	}
	return append(row, changes[0], changes[1], changes[2], m.Names, m.Seconds, m.Way, m.Energy)
}
