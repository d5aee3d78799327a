package dashboard

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// maxViews is how many views an account can save.
const maxViews = 12

// The kinds of views.
const (
	KindCustom         = "custom"
	KindSystemOverride = "system-override" // a changed built-in view
)

// View is a saved arrangement of widgets.
type View struct {
	ID           string  `json:"_id"`
	CreationTime float64 `json:"_creationTime"` // ms since 1970
	OwnerID      string  `json:"ownerId"`
	ViewKey      string  `json:"viewKey"`
	Name         string  `json:"name"`
	Kind         string  `json:"kind"`
	SystemViewID *string `json:"systemViewId,omitempty"`
	Position     int     `json:"position"`
	Revision     int     `json:"revision"`
	CreatedAt    float64 `json:"createdAt"` // ms since 1970
	UpdatedAt    float64 `json:"updatedAt"` // ms since 1970
}

var viewColumns = "id, " + sqlCreation + ", owner, view_key, name, kind, system_view_id, position, revision, " +
	millis("created_at") + ", " + millis("updated_at")

// NewView is what a caller says of a view to create.
type NewView struct {
	ViewKey      string
	Name         string
	Kind         string
	SystemViewID *string
}

func viewNotFound() error {
	return fault.Coded(fault.NotFound, "VIEW_NOT_FOUND", "There is no such dashboard view.")
}

// Views returns the owner's views by position.
func (s *Service) Views(ctx context.Context, owner string) ([]View, error) {
	views, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[View], "SELECT "+viewColumns+` FROM dashboard_views
		WHERE owner = $1 ORDER BY position, created_at, id LIMIT $2`, owner, maxViews)
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	return views, nil
}

// CreateView adds a view at the end. When the owner already has one of that
// key, it is given back unchanged. Codes: INVALID_VIEW_KEY, INVALID_VIEW_NAME,
// VIEW_LIMIT.
func (s *Service) CreateView(ctx context.Context, owner string, n NewView) (View, error) {
	if err := n.check(); err != nil {
		return View{}, err
	}
	var view View
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (created bool, err error) {
		view, created, err = addView(ctx, tx, owner, n)
		return created, err
	})
	return view, err
}

// check looks at all but the name, which does not matter when the key is taken.
func (n NewView) check() error {
	if err := checkViewKey(n.ViewKey); err != nil {
		return err
	}
	if n.Kind != KindCustom && n.Kind != KindSystemOverride {
		return fault.Field("kind", "must be custom or system-override")
	}
	return checkReference("systemViewId", n.SystemViewID)
}

// addView inserts the view unless the key is taken.
func addView(ctx context.Context, tx pgx.Tx, owner string, n NewView) (View, bool, error) {
	view, err := readView(ctx, tx, "owner = $1 AND view_key = $2", owner, n.ViewKey)
	if err == nil {
		return view, false, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return View{}, false, err
	}
	var count int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM dashboard_views WHERE owner = $1", owner).Scan(&count); err != nil {
		return View{}, false, fmt.Errorf("count views: %w", err)
	}
	if count >= maxViews {
		return View{}, false, fault.Coded(fault.Conflict, "VIEW_LIMIT", "An account can save %d dashboard views at most.", maxViews)
	}
	name, err := viewName(n.Name)
	if err != nil {
		return View{}, false, err
	}
	view, err = schema.One(ctx, tx, pgx.RowToStructByPos[View], `
		INSERT INTO dashboard_views (id, owner, view_key, name, kind, system_view_id, position)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING `+viewColumns,
		newID(), owner, n.ViewKey, name, n.Kind, n.SystemViewID, count)
	if err != nil {
		return View{}, false, fmt.Errorf("create view: %w", err)
	}
	return view, true, nil
}

// RenameView changes a view's name. Codes: VIEW_NOT_FOUND, INVALID_VIEW_NAME.
func (s *Service) RenameView(ctx context.Context, owner, viewID, name string) (View, error) {
	var view View
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		if _, err := ownedView(ctx, tx, owner, viewID); err != nil {
			return false, err
		}
		name, err := viewName(name)
		if err != nil {
			return false, err
		}
		view, err = schema.One(ctx, tx, pgx.RowToStructByPos[View], `
			UPDATE dashboard_views SET name = $2, revision = revision + 1, updated_at = clock_timestamp()
			WHERE id = $1 RETURNING `+viewColumns, viewID, name)
		if err != nil {
			return false, fmt.Errorf("rename view: %w", err)
		}
		return true, nil
	})
	return view, err
}

