package auth

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Options configure a Service. The zero value works.
type Options struct {
	// StaticKeys are deploy keys that come from the settings instead of the
	// database, so that a team keeps the key that its bridge already has.
	StaticKeys []StaticKey
	// Log receives operational messages; never secrets or e-mails. Nil discards.
	Log *slog.Logger
}

// Service does everything about accounts and keys. Make one with New.
type Service struct {
	pool    *pgxpool.Pool
	options Options
	log     *slog.Logger
	static  []staticKey
}

// New makes a service on the database. The caller keeps the pool.
func New(pool *pgxpool.Pool, options Options) *Service {
	s := &Service{pool: pool, options: options, log: options.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, key := range options.StaticKeys {
		s.static = append(s.static, newStaticKey(key))
	}
	return s
}

// Credentials are what a request carries. Both are optional.
type Credentials struct {
	Key   string // deploy key
	Token string // bearer token
}

// Resolve turns what a request carries into a principal. A bad token is a
// guest; a bad key is an error (fault.Unauthenticated), since only a machine
// that was set up wrongly sends one.
func (s *Service) Resolve(ctx context.Context, c Credentials) (Principal, error) {
	p, err := s.Authenticate(ctx, c.Token)
	if err != nil || c.Key == "" {
		return p, err
	}
	keyed, err := s.AuthenticateKey(ctx, c.Key)
	if err != nil {
		return Principal{}, err
	}
	p.Key = keyed.Key
	if p.ExpiresAt.IsZero() || !keyed.ExpiresAt.IsZero() && keyed.ExpiresAt.Before(p.ExpiresAt) {
		p.ExpiresAt = keyed.ExpiresAt
	}
	return p, nil
}

// tx runs work in a transaction that others may add to.
func (s *Service) tx(ctx context.Context, doing string, work func(context.Context, pgx.Tx) error) error {
	if err := schema.Tx(ctx, s.pool, work); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
