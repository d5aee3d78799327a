package auth

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// The contract's limit of attempts for one account.
const (
	maxAttempts   = 8
	attemptWindow = 15 * time.Minute
	attemptBlock  = 15 * time.Minute
	attemptMemory = 30 * time.Minute // rows go this long after their last use
)

// The limit of attempts from one client address: a bucket of so many, of which
// one comes back in each interval.
const (
	defaultAddressBurst = 100
	defaultAddressEvery = 2 * time.Second
)

// verdict says whether an attempt may go on.
type verdict struct {
	blocked    bool
	first      bool // the attempt that brought the block about
	retryAfter time.Duration
}

func attemptKey(kind, email string) string { return kind + ":" + emailHash(email) }

// countAttempt counts an attempt on an account before its password is looked
// at. One statement does it, so that instances sharing the database share the
// limit and concurrent attempts cannot slip past it.
func (s *Service) countAttempt(ctx context.Context, key string) (verdict, error) {
	var blockedFor *time.Duration
	err := s.pool.QueryRow(ctx, `
		INSERT INTO auth_attempts AS a (key, attempts, window_started_at, last_used_at)
		SELECT $1, 1, t, t FROM clock_timestamp() t
		ON CONFLICT (key) DO UPDATE SET (attempts, window_started_at, blocked_until, last_used_at) = (
			SELECT
				CASE WHEN blocked THEN a.attempts WHEN fresh THEN 1 ELSE a.attempts + 1 END,
				CASE WHEN fresh THEN t ELSE a.window_started_at END,
				CASE WHEN blocked THEN a.blocked_until
				     WHEN NOT fresh AND a.attempts >= $2 THEN t + $4::interval END,
				t
			FROM (SELECT t, blocked, NOT blocked AND
			             (a.blocked_until IS NOT NULL OR a.window_started_at + $3::interval <= t) AS fresh
			      FROM (SELECT t, coalesce(a.blocked_until > t, false) AS blocked
			            FROM clock_timestamp() t) b) c)
		RETURNING blocked_until - last_used_at`,
		key, maxAttempts, attemptWindow, attemptBlock).Scan(&blockedFor)
	if err != nil {
		return verdict{}, fmt.Errorf("count attempt: %w", err)
	}
	if blockedFor == nil {
		return verdict{}, nil
	}
	return verdict{blocked: true, first: *blockedFor == attemptBlock, retryAfter: *blockedFor}, nil
}

// countAddress takes one from the bucket of a client address. Attempts that
// are refused take nothing, so that a flood ends when it ends.
func (s *Service) countAddress(ctx context.Context, address string) (verdict, error) {
	if address == "" {
		return verdict{}, nil
	}
	var (
		refusals int
		wait     time.Duration
	)
	every, burst := s.options.AddressEvery, time.Duration(s.options.AddressBurst)
	err := s.pool.QueryRow(ctx, `
		INSERT INTO auth_addresses AS a (address, free_at, last_used_at)
		SELECT $1, t + $2::interval, t FROM clock_timestamp() t
		ON CONFLICT (address) DO UPDATE SET (free_at, refusals, last_used_at) = (
			SELECT CASE WHEN next - t > $3::interval THEN a.free_at ELSE next END,
			       CASE WHEN next - t > $3::interval THEN a.refusals + 1 ELSE 0 END,
			       t
			FROM (SELECT t, greatest(a.free_at, t) + $2::interval AS next FROM clock_timestamp() t) b)
		RETURNING refusals, free_at + $2::interval - $3::interval - last_used_at`,
		address, every, every*burst).Scan(&refusals, &wait)
	if err != nil {
		return verdict{}, fmt.Errorf("count attempts of an address: %w", err)
	}
	if refusals == 0 {
		return verdict{}, nil
	}
	return verdict{blocked: true, first: refusals == 1, retryAfter: wait}, nil
}

func forgetAttempts(ctx context.Context, tx pgx.Tx, keys ...string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth_attempts WHERE key = ANY($1)`, keys); err != nil {
		return fmt.Errorf("forget attempts: %w", err)
	}
	return nil
}

// limitedAddress is the unit that is limited: an IPv4 address, or the /64
// network of an IPv6 one, all of which one host can use. Anything else is "".
func limitedAddress(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	address = address.WithZone("").Unmap()
	if address.Is4() {
		return address.String()
	}
	network, err := address.Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}
