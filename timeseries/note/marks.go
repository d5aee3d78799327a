package note

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
)

// marks are what the server marks of a run, of one kind.
type marks struct {
	version string // of the run that they are of
	at      time.Time
	took    time.Duration
	notes   []Note
}

// keptBytes bounds what is kept of marks.
const keptBytes = 16 << 20

// current reports whether marks need not be found anew: the run has not changed, or
// it grows and they would take more than a twentieth of the time.
func (m *marks) current(version string) bool {
	return m.version == version || m.took > 50*time.Millisecond && time.Since(m.at) < 20*m.took
}

// All lists what is noted of a run by time, the kinds named or all. version is the
// run's: while it is the same, so is what the server marks. refresh brings what a
// kind is found by up to date.
func (n *Notes) All(ctx context.Context, id, version string, kinds []string, refresh func(ctx context.Context, kind string) error) (all []Note, err error) {
	if len(kinds) == 0 {
		kinds = Kinds
	}
	var said []string
	for _, kind := range kinds {
		if kind == "note" || kind == "notification" { // they change while the run does not
			said = append(said, kind)
			continue
		}
		list, err := n.marked(ctx, id, version, kind, refresh)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	if said != nil {
		list, err := n.list(ctx, id, said)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b Note) int { return cmp.Or(byTime(a.From, b.From), cmp.Compare(a.Kind, b.Kind)) })
	return all, nil
}

// byTime compares times; none comes first.
func byTime(a, b *time.Time) int {
	switch {
	case a != nil && b != nil:
		return a.Compare(*b)
	case a != nil:
		return 1
	case b != nil:
		return -1
	}
	return 0
}

// marked lists what the server marks of a run, of one kind; one caller at a time finds
// them.
func (n *Notes) marked(ctx context.Context, id, version, kind string, refresh func(context.Context, string) error) ([]Note, error) {
	return n.found(ctx, kind+" "+id, version, func() ([]Note, error) {
		if err := refresh(ctx, kind); err != nil {
			return nil, err
		}
		return n.list(ctx, id, []string{kind})
	})
}

// found returns what is kept under a key of a version of a run, or finds it.
func (n *Notes) found(ctx context.Context, key, version string, find func() ([]Note, error)) (list []Note, err error) {
	if m, ok := n.kept.Get(key); ok && m.current(version) {
		return m.notes, nil
	}
	err = n.finding.Do(ctx, key, func() error {
		if m, ok := n.kept.Get(key); ok && m.current(version) {
			list = m.notes
			return nil
		}
		began := time.Now()
		if list, err = find(); err != nil {
			return err
		}
		bytes := 256
		for _, mark := range list {
			bytes += 256 + len(mark.Text)
		}
		n.kept.Put(key, &marks{version, time.Now(), time.Since(began), list}, bytes)
		return nil
	})
	return list, err
}

// MadeUp says of a run, in words, which of its records tell by data_source that no car
// measured them: those of a mock or a simulation, the most frequent first, at most 3 of them.
// As what the server marks, it is kept for the version.
func (n *Notes) MadeUp(ctx context.Context, id, version string) ([]string, error) {
	list, err := n.found(ctx, "made up "+id, version, func() ([]Note, error) {
		list, err := schema.List(ctx, n.reads, pgx.RowTo[string], `
			SELECT CASE WHEN c.n >= s.records THEN 'all records say' WHEN c.n = 1 THEN 'one record says' ELSE format('%s of %s records say', c.n, s.records) END
			       || ' by data_source: ' || left(c.source, 100)
			FROM sessions s
			CROSS JOIN LATERAL (
				SELECT t.data_source AS source, count(*) AS n
				FROM telemetry t
				WHERE t.session = s.session AND t.time BETWEEN s.first_time AND s.last_time
				GROUP BY t.data_source
				OFFSET 0 -- each source is looked at once, and not in every record
			) c
			WHERE s.id = $1 AND s.deleted_at IS NULL AND c.source ~* 'mock|simul'
			ORDER BY c.n DESC, c.source
			LIMIT 3`, id)
		notes := make([]Note, len(list))
		for i, text := range list {
			notes[i].Text = text
		}
		return notes, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for made-up records: %w", err)
	}
	said := make([]string, len(list))
	for i := range list {
		said[i] = list[i].Text
	}
	return said, nil
}
