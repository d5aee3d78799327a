package dashboard

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// Imported is one account's dashboards from another installation. Ids and
// times are kept.
type Imported struct {
	Preferences      *ImportedPreferences
	Views            []ImportedView // by position
	Acknowledgements []ImportedAcknowledgement
}

// ImportedPreferences are settings to import.
type ImportedPreferences struct {
	ID string
	PreferencesChange
	CreatedAt, UpdatedAt time.Time
}

// ImportedView is a view to import, with its widgets.
type ImportedView struct {
	ID string
	NewView
	Revision             int
	CreatedAt, UpdatedAt time.Time
	Widgets              []ImportedWidget // in the order of their creation
}

// ImportedWidget is a widget to import.
type ImportedWidget struct {
	ID string
	WidgetInput
	CreatedAt, UpdatedAt time.Time
}

// ImportedAcknowledgement is an acknowledged alert to import.
type ImportedAcknowledgement struct {
	ID, EventKey              string
	SessionID                 *string
	CreatedAt, AcknowledgedAt time.Time
}

// ImportCounts says how many rows an import added. What is there already is
// left as it is: the preferences, views of the same key, alerts of the same key.
type ImportCounts struct {
	Preferences, Views, Widgets, Acknowledgements int
}

// Import adds what the owner does not have yet. It can be repeated: the second
// time adds nothing, and does not bring back a widget removed meanwhile. All is
// held against the limits first; one thing beyond them refuses everything.
func (s *Service) Import(ctx context.Context, owner string, in Imported) (ImportCounts, error) {
	if err := in.check(); err != nil {
		return ImportCounts{}, err
	}
	var counts ImportCounts
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		counts = ImportCounts{}
		for _, step := range []func(context.Context, pgx.Tx, string, *ImportCounts) error{
			in.addPreferences, in.addViews, in.addAcknowledgements,
		} {
			if err := step(ctx, tx, owner, &counts); err != nil {
				return false, fmt.Errorf("import dashboards: %w", err)
			}
		}
		return counts != ImportCounts{}, nil
	})
	if err != nil {
		return ImportCounts{}, err
	}
	return counts, nil
}

func (in Imported) check() error {
	if p := in.Preferences; p != nil {
		if err := p.check(); err != nil {
			return err
		}
	}
	for _, v := range in.Views {
		if err := v.check(); err != nil {
			return err
		}
		if _, err := viewName(v.Name); err != nil {
			return err
		}
		inputs := make([]WidgetInput, len(v.Widgets))
		for i, w := range v.Widgets {
			inputs[i] = w.WidgetInput
		}
		if err := checkWidgets(inputs); err != nil {
			return err
		}
	}
	for _, a := range in.Acknowledgements {
		if err := checkAcknowledgement(a.EventKey, a.SessionID); err != nil {
			return err
		}
	}
	return nil
}

func (in Imported) addPreferences(ctx context.Context, tx pgx.Tx, owner string, counts *ImportCounts) error {
	p := in.Preferences
	if p == nil {
		return nil
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO dashboard_preferences (id, owner, theme, default_view_key, last_view_key, system_view_version, legacy_import_version, created_at, updated_at)
		VALUES ($1, $2, coalesce($3, 'circuit'), $4, $5, coalesce($6, 1), coalesce($7, 0), $8, $9)
		ON CONFLICT DO NOTHING`,
		p.ID, owner, p.Theme, p.DefaultViewKey, p.LastViewKey, p.SystemViewVersion, p.LegacyImportVersion, p.CreatedAt, p.UpdatedAt)
	counts.Preferences += int(tag.RowsAffected())
	return err
}

func (in Imported) addViews(ctx context.Context, tx pgx.Tx, owner string, counts *ImportCounts) error {
	var position int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM dashboard_views WHERE owner = $1", owner).Scan(&position); err != nil {
		return err
	}
	for _, v := range in.Views {
		name, err := viewName(v.Name)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO dashboard_views (id, owner, view_key, name, kind, system_view_id, position, revision, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT DO NOTHING`,
			v.ID, owner, v.ViewKey, name, v.Kind, v.SystemViewID, position, v.Revision, v.CreatedAt, v.UpdatedAt)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			continue
		}
		if position++; position > maxViews {
			return fault.Coded(fault.Conflict, "VIEW_LIMIT", "An account can save %d dashboard views at most.", maxViews)
		}
		counts.Views++
		for _, w := range v.Widgets {
			_, err := tx.Exec(ctx, `
				INSERT INTO dashboard_widgets (id, view, instance_id, widget_type, title, col, row, width, height, pinned, config, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
				w.ID, v.ID, w.InstanceID, w.WidgetType, w.Title, int(w.Column), int(w.Row), int(w.Width), int(w.Height),
				w.Pinned, w.Config, w.CreatedAt, w.UpdatedAt)
			if err != nil {
				return err
			}
			counts.Widgets++
		}
	}
	return nil
}

func (in Imported) addAcknowledgements(ctx context.Context, tx pgx.Tx, owner string, counts *ImportCounts) error {
	for _, a := range in.Acknowledgements {
		tag, err := tx.Exec(ctx, `
			INSERT INTO dashboard_acknowledgements (id, owner, event_key, session_id, created_at, acknowledged_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO NOTHING`, a.ID, owner, a.EventKey, a.SessionID, a.CreatedAt, a.AcknowledgedAt)
		if err != nil {
			return err
		}
		counts.Acknowledgements += int(tag.RowsAffected())
	}
	return nil
}
