package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/factor"
)

const (
	cleanupEvery = time.Minute
	cleanupBatch = 500 // sessions in one transaction
)

// Run cleans up every minute until the context ends. Any number of instances
// may run it on one database.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(cleanupEvery)
	defer ticker.Stop()
	for {
		if err := s.Cleanup(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "could not clean up sessions", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Cleanup removes sessions past their time, telling the audit log and those
// who watch, and limits that no longer matter. Expired sessions are refused
// without it too: it only keeps the tables small.
func (s *Service) Cleanup(ctx context.Context) error {
	for {
		removed := 0
		err := s.tx(ctx, "remove expired sessions", func(ctx context.Context, tx pgx.Tx) (err error) {
			// Rows that another instance is removing are its business.
			removed, err = closeUnasked(ctx, tx, `
				WITH gone AS (
					SELECT id FROM auth_sessions WHERE expires_at <= clock_timestamp()
					ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
				DELETE FROM auth_sessions s USING gone WHERE s.id = gone.id
				RETURNING s.user_id, true`, cleanupBatch)
			return err
		})
		if err != nil {
			return err
		}
		if removed < cleanupBatch {
			break
		}
	}
	if _, err := s.pool.Exec(ctx, `
		DELETE FROM auth_factors
		WHERE confirmed_at IS NULL AND created_at < clock_timestamp() - $1::interval`, factor.Patience); err != nil {
		return fmt.Errorf("remove second factors that were not confirmed: %w", err)
	}
	if err := s.limits.Cleanup(ctx); err != nil {
		return err
	}
	if s.options.KeepAudit > 0 {
		if _, err := s.pool.Exec(ctx, `DELETE FROM auth_audit WHERE at < clock_timestamp() - $1::interval`, s.options.KeepAudit); err != nil {
			return fmt.Errorf("remove old audit entries: %w", err)
		}
	}
	return nil
}
