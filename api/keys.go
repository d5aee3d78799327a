package api

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
)

func (s *server) keyRoutes() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/keys", auth.ManageKeys, s.listKeys},
		{http.MethodPost, "/api/v1/keys", auth.ManageKeys, s.createKey},
		{http.MethodPost, "/api/v1/keys/:id/rotate", auth.ManageKeys, s.rotateKey},
		{http.MethodDelete, "/api/v1/keys/:id", auth.ManageKeys, s.revokeKey},
		{http.MethodGet, "/api/v1/audit", auth.ReadAudit, s.readAudit},
	}
}

// keyView is a deploy key as REST shows it. Secret is there once, when the key
// was just made.
type keyView struct {
	Secret     string     `json:"key,omitempty"`
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scope      auth.Scope `json:"scope"`
	Prefix     string     `json:"prefix"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  any        `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func viewKey(k auth.Key, secret string) keyView {
	return keyView{
		Secret: secret, ID: k.ID, Name: k.Name, Scope: k.Scope, Prefix: k.Prefix,
		CreatedAt: k.CreatedAt.UTC(), CreatedBy: nullIfEmpty(k.CreatedBy),
		ExpiresAt: inUTC(k.ExpiresAt), RevokedAt: inUTC(k.RevokedAt), LastUsedAt: inUTC(k.LastUsedAt),
	}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}

func (s *server) listKeys(r *Request) error {
	keys, err := s.Auth.ListKeys(r.Request.Context(), r.Principal)
	if err != nil {
		return err
	}
	views := make([]keyView, len(keys))
	for i, k := range keys {
		views[i] = viewKey(k, "")
	}
	return answer(r, http.StatusOK, map[string]any{"keys": views})
}

func (s *server) createKey(r *Request) error {
	var in struct {
		Name   string     `json:"name"`
		Scope  auth.Scope `json:"scope"`
		ValidS float64    `json:"valid_s"` // how long it is valid, seconds; 0 or absent: for ever
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	valid, err := seconds("valid_s", in.ValidS)
	if err != nil {
		return err
	}
	secret, key, err := s.Auth.CreateKey(r.Request.Context(), r.Principal, auth.NewKey{Name: in.Name, Scope: in.Scope, Valid: valid})
	if err != nil {
		return err
	}
	return answer(r, http.StatusCreated, viewKey(key, secret))
}

func (s *server) rotateKey(r *Request) error {
	var in struct {
		OverlapS float64 `json:"overlap_s"` // how long the old key stays valid, seconds
	}
	if err := httpx.ReadJSON(r.Writer, r.Request, &in); err != nil {
		return err
	}
	overlap, err := seconds("overlap_s", in.OverlapS)
	if err != nil {
		return err
	}
	secret, key, err := s.Auth.RotateKey(r.Request.Context(), r.Principal, r.Param("id"), overlap)
	if err != nil {
		return err
	}
	return answer(r, http.StatusCreated, viewKey(key, secret))
}

func (s *server) revokeKey(r *Request) error {
	if err := s.Auth.RevokeKey(r.Request.Context(), r.Principal, r.Param("id")); err != nil {
		return err
	}
	return answer(r, http.StatusNoContent, nil)
}

// maxSeconds is ten years.
const maxSeconds = 10 * 366 * 24 * 3600

func seconds(name string, s float64) (time.Duration, error) {
	if !(s >= 0 && s <= maxSeconds) { // this way round for NaN
		return 0, fault.Field(name, "must be 0 to %d seconds", maxSeconds)
	}
	return time.Duration(s * float64(time.Second)), nil
}

// eventView is an entry of the audit log.
type eventView struct {
	ID        int64          `json:"id"`
	At        time.Time      `json:"at"`
	Event     string         `json:"event"`
	UserID    any            `json:"user_id"`
	ActorID   any            `json:"actor_user_id"`
	EmailHash any            `json:"email_hash"`
	Address   any            `json:"client_address"`
	Detail    map[string]any `json:"detail"`
}

// readAudit gives the newest entries first; next_before is the next page's
// before, or null on the last page.
func (s *server) readAudit(r *Request) error {
	limit, err := intParam(r, "limit", 1, 1000, 100)
	if err != nil {
		return err
	}
	before := int64(0)
	if text := r.Query("before"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return fault.Field("before", "must be an id from 1 to %d", int64(math.MaxInt64))
		}
	}
	events, err := s.Auth.Audit(r.Request.Context(), r.Principal, auth.AuditQuery{
		Before: before, UserID: r.Query("user_id"), Name: r.Query("event"), Limit: limit,
	})
	if err != nil {
		return err
	}
	views := make([]eventView, len(events))
	for i, e := range events {
		views[i] = eventView{
			e.ID, e.At.UTC(), e.Name, nullIfEmpty(e.UserID), nullIfEmpty(e.ActorID),
			nullIfEmpty(e.EmailHash), nullIfEmpty(e.Address), e.Detail,
		}
	}
	var next any
	if len(events) == limit {
		next = events[limit-1].ID
	}
	return answer(r, http.StatusOK, map[string]any{"events": views, "next_before": next})
}
