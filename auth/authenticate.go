package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/secret"
)

// Authenticate finds the account behind a bearer token. An absent, malformed,
// unknown or expired token is a guest, not an error; an error means that
// the database could not be asked.
//
// The database is asked each time, by one indexed read, and its clock decides
// on expiry: so a revocation holds on every instance at once.
func (s *Service) Authenticate(ctx context.Context, token string) (Principal, error) {
	if !WellFormedToken(token) {
		return Principal{Role: Guest}, nil
	}
	var p Principal
	sum := secret.Digest(token)
	err := s.pool.QueryRow(s.proven.as(ctx, sum), `
		SELECT u.role, u.id, s.id, s.expires_at, u.units,
		       $2 AND u.role = 'admin' AND NOT EXISTS (
		           SELECT FROM auth_factors f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
		FROM auth_sessions s JOIN users u ON u.id = s.user_id
		WHERE s.token_hash = $1 AND s.expires_at > clock_timestamp()`, sum, s.options.AdminsNeedFactor).
		Scan(&p.Role, &p.UserID, &p.SessionID, &p.ExpiresAt, &p.units, &p.NoFactor)
	if errors.Is(err, pgx.ErrNoRows) {
		s.proven.note(sum, false)
		return Principal{Role: Guest}, nil
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up bearer session: %w", err)
	}
	s.proven.note(sum, true)
	return p, nil
}
