package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/auth/check"
	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// keyMark starts every key made here, so that people and secret scanners know one.
const keyMark = "tdk_"

// Limits of what is taken for a key and its name.
const (
	maxKeyLength  = 1024        // characters; keys of the former backend are about 150
	lastUsedGrain = time.Minute // last_used_at is not written more often
)

// StaticKey is a deploy key that comes from the settings.
type StaticKey struct {
	Name   string // for the audit log; empty means "static"
	Secret string // the whole key; empty is no key
	Scope  Scope  // empty means ScopeAdmin, as the former backend's deploy key
}

type staticKey struct {
	digest   []byte
	identity KeyIdentity
}

func newStaticKey(key StaticKey) staticKey {
	if key.Name == "" {
		key.Name = "static"
	}
	if key.Scope == "" {
		key.Scope = ScopeAdmin
	}
	out := staticKey{identity: KeyIdentity{ID: key.Name, Name: key.Name, Scope: key.Scope}}
	if key.Secret != "" {
		out.digest = secret.Digest(key.Secret)
	}
	return out
}

// Key is a deploy key as lists show it, without its secret.
type Key struct {
	ID         string
	Name       string
	Scope      Scope
	Prefix     string // start of the key
	CreatedAt  time.Time
	CreatedBy  string     // account or key id, or command; empty when not known
	ExpiresAt  *time.Time // nil: never
	RevokedAt  *time.Time // nil: valid until it expires
	LastUsedAt *time.Time // to about a minute; nil: never used
	NoChannels bool       // see NewKey
}

// NewKey says what key to make.
type NewKey struct {
	Name  string        // 1 to 80 printable characters; several keys may share one
	Scope Scope         // empty means ScopeIngest
	Valid time.Duration // how long from now; zero is for ever
	// NoChannels has members that nobody knows, in records that come by the key, be
	// stored and make no channels.
	NoChannels bool
}

var errBadKey = fault.New(fault.Unauthenticated, "The deploy key is not valid.")

// AuthenticateKey finds the deploy key. The key is opaque text and may hold
// any characters. An unknown, expired or revoked one is fault.Unauthenticated.
// The database is asked each time, so a revocation holds everywhere at once.
func (s *Service) AuthenticateKey(ctx context.Context, key string) (Principal, error) {
	if key == "" || len(key) > maxKeyLength {
		return Principal{}, errBadKey
	}
	sum := secret.Digest(key)
	for _, static := range s.static {
		if static.digest != nil && subtle.ConstantTimeCompare(static.digest, sum) == 1 {
			identity := static.identity
			return Principal{Role: Guest, Key: &identity}, nil
		}
	}
	var (
		identity KeyIdentity
		expires  *time.Time
		stale    bool
	)
	err := s.options.Keys.QueryRow(s.proven.as(ctx, sum), `
		SELECT id, name, scope, no_channels, expires_at,
		       last_used_at IS NULL OR last_used_at < clock_timestamp() - $2::interval
		FROM deploy_keys
		WHERE secret_hash = $1 AND revoked_at IS NULL
		  AND (expires_at IS NULL OR expires_at > clock_timestamp())`, sum, lastUsedGrain).
		Scan(&identity.ID, &identity.Name, &identity.Scope, &identity.NoChannels, &expires, &stale)
	if errors.Is(err, pgx.ErrNoRows) {
		s.proven.note(sum, false)
		return Principal{}, errBadKey
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up deploy key: %w", err)
	}
	s.proven.note(sum, true)
	if stale {
		// Telling when a key was used must never keep it from being used.
		if _, err := s.options.Keys.Exec(s.proven.as(ctx, sum), `UPDATE deploy_keys SET last_used_at = clock_timestamp() WHERE id = $1`, identity.ID); err != nil {
			s.log.WarnContext(ctx, "could not note the use of a deploy key", "key", identity.ID, "error", err)
		}
	}
	p := Principal{Role: Guest, Key: &identity}
	if expires != nil {
		p.ExpiresAt = *expires
	}
	return p, nil
}

// CreateKey makes a deploy key and returns its secret, which is shown this once:
// only its digest is stored.
func (s *Service) CreateKey(ctx context.Context, by Principal, spec NewKey) (made string, key Key, err error) {
	if d := Allow(by, ManageKeys, SessionAge{}); !d.Allowed {
		return "", Key{}, d.Err
	}
	if spec, err = spec.check(); err != nil {
		return "", Key{}, err
	}
	err = s.tx(ctx, "create deploy key", func(ctx context.Context, tx pgx.Tx) error {
		made, key, err = insertKey(ctx, tx, by, spec)
		return err
	})
	return made, key, err
}

