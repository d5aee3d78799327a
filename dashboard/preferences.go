package dashboard

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Preferences are an account's dashboard settings.
type Preferences struct {
	ID                  string  `json:"_id"`
	CreationTime        float64 `json:"_creationTime"` // ms since 1970
	OwnerID             string  `json:"ownerId"`
	Theme               string  `json:"theme"`
	DefaultViewKey      *string `json:"defaultViewKey,omitempty"`
	LastViewKey         *string `json:"lastViewKey,omitempty"`
	SystemViewVersion   float64 `json:"systemViewVersion"`
	LegacyImportVersion float64 `json:"legacyImportVersion"`
	UpdatedAt           float64 `json:"updatedAt"` // ms since 1970
}

// Themes are the values of Preferences.Theme; the first is where a new account
// starts.
var Themes = []string{"circuit", "technical-light"}

// PreferencesChange names what to change; a nil member stays as it is.
type PreferencesChange struct {
	Theme               *string
	DefaultViewKey      *string
	LastViewKey         *string
	SystemViewVersion   *float64 // rounded down, 1 at least
	LegacyImportVersion *float64 // rounded down, 0 at least
}

var preferencesColumns = "id, " + sqlCreation + ", owner, theme, default_view_key, last_view_key, " +
	"system_view_version, legacy_import_version, " + millis("updated_at")

// Preferences returns the owner's settings, or nil when none were ever saved.
func (s *Service) Preferences(ctx context.Context, owner string) (*Preferences, error) {
	p, err := schema.Find[Preferences](ctx, s.pool, "SELECT "+preferencesColumns+" FROM dashboard_preferences WHERE owner = $1", owner)
	if err != nil {
		return nil, fmt.Errorf("read preferences: %w", err)
	}
	return p, nil
}

// UpdatePreferences saves the change and returns the settings as they are now.
// A first save starts from theme circuit, system view version 1, import 0.
func (s *Service) UpdatePreferences(ctx context.Context, owner string, c PreferencesChange) (*Preferences, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var saved *Preferences
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (_ bool, err error) {
		saved, err = schema.One(ctx, tx, pgx.RowToAddrOfStructByPos[Preferences], `
			INSERT INTO dashboard_preferences AS p (id, owner, theme, default_view_key, last_view_key, system_view_version, legacy_import_version)
			VALUES ($1, $2, coalesce($3, 'circuit'), $4, $5, coalesce($6, 1), coalesce($7, 0))
			ON CONFLICT (owner) DO UPDATE SET
				theme = coalesce($3, p.theme),
				default_view_key = coalesce($4, p.default_view_key),
				last_view_key = coalesce($5, p.last_view_key),
				system_view_version = coalesce($6, p.system_view_version),
				legacy_import_version = coalesce($7, p.legacy_import_version),
				updated_at = clock_timestamp()
			RETURNING `+preferencesColumns,
			newID(), owner, c.Theme, c.DefaultViewKey, c.LastViewKey, c.SystemViewVersion, c.LegacyImportVersion)
		if err != nil {
			return false, fmt.Errorf("save preferences: %w", err)
		}
		return true, nil
	})
	return saved, err
}

// check holds the change against the rules and rounds its versions.
func (c *PreferencesChange) check() (err error) {
	if c.Theme != nil && !slices.Contains(Themes, *c.Theme) {
		return fault.Field("theme", "must be one of %v", Themes)
	}
	for _, key := range []*string{c.DefaultViewKey, c.LastViewKey} {
		if key != nil {
			if err := checkViewKey(*key); err != nil {
				return err
			}
		}
	}
	if c.SystemViewVersion, err = version("systemViewVersion", c.SystemViewVersion, 1); err != nil {
		return err
	}
	c.LegacyImportVersion, err = version("legacyImportVersion", c.LegacyImportVersion, 0)
	return err
}

// version rounds down and raises to the least permitted value.
func version(field string, v *float64, least float64) (*float64, error) {
	if v == nil {
		return nil, nil
	}
	if math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil, fault.Field(field, "must be a finite number")
	}
	rounded := max(least, math.Floor(*v))
	return &rounded, nil
}
