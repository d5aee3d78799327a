package dashboard

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Widget is a stored widget.
type Widget struct {
	ID           string  `json:"_id"`
	CreationTime float64 `json:"_creationTime"` // ms since 1970
	OwnerID      string  `json:"ownerId"`
	ViewID       string  `json:"viewId"`
	WidgetInput
	CreatedAt float64 `json:"createdAt"` // ms since 1970
	UpdatedAt float64 `json:"updatedAt"` // ms since 1970
}

var widgetColumns = "id, " + sqlCreation + ", instance_id, widget_type, title, col, row, width, height, pinned, config, " +
	millis("created_at") + ", " + millis("updated_at")

// Widgets returns a view's widgets, oldest first. Code: VIEW_NOT_FOUND.
func (s *Service) Widgets(ctx context.Context, owner, viewID string) ([]Widget, error) {
	view, err := ownedView(ctx, s.pool, owner, viewID)
	if err != nil {
		return nil, err
	}
	return readWidgets(ctx, s.pool, view)
}

// ReplaceLayout puts the widgets in place of all that the view has and returns
// the view's new revision. With expected set, the view must be at that
// revision. Codes: VIEW_NOT_FOUND, VIEW_CONFLICT and those of the limits.
func (s *Service) ReplaceLayout(ctx context.Context, owner, viewID string, widgets []WidgetInput, expected *float64) (int, error) {
	if err := checkWidgets(widgets); err != nil {
		return 0, err
	}
	var revision int
	err := s.changeView(ctx, owner, viewID, expected, func(ctx context.Context, tx pgx.Tx, view View) (bool, error) {
		if _, err := tx.Exec(ctx, "DELETE FROM dashboard_widgets WHERE view = $1", view.ID); err != nil {
			return false, fmt.Errorf("clear view: %w", err)
		}
		for _, w := range widgets {
			if err := insertWidget(ctx, tx, view.ID, w); err != nil {
				return false, err
			}
		}
		return true, nil
	}, &revision)
	return revision, err
}