// RotateKey makes a successor of the same name and scope. The old key stays
// valid for the overlap, so that its holders can be given the new one without
// an interruption; a zero overlap revokes it at once.
func (s *Service) RotateKey(ctx context.Context, by Principal, id string, overlap time.Duration) (made string, key Key, err error) {
	if d := Allow(by, ManageKeys, SessionAge{}); !d.Allowed {
		return "", Key{}, d.Err
	}
	if overlap < 0 {
		return "", Key{}, fault.Field("overlap", "must not be negative")
	}
	err = s.tx(ctx, "rotate deploy key", func(ctx context.Context, tx pgx.Tx) error {
		var spec NewKey
		err := tx.QueryRow(ctx, `
			UPDATE deploy_keys
			SET expires_at = least(expires_at, clock_timestamp() + $2::interval)
			WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
			RETURNING name, scope, no_channels`, storable(id), overlap).Scan(&spec.Name, &spec.Scope, &spec.NoChannels)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.Coded(fault.NotFound, "NOT_FOUND", "No valid deploy key has this id.")
		}
		if err != nil {
			return err
		}
		if made, key, err = insertKey(ctx, tx, by, spec); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicKey(storable(id)))
	})
	return made, key, err
}

// RevokeKey ends a key now, on every instance. Revoking one again is no error.
func (s *Service) RevokeKey(ctx context.Context, by Principal, id string) error {
	if d := Allow(by, ManageKeys, SessionAge{}); !d.Allowed {
		return d.Err
	}
	return s.tx(ctx, "revoke deploy key", func(ctx context.Context, tx pgx.Tx) error {
		var first bool
		err := tx.QueryRow(ctx, `
			WITH found AS (SELECT id, revoked_at FROM deploy_keys WHERE id = $1 FOR UPDATE)
			UPDATE deploy_keys k SET revoked_at = coalesce(k.revoked_at, clock_timestamp())
			FROM found WHERE k.id = found.id
			RETURNING found.revoked_at IS NULL`, storable(id)).Scan(&first)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.Coded(fault.NotFound, "NOT_FOUND", "No deploy key has this id.")
		}
		if err != nil || !first {
			return err
		}
		if err := record(ctx, tx, Event{Name: keyRevoked, Detail: map[string]any{"key": id}}.by(by)); err != nil {
			return err
		}
		return schema.Touch(ctx, tx, schema.TopicKey(id))
	})
}

// ListKeys returns every key that was ever made, oldest first, without secrets.
func (s *Service) ListKeys(ctx context.Context, by Principal) ([]Key, error) {
	if d := Allow(by, ManageKeys, SessionAge{}); !d.Allowed {
		return nil, d.Err
	}
	keys, err := schema.List(ctx, s.pool, pgx.RowToStructByPos[Key], `
		SELECT id, name, scope, prefix, created_at, coalesce(created_by, ''), expires_at, revoked_at, last_used_at, no_channels
		FROM deploy_keys ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list deploy keys: %w", err)
	}
	return keys, nil
}

func insertKey(ctx context.Context, tx pgx.Tx, by Principal, spec NewKey) (string, Key, error) {
	id := secret.ID("")[:10]
	key := Key{ID: id, Name: spec.Name, Scope: spec.Scope, Prefix: keyMark + id, CreatedBy: by.UserID, NoChannels: spec.NoChannels}
	if key.CreatedBy == "" {
		key.CreatedBy = by.actor()
	}
	made := key.Prefix + "_" + secret.Token()
	var valid *time.Duration
	if spec.Valid > 0 {
		valid = &spec.Valid
	}
	err := tx.QueryRow(ctx, `
		INSERT INTO deploy_keys (id, name, scope, prefix, secret_hash, created_by, expires_at, no_channels)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), clock_timestamp() + $7::interval, $8)
		RETURNING created_at, expires_at`,
		key.ID, key.Name, key.Scope, key.Prefix, secret.Digest(made), key.CreatedBy, valid, key.NoChannels).
		Scan(&key.CreatedAt, &key.ExpiresAt)
	if err != nil {
		return "", Key{}, err
	}
	detail := map[string]any{"key": key.ID, "name": key.Name, "scope": key.Scope}
	if key.NoChannels {
		detail["no_channels"] = true
	}
	err = record(ctx, tx, Event{Name: keyCreated, Detail: detail}.by(by))
	return made, key, err
}

func (k NewKey) check() (NewKey, error) {
	var ok bool
	if k.Name, ok = check.Label(k.Name); !ok {
		return k, fault.Field("name", "must be 1 to %d printable characters", check.MaxLabel)
	}
	if k.Scope == "" {
		k.Scope = ScopeIngest
	}
	if !k.Scope.valid() {
		return k, fault.Field("scope", "must be ingest or admin")
	}
	if k.Valid < 0 {
		return k, fault.Field("valid", "must not be negative")
	}
	return k, nil
}
