package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/ecovolt/telemetryd/internal/fault"
)

// systems are the units that values may be shown in, the usual ones first.
var systems = []string{"metric", "si"}

// PreferredUnits is in which units the principal likes to see values: metric, unless
// its account says otherwise.
func (p Principal) PreferredUnits() string {
	if p.units == "" {
		return systems[0]
	}
	return p.units
}

// PreferUnits keeps in which units the signed-in account likes to see values.
func (s *Service) PreferUnits(ctx context.Context, p Principal, units string) error {
	if d := Allow(p, OwnPreferences, SessionAge{}); !d.Allowed {
		return d.Err
	}
	if !slices.Contains(systems, units) {
		return fault.Field("units", "must be metric or si")
	}
	if _, err := s.pool.Exec(ctx, `UPDATE users SET units = $2 WHERE id = $1`, p.UserID, units); err != nil {
		return fmt.Errorf("keep preferences: %w", err)
	}
	return nil
}
