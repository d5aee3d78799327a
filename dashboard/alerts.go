package dashboard

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// maxAcknowledgements is how many one call lists or clears.
const maxAcknowledgements = 100

// Acknowledgement says that an account has read an alert.
type Acknowledgement struct {
	ID             string  `json:"_id"`
	CreationTime   float64 `json:"_creationTime"` // ms since 1970
	OwnerID        string  `json:"ownerId"`
	EventKey       string  `json:"eventKey"`
	SessionID      *string `json:"sessionId,omitempty"`
	AcknowledgedAt float64 `json:"acknowledgedAt"` // ms since 1970
}

var acknowledgementColumns = "id, " + sqlCreation + ", owner, event_key, session_id, " + millis("acknowledged_at")

var eventKeyForm = regexp.MustCompile(`^[A-Za-z0-9:_|.-]{3,160}$`)

// Acknowledgements returns the owner's acknowledged alerts by event key, 100 at
// most.
func (s *Service) Acknowledgements(ctx context.Context, owner string) ([]Acknowledgement, error) {
	list, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Acknowledgement], "SELECT "+acknowledgementColumns+` FROM dashboard_acknowledgements
		WHERE owner = $1 ORDER BY event_key LIMIT $2`, owner, maxAcknowledgements)
	if err != nil {
		return nil, fmt.Errorf("list acknowledgements: %w", err)
	}
	return list, nil
}

// SetAcknowledged marks an alert as read or as not read; it can be repeated.
// Code: INVALID_EVENT_KEY.
func (s *Service) SetAcknowledged(ctx context.Context, owner, eventKey string, acknowledged bool, sessionID *string) error {
	if err := checkAcknowledgement(eventKey, sessionID); err != nil {
		return err
	}
	return s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		if !acknowledged {
			tag, err := tx.Exec(ctx, "DELETE FROM dashboard_acknowledgements WHERE owner = $1 AND event_key = $2", owner, eventKey)
			if err != nil {
				return false, fmt.Errorf("remove acknowledgement: %w", err)
			}
			return tag.RowsAffected() > 0, nil
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO dashboard_acknowledgements (id, owner, event_key, session_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner, event_key) DO UPDATE SET session_id = $4, acknowledged_at = clock_timestamp()`,
			newID(), owner, eventKey, sessionID)
		if err != nil {
			return false, fmt.Errorf("save acknowledgement: %w", err)
		}
		return true, nil
	})
}

func checkAcknowledgement(eventKey string, sessionID *string) error {
	if !eventKeyForm.MatchString(eventKey) {
		return fault.Coded(fault.Invalid, "INVALID_EVENT_KEY", "An event key has 3 to 160 letters, digits or any of : _ | . -")
	}
	return checkReference("sessionId", sessionID)
}

// ClearAcknowledged removes up to 100 acknowledgements and returns their number.
func (s *Service) ClearAcknowledged(ctx context.Context, owner string) (int, error) {
	var removed int
	err := s.change(ctx, owner, func(ctx context.Context, tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, `
			DELETE FROM dashboard_acknowledgements WHERE id IN (
				SELECT id FROM dashboard_acknowledgements WHERE owner = $1 ORDER BY event_key LIMIT $2)`,
			owner, maxAcknowledgements)
		if err != nil {
			return false, fmt.Errorf("clear acknowledgements: %w", err)
		}
		removed = int(tag.RowsAffected())
		return removed > 0, nil
	})
	return removed, err
}
