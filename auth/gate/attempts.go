package gate

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The contract's limit of attempts for one account.
const (
	maxAttempts   = 8
	attemptWindow = 15 * time.Minute
	attemptBlock  = 15 * time.Minute
	memory        = 30 * time.Minute // rows go this long after their last use
)

// The limit of attempts from one client address: a bucket of so many, of which
// one comes back in each interval.
const (
	defaultAddressBurst = 100
	defaultAddressEvery = 2 * time.Second
)

// Limits counts attempts in the database.
type Limits struct {
	pool  *pgxpool.Pool
	burst int
	every time.Duration
}

// NewLimits makes the limits of attempts, with those of one client address: so many
// at once, and one more each time. Zero means 100 and two seconds.
func NewLimits(pool *pgxpool.Pool, burst int, every time.Duration) Limits {
	return Limits{pool, cmp.Or(burst, defaultAddressBurst), cmp.Or(every, defaultAddressEvery)}
}

// Verdict says whether an attempt may go on.
type Verdict struct {
	Blocked    bool
	First      bool // the attempt that brought the block about
	RetryAfter time.Duration
}

// Count counts an attempt from a client address, which may be "", on what the key
// names. An attempt that the address may not make is not counted on the key.
func (l Limits) Count(ctx context.Context, address, key string) (Verdict, error) {
	if v, err := l.countAddress(ctx, address); err != nil || v.Blocked {
		return v, err
	}
	return l.countAttempt(ctx, key)
}

// countAttempt counts an attempt on an account before its password is looked
// at. One statement does it, so that instances sharing the database share the
// limit and concurrent attempts cannot slip past it.
func (l Limits) countAttempt(ctx context.Context, key string) (Verdict, error) {
	var blockedFor *time.Duration
	err := l.pool.QueryRow(ctx, `
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
		return Verdict{}, fmt.Errorf("count attempt: %w", err)
	}
	if blockedFor == nil {
		return Verdict{}, nil
	}
	return Verdict{Blocked: true, First: *blockedFor == attemptBlock, RetryAfter: *blockedFor}, nil
}

// countAddress takes one from the bucket of a client address. Attempts that
// are refused take nothing, so that a flood ends when it ends.
func (l Limits) countAddress(ctx context.Context, address string) (Verdict, error) {
	if address == "" {
		return Verdict{}, nil
	}
	var (
		refusals int
		wait     time.Duration
	)
	every, burst := l.every, time.Duration(l.burst)
	err := l.pool.QueryRow(ctx, `
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
		return Verdict{}, fmt.Errorf("count attempts of an address: %w", err)
	}
	if refusals == 0 {
		return Verdict{}, nil
	}
	return Verdict{Blocked: true, First: refusals == 1, RetryAfter: wait}, nil
}

// Forget forgets all attempts, after one that succeeded.
func Forget(ctx context.Context, tx pgx.Tx, key string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM auth_attempts WHERE key = $1`, key); err != nil {
		return fmt.Errorf("forget attempts: %w", err)
	}
	return nil
}

// TakeBack makes an attempt uncounted, and leaves those before it counted.
func TakeBack(ctx context.Context, tx pgx.Tx, key string) error {
	if _, err := tx.Exec(ctx, `UPDATE auth_attempts SET attempts = greatest(attempts - 1, 0) WHERE key = $1`, key); err != nil {
		return fmt.Errorf("take an attempt back: %w", err)
	}
	return nil
}

// Cleanup removes what no longer limits anybody.
func (l Limits) Cleanup(ctx context.Context) error {
	for _, statement := range []string{
		`DELETE FROM auth_attempts WHERE last_used_at < clock_timestamp() - $1::interval`,
		`DELETE FROM auth_addresses WHERE last_used_at < clock_timestamp() - $1::interval`,
	} {
		if _, err := l.pool.Exec(ctx, statement, memory); err != nil {
			return fmt.Errorf("remove old limits: %w", err)
		}
	}
	return nil
}

// Address is the unit that is limited: an IPv4 address, or the /64
// network of an IPv6 one, all of which one host can use. Anything else is "".
func Address(text string) string {
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
