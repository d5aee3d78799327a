package api

import (
	"math"
	"strconv"
	"time"

	"github.com/ecovolt/telemetryd/api/rest"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/fault"
)

func (s *server) keyRoutes() []route {
	return []route{
		rest.JSON("GET", "/api/v1/keys", auth.ManageKeys, "List deploy keys, without the keys themselves.", s.listKeys),
		rest.JSON("POST", "/api/v1/keys", auth.ManageKeys, "Make a deploy key of scope ingest or admin.", s.createKey, rest.Created("The key, shown this once")),
		rest.JSON("POST", "/api/v1/keys/:id/rotate", auth.ManageKeys, "Make a key's successor. The old one stays valid for overlap_s seconds.", s.rotateKey,
			rest.Created("The new key, shown this once"), rest.FailsWith(fault.Conflict)),
		rest.JSON("DELETE", "/api/v1/keys/:id", auth.ManageKeys, "Revoke a key now.", s.revokeKey),
		rest.JSON("GET", "/api/v1/audit", auth.ReadAudit, "Read the audit log, newest first.", s.readAudit),
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
	CreatedBy  *string    `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	NoChannels bool       `json:"no_channels" doc:"Members of records that nobody knows are stored and make no channels"`
}

func viewKey(k auth.Key, secret string) keyView {
	return keyView{
		Secret: secret, ID: k.ID, Name: k.Name, Scope: k.Scope, Prefix: k.Prefix,
		CreatedAt: k.CreatedAt.UTC(), CreatedBy: rest.NullIfZero(k.CreatedBy),
		ExpiresAt: rest.InUTC(k.ExpiresAt), RevokedAt: rest.InUTC(k.RevokedAt), LastUsedAt: rest.InUTC(k.LastUsedAt), NoChannels: k.NoChannels,
	}
}

type keysAnswer struct {
	Keys []keyView `json:"keys"`
}

func (s *server) listKeys(r *request, _ *none) (keysAnswer, error) {
	keys, err := s.Auth.ListKeys(r.Request.Context(), r.Principal)
	if err != nil {
		return keysAnswer{}, err
	}
	views := make([]keyView, len(keys))
	for i, k := range keys {
		views[i] = viewKey(k, "")
	}
	return keysAnswer{views}, nil
}

type createKeyParams struct {
	Body struct {
		Name   string     `json:"name"`
		Scope  auth.Scope `json:"scope,omitempty"`
		ValidS float64    `json:"valid_s,omitempty"`
		// Some send what a car has no sensor for.
		NoChannels bool `json:"no_channels,omitempty" doc:"Store members of records that nobody knows, and make no channels of them"`
	}
}

func (s *server) createKey(r *request, p *createKeyParams) (keyView, error) {
	valid, err := seconds("valid_s", p.Body.ValidS)
	if err != nil {
		return keyView{}, err
	}
	secret, key, err := s.Auth.CreateKey(r.Request.Context(), r.Principal, auth.NewKey{Name: p.Body.Name, Scope: p.Body.Scope, Valid: valid, NoChannels: p.Body.NoChannels})
	if err != nil {
		return keyView{}, err
	}
	return viewKey(key, secret), nil
}

type rotateKeyParams struct {
	Body struct {
		OverlapS float64 `json:"overlap_s,omitempty"`
	}
}

func (s *server) rotateKey(r *request, p *rotateKeyParams) (keyView, error) {
	overlap, err := seconds("overlap_s", p.Body.OverlapS)
	if err != nil {
		return keyView{}, err
	}
	secret, key, err := s.Auth.RotateKey(r.Request.Context(), r.Principal, r.Param("id"), overlap)
	if err != nil {
		return keyView{}, err
	}
	return viewKey(key, secret), nil
}

func (s *server) revokeKey(r *request, _ *none) (none, error) {
	return none{}, s.Auth.RevokeKey(r.Request.Context(), r.Principal, r.Param("id"))
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
	UserID    *string        `json:"user_id"`
	ActorID   *string        `json:"actor_user_id"`
	EmailHash *string        `json:"email_hash"`
	Address   *string        `json:"client_address"`
	Detail    map[string]any `json:"detail" nullable:"true"`
}

type auditParams struct {
	Limit  int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most entries to return"`
	Cursor string    `query:"cursor" doc:"next_cursor of the page before"`
	User   string    `query:"user" doc:"Only what happened to this account"`
	Actor  string    `query:"actor" doc:"Only what this account, deploy key or command did"`
	Event  string    `query:"event" doc:"Only events of this kind" example:"sign_in_failed"`
	From   time.Time `query:"from" doc:"Only from then on"`
	To     time.Time `query:"to" doc:"Only before then"`
}

type auditAnswer struct {
	Events []eventView `json:"events"`
	Next   *string     `json:"next_cursor"`
}

func (s *server) readAudit(r *request, p *auditParams) (auditAnswer, error) {
	before := int64(0)
	if p.Cursor != "" {
		var err error
		if before, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil || before < 1 {
			return auditAnswer{}, fault.Field("cursor", "must be a number from 1 to %d", int64(math.MaxInt64))
		}
	}
	events, err := s.Auth.Audit(r.Request.Context(), r.Principal, auth.AuditQuery{
		Before: before, UserID: p.User, ActorID: p.Actor, Name: p.Event, From: p.From, To: p.To, Limit: p.Limit,
	})
	if err != nil {
		return auditAnswer{}, err
	}
	out := auditAnswer{Events: make([]eventView, len(events))}
	for i, e := range events {
		out.Events[i] = eventView{
			e.ID, e.At.UTC(), e.Name, rest.NullIfZero(e.UserID), rest.NullIfZero(e.ActorID),
			rest.NullIfZero(e.EmailHash), rest.NullIfZero(e.Address), e.Detail,
		}
	}
	if len(events) == p.Limit {
		out.Next = rest.NullIfZero(strconv.FormatInt(events[p.Limit-1].ID, 10))
	}
	return out, nil
}
