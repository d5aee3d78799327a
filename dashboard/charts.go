package dashboard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Limits of saved arrangements of charts.
const (
	maxLayouts  = 32  // of an account
	maxChannels = 100 // of a layout
	maxChannel  = 200 // bytes of a channel's name
)

// sizes are the heights that a chart may have.
var sizes = []string{"low", "usual", "tall"}

// Layout is how an account likes the charts of a run arranged.
type Layout struct {
	Name    string
	Charts  []Chart
	SavedAt time.Time
}

// Chart is one of a layout: the channels that are drawn in it, which a run need not
// have, and how high it is.
type Chart struct {
	Channels []string `json:"channels"`
	Size     string   `json:"size" enum:"low,usual,tall"`
}

// Layouts returns the owner's layouts by name.
func (s *Service) Layouts(ctx context.Context, owner string) ([]Layout, error) {
	list, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Layout], "SELECT name, charts, saved_at FROM chart_layouts WHERE owner = $1 ORDER BY lower(name), name", owner)
	if err != nil {
		return nil, fmt.Errorf("list layouts: %w", err)
	}
	return list, nil
}

// SaveLayout keeps charts under a name, in the place of what had it.
func (s *Service) SaveLayout(ctx context.Context, owner, name string, charts []Chart) (saved Layout, err error) {
	name, err = viewName(name)
	if err != nil {
		return saved, fault.Field("name", "must have 1 to 60 characters")
	}
	if err := checkCharts(charts); err != nil {
		return saved, err
	}
	err = s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (_ bool, err error) {
		var others int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM chart_layouts WHERE owner = $1 AND name <> $2", owner, name).Scan(&others); err != nil {
			return false, fmt.Errorf("count layouts: %w", err)
		}
		if others >= maxLayouts {
			return false, fault.Coded(fault.Conflict, "LAYOUT_LIMIT", "An account can save %d layouts at most.", maxLayouts)
		}
		saved, err = schema.One(ctx, tx, pgx.RowToStructByPos[Layout], `
			INSERT INTO chart_layouts (owner, name, charts) VALUES ($1, $2, $3)
			ON CONFLICT (owner, name) DO UPDATE SET charts = EXCLUDED.charts, saved_at = clock_timestamp()
			RETURNING name, charts, saved_at`, owner, name, charts)
		if err != nil {
			return false, fmt.Errorf("save layout: %w", err)
		}
		return false, nil // dashboards show none of it
	})
	return saved, err
}

// RemoveLayout forgets a layout.
func (s *Service) RemoveLayout(ctx context.Context, owner, name string) error {
	tag, err := s.pool.Exec(ctx, "DELETE FROM chart_layouts WHERE owner = $1 AND name = $2", owner, schema.Storable(name))
	if err != nil {
		return fmt.Errorf("remove layout: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.NotFound, "there is no such layout")
	}
	return nil
}

func checkCharts(charts []Chart) error {
	seen := map[string]bool{}
	for _, chart := range charts {
		if !slices.Contains(sizes, chart.Size) {
			return fault.Field("charts.size", "must be one of %s", strings.Join(sizes, ", "))
		}
		if len(chart.Channels) == 0 {
			return fault.Field("charts.channels", "must not be empty")
		}
		for _, name := range chart.Channels {
			if name == "" || len(name) > maxChannel || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
				return fault.Field("charts.channels", "must have names of 1 to %d bytes", maxChannel)
			}
			if seen[name] {
				return fault.Field("charts.channels", "%q is drawn twice", fault.Clip(name))
			}
			seen[name] = true
		}
	}
	if len(seen) == 0 || len(seen) > maxChannels {
		return fault.Field("charts", "must draw 1 to %d channels", maxChannels)
	}
	return nil
}
