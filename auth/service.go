package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/auth/factor"
	"github.com/ecovolt/telemetryd/auth/gate"
	"github.com/ecovolt/telemetryd/auth/secret"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Options configure a Service. The zero value works.
type Options struct {
	// StaticKeys are deploy keys that come from the settings instead of the
	// database, so that a team keeps the key that its bridge already has.
	StaticKeys []StaticKey

	// Hash are the costs of new password hashes; hashes of other costs are
	// renewed at the next sign-in.
	Hash secret.Params
	// Pepper is a secret that every new password hash depends on besides the
	// password, kept out of the database. Empty is none. Losing it locks
	// every account out.
	Pepper string
	// FormerPeppers still verify, until each account's next sign-in.
	FormerPeppers []string
	// ImportedPepper is the pepper of imported scrypt hashes; empty means Pepper.
	ImportedPepper string
	// HashSlots is how many passwords are checked at once; zero means half of
	// the processors, at most 4. Each takes Hash.MemoryKiB, or 128 MiB for an
	// imported scrypt hash.
	HashSlots int
	// HashQueue is how many may wait for a slot before the next one is turned
	// away; zero means 64.
	HashQueue int
	// Keys are the connections to look deploy keys up with, so that nobody who
	// signs in keeps a machine waiting. Nil takes those of the Service.
	Keys *pgxpool.Pool
	// AddressBurst is how many attempts one client address may make at once,
	// and AddressEvery how long until one more is allowed. Zero means 100 and
	// two seconds.
	AddressBurst int
	AddressEvery time.Duration
	// AdminsNeedFactor demands a second factor of administrators: without one they
	// may what internal accounts may.
	AdminsNeedFactor bool
	// KeepAudit is how long audit entries are kept; zero is for ever.
	KeepAudit time.Duration

	// OnSignIn is told how each sign-in ended: "succeeded", "asked" for the code of a
	// second factor, "refused" for a wrong password or code or a rejected account,
	// "blocked" after too many attempts, or "failed" when it could not be looked at. Nil tells nobody.
	OnSignIn func(outcome string)

	// Log receives operational messages; never secrets or e-mails. Nil discards.
	Log *slog.Logger
}

// Service does everything about accounts and keys. Make one with New.
type Service struct {
	pool    *pgxpool.Pool
	options Options
	log     *slog.Logger
	static  []staticKey
	secrets *secret.Keeper
	factors factor.Factors
	gate    *gate.Gate
	limits  gate.Limits
	proven  proven
}

// New makes a service on the database. The caller keeps the pool.
func New(pool *pgxpool.Pool, options Options) *Service {
	if options.Keys == nil {
		options.Keys = pool
	}
	s := &Service{
		pool: pool, options: options, log: options.Log,
		secrets: secret.New(options.Hash, options.Pepper, options.FormerPeppers, options.ImportedPepper),
		gate:    gate.New(options.HashSlots, options.HashQueue),
		limits:  gate.NewLimits(pool, options.AddressBurst, options.AddressEvery),
	}
	s.factors = factor.Factors{Secrets: s.secrets}
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

// maxTries is how often a transaction that lost a deadlock is run.
const maxTries = 4

// tx runs work in a transaction that others may add to. A transaction that the
// database gave up in favour of another one is run again: work may be called
// several times, and must set what it sets anew each time.
func (s *Service) tx(ctx context.Context, doing string, work func(context.Context, pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := schema.Tx(ctx, s.pool, work)
		if err == nil {
			return nil
		}
		if try == maxTries || !schema.HasCode(err, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}