// ImportDraft fills an empty view with what an older client kept in the
// browser, once per version: when the account has imported that version or a
// later one, nothing happens and imported is false. Codes: VIEW_NOT_FOUND,
// IMPORT_TARGET_NOT_EMPTY and those of the limits.
func (s *Service) ImportDraft(ctx context.Context, owner, viewID string, importVersion float64, widgets []WidgetInput) (imported bool, revision int, err error) {
	if math.IsNaN(importVersion) || math.IsInf(importVersion, 0) {
		return false, 0, fault.Field("importVersion", "must be a finite number")
	}
	if err := checkWidgets(widgets); err != nil {
		return false, 0, err
	}
	err = s.changeView(ctx, owner, viewID, nil, func(ctx context.Context, tx pgx.Tx, view View) (bool, error) {
		var done, empty bool
		err := tx.QueryRow(ctx, `
			SELECT coalesce((SELECT legacy_import_version FROM dashboard_preferences WHERE owner = $1), 0) >= $2,
				NOT EXISTS (SELECT FROM dashboard_widgets WHERE view = $3)`, owner, importVersion, view.ID).Scan(&done, &empty)
		if err != nil {
			return false, fmt.Errorf("import draft: %w", err)
		}
		if done {
			return false, nil
		}
		if !empty {
			return false, fault.Coded(fault.Conflict, "IMPORT_TARGET_NOT_EMPTY", "A draft can only be imported into an empty view.")
		}
		for _, w := range widgets {
			if err := insertWidget(ctx, tx, view.ID, w); err != nil {
				return false, err
			}
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO dashboard_preferences (id, owner, theme, legacy_import_version) VALUES ($1, $2, 'circuit', $3)
			ON CONFLICT (owner) DO UPDATE SET legacy_import_version = $3, updated_at = clock_timestamp()`,
			newID(), owner, importVersion)
		if err != nil {
			return false, fmt.Errorf("import draft: %w", err)
		}
		imported = true
		return true, nil
	}, &revision)
	return imported, revision, err
}

// UpsertWidget adds a widget or changes the one of that instance id; a title
// that is not given stays. Codes: VIEW_NOT_FOUND, VIEW_CONFLICT, WIDGET_LIMIT
// and those of the limits.
func (s *Service) UpsertWidget(ctx context.Context, owner, viewID string, w WidgetInput, expected *float64) (Widget, int, error) {
	if err := checkWidgets([]WidgetInput{w}); err != nil {
		return Widget{}, 0, err
	}
	var revision int
	var saved Widget
	err := s.changeView(ctx, owner, viewID, expected, func(ctx context.Context, tx pgx.Tx, view View) (bool, error) {
		tag, err := tx.Exec(ctx, `
			UPDATE dashboard_widgets SET widget_type = $3, title = coalesce($4, title), col = $5, row = $6,
				width = $7, height = $8, pinned = $9, config = $10, updated_at = clock_timestamp()
			WHERE view = $1 AND instance_id = $2`,
			view.ID, w.InstanceID, w.WidgetType, w.Title, int(w.Column), int(w.Row), int(w.Width), int(w.Height), w.Pinned, w.Config)
		if err != nil {
			return false, fmt.Errorf("change widget: %w", err)
		}
		if tag.RowsAffected() == 0 {
			var count int
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM dashboard_widgets WHERE view = $1", view.ID).Scan(&count); err != nil {
				return false, fmt.Errorf("count widgets: %w", err)
			}
			if count >= maxWidgets {
				return false, widgetLimit()
			}
			if err := insertWidget(ctx, tx, view.ID, w); err != nil {
				return false, err
			}
		}
		widgets, err := readWidgets(ctx, tx, view)
		if err != nil {
			return false, err
		}
		for _, stored := range widgets {
			if stored.InstanceID == w.InstanceID {
				saved = stored
			}
		}
		return true, nil
	}, &revision)
	return saved, revision, err
}

// RemoveWidget deletes a widget if the view has it, and returns the view's
// revision, which rises only when something was deleted. Codes:
// VIEW_NOT_FOUND, VIEW_CONFLICT.
func (s *Service) RemoveWidget(ctx context.Context, owner, viewID, instanceID string, expected *float64) (int, error) {
	var revision int
	err := s.changeView(ctx, owner, viewID, expected, func(ctx context.Context, tx pgx.Tx, view View) (bool, error) {
		tag, err := tx.Exec(ctx, "DELETE FROM dashboard_widgets WHERE view = $1 AND instance_id = $2", view.ID, clean(instanceID))
		if err != nil {
			return false, fmt.Errorf("remove widget: %w", err)
		}
		return tag.RowsAffected() > 0, nil
	}, &revision)
	return revision, err
}

// changeView runs work on the owner's view and, when work changed something,
// raises its revision. revision receives what it is afterwards.
func (s *Service) changeView(ctx context.Context, owner, viewID string, expected *float64,
	work func(context.Context, pgx.Tx, View) (bool, error), revision *int) error {
	return s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		view, err := ownedView(ctx, tx, owner, viewID)
		if err != nil {
			return false, err
		}
		if expected != nil && *expected != float64(view.Revision) {
			return false, fault.Coded(fault.Conflict, "VIEW_CONFLICT",
				"This view was changed elsewhere meanwhile; reload it before saving.")
		}
		*revision = view.Revision
		changed, err := work(ctx, tx, view)
		if err != nil || !changed {
			return false, err
		}
		err = tx.QueryRow(ctx, `
			UPDATE dashboard_views SET revision = revision + 1, updated_at = clock_timestamp()
			WHERE id = $1 RETURNING revision`, view.ID).Scan(revision)
		if err != nil {
			return false, fmt.Errorf("raise revision: %w", err)
		}
		return true, nil
	})
}

func readWidgets(ctx context.Context, q schema.Querier, view View) ([]Widget, error) {
	read := func(row pgx.CollectableRow) (Widget, error) {
		w := Widget{OwnerID: view.OwnerID, ViewID: view.ID}
		err := row.Scan(&w.ID, &w.CreationTime, &w.InstanceID, &w.WidgetType, &w.Title, &w.Column, &w.Row, &w.Width, &w.Height,
			&w.Pinned, &w.Config, &w.CreatedAt, &w.UpdatedAt)
		return w, err
	}
	widgets, err := schema.List(ctx, q, read, "SELECT "+widgetColumns+" FROM dashboard_widgets WHERE view = $1 ORDER BY ord LIMIT $2", view.ID, maxWidgets)
	if err != nil {
		return nil, fmt.Errorf("list widgets: %w", err)
	}
	return widgets, nil
}

func insertWidget(ctx context.Context, tx pgx.Tx, viewID string, w WidgetInput) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO dashboard_widgets (id, view, instance_id, widget_type, title, col, row, width, height, pinned, config)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		newID(), viewID, w.InstanceID, w.WidgetType, w.Title, int(w.Column), int(w.Row), int(w.Width), int(w.Height), w.Pinned, w.Config)
	if err != nil {
		return fmt.Errorf("add widget: %w", err)
	}
	return nil
}