// DuplicateView copies a view and its widgets into a new custom view. When the
// owner already has a view of that key, it is given back unchanged. Codes:
// VIEW_NOT_FOUND, INVALID_VIEW_KEY, INVALID_VIEW_NAME, VIEW_LIMIT.
func (s *Service) DuplicateView(ctx context.Context, owner, sourceID, viewKey, name string) (View, error) {
	var view View
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (created bool, err error) {
		source, err := ownedView(ctx, tx, owner, sourceID)
		if err != nil {
			return false, err
		}
		if err := checkViewKey(viewKey); err != nil {
			return false, err
		}
		view, created, err = addView(ctx, tx, owner, NewView{viewKey, name, KindCustom, source.SystemViewID})
		if err != nil || !created {
			return false, err
		}
		widgets, err := readWidgets(ctx, tx, source)
		if err != nil {
			return false, err
		}
		for _, w := range widgets {
			w.InstanceID += "-copy"
			if err := insertWidget(ctx, tx, view.ID, w.WidgetInput); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return view, err
}

// RemoveView deletes a view and its widgets. Code: VIEW_NOT_FOUND.
func (s *Service) RemoveView(ctx context.Context, owner, viewID string) error {
	return s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, "DELETE FROM dashboard_views WHERE id = $1 AND owner = $2", clean(viewID), owner)
		if err != nil {
			return false, fmt.Errorf("remove view: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return false, viewNotFound()
		}
		return true, nil
	})
}

// SetDefaultView names the view to open first; it need not exist. Code:
// INVALID_VIEW_KEY.
func (s *Service) SetDefaultView(ctx context.Context, owner, viewKey string) error {
	_, err := s.UpdatePreferences(ctx, owner, PreferencesChange{DefaultViewKey: &viewKey})
	return err
}

// ReorderViews puts the named views at positions 0, 1, 2...; others keep
// theirs. Codes: INVALID_ORDER, VIEW_NOT_FOUND.
func (s *Service) ReorderViews(ctx context.Context, owner string, viewIDs []string) error {
	seen := map[string]bool{}
	cleaned := make([]string, len(viewIDs))
	for i, id := range viewIDs {
		cleaned[i] = clean(id)
		if seen[id] || len(viewIDs) > maxViews {
			return fault.Coded(fault.Invalid, "INVALID_ORDER", "The order must name each view once, %d views at most.", maxViews)
		}
		seen[id] = true
	}
	return s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, `
			UPDATE dashboard_views v SET position = o.place - 1, updated_at = clock_timestamp()
			FROM unnest($2::text[]) WITH ORDINALITY AS o (id, place)
			WHERE v.id = o.id AND v.owner = $1`, owner, cleaned)
		if err != nil {
			return false, fmt.Errorf("reorder views: %w", err)
		}
		if int(tag.RowsAffected()) != len(viewIDs) {
			return false, viewNotFound()
		}
		return len(viewIDs) > 0, nil
	})
}

// ResetSystemOverride removes the owner's override of a built-in view, if any.
func (s *Service) ResetSystemOverride(ctx context.Context, owner, systemViewID string) error {
	return s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, `
			DELETE FROM dashboard_views WHERE id = (
				SELECT id FROM dashboard_views
				WHERE owner = $1 AND kind = $2 AND system_view_id = $3
				ORDER BY position, created_at, id LIMIT 1)`, owner, KindSystemOverride, clean(systemViewID))
		if err != nil {
			return false, fmt.Errorf("reset view: %w", err)
		}
		return tag.RowsAffected() > 0, nil
	})
}

// ownedView returns the owner's view of that id or VIEW_NOT_FOUND.
func ownedView(ctx context.Context, q schema.Querier, owner, viewID string) (View, error) {
	return readView(ctx, q, "owner = $1 AND id = $2", owner, clean(viewID))
}

func readView(ctx context.Context, q schema.Querier, condition string, args ...any) (View, error) {
	view, err := schema.One(ctx, q, pgx.RowToStructByPos[View], "SELECT "+viewColumns+" FROM dashboard_views WHERE "+condition, args...)
	if errors.Is(err, pgx.ErrNoRows) {
		return View{}, viewNotFound()
	}
	if err != nil {
		return View{}, fmt.Errorf("read view: %w", err)
	}
	return view, nil
}

var viewKeyForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{2,63}$`)

func checkViewKey(key string) error {
	if !viewKeyForm.MatchString(key) {
		return fault.Coded(fault.Invalid, "INVALID_VIEW_KEY",
			"A view key has 3 to 64 lower-case letters, digits, underscores or hyphens and starts with a letter or digit.")
	}
	return nil
}

// viewName normalises a name as the contract says: NFKC, trimmed, spaces
// collapsed, then 1 to 60 UTF-16 units.
func viewName(name string) (string, error) {
	name = strings.Join(strings.FieldsFunc(norm.NFKC.String(name), isSpace), " ")
	if n := units(name); n < 1 || n > 60 || strings.ContainsRune(name, 0) {
		return "", fault.Coded(fault.Invalid, "INVALID_VIEW_NAME", "A view's name has 1 to 60 characters.")
	}
	return name, nil
}

// isSpace follows JavaScript's \s, by which clients trim before they compare.
func isSpace(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r == ' ', r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200a,
		r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000, r == 0xfeff:
		return true
	}
	return false
}

// units returns the length as JavaScript counts it.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// clean removes what PostgreSQL cannot hold in a text; no stored id has it, so
// a look-up by the rest finds nothing that the caller did not mean.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// maxReference bounds ids that we only keep for the client, in bytes.
const maxReference = 256

func checkReference(field string, value *string) error {
	if value == nil {
		return nil
	}
	if len(*value) > maxReference || strings.ContainsRune(*value, 0) {
		return fault.Field(field, "must be at most %d bytes of text", maxReference)
	}
	return nil
}
