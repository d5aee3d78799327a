package factor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image/png"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/ecovolt/telemetryd/auth/secret"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

const (
	issuer = "telemetryd" // as authenticators show it
	step   = 30           // s, what all authenticators have
	skew   = 1            // steps by which a device's clock may be off
	// Patience is how long a second factor that was begun waits for its first code.
	Patience = 15 * time.Minute

	qrPixels      = 264
	recoveryCodes = 10
	recoveryChars = 24 // of base32: 120 bits, so that a digest may be stored
)

// Verdict is what became of a code.
type Verdict int

// The verdicts. Only Passed and Recovered let anybody in.
const (
	Wrong     Verdict = iota
	Used              // the right one, but taken before, or older than one that was
	Passed            // a code of the authenticator
	Recovered         // a recovery code, which is gone now
)

// Enrolment is what an authenticator is set up with. It is shown once.
type Enrolment struct {
	Secret string // base32, to be typed in
	URL    string // otpauth://
	QR     []byte // PNG of the URL
}

// Factors keeps second factors in the database.
type Factors struct{ Secrets *secret.Keeper }

// Begin makes a secret that is not asked for before Confirm; one that was begun
// before is void. An account that has a second factor is fault.Conflict.
func (f Factors) Begin(ctx context.Context, tx pgx.Tx, user string) (Enrolment, error) {
	var email string
	if err := tx.QueryRow(ctx, `SELECT email FROM users WHERE id = $1`, user).Scan(&email); err != nil {
		return Enrolment{}, fmt.Errorf("look up account: %w", err)
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: email, Period: step})
	if err != nil {
		return Enrolment{}, fmt.Errorf("make a secret: %w", err)
	}
	image, err := key.Image(qrPixels, qrPixels)
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw the QR code: %w", err)
	}
	var drawn bytes.Buffer
	if err := png.Encode(&drawn, image); err != nil {
		return Enrolment{}, fmt.Errorf("draw the QR code: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO auth_factors AS f (user_id, secret) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
		WHERE f.confirmed_at IS NULL`, user, f.Secrets.Seal([]byte(key.Secret()), user))
	if err != nil {
		return Enrolment{}, fmt.Errorf("begin second factor: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return Enrolment{}, fault.New(fault.Conflict, "This account has a second factor. Turn it off first.")
	}
	return Enrolment{Secret: key.Secret(), URL: key.URL(), QR: drawn.Bytes()}, nil
}

// Confirm puts the second factor that was begun into force, if the code is of it,
// and returns the first recovery codes, or nil where it is not. One that was not
// begun, or more than Patience ago, is fault.Conflict.
func (f Factors) Confirm(ctx context.Context, tx pgx.Tx, user, code string) ([]string, error) {
	verdict, err := f.checkCode(ctx, tx, user, normal(code), false)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.Conflict, "There is no second factor to confirm. Begin anew.")
	}
	if err != nil || verdict != Passed {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `UPDATE auth_factors SET confirmed_at = clock_timestamp() WHERE user_id = $1`, user); err != nil {
		return nil, fmt.Errorf("confirm second factor: %w", err)
	}
	return RenewRecoveryCodes(ctx, tx, user)
}

// Check looks at a code for an account that has a second factor, and marks it as used.
func (f Factors) Check(ctx context.Context, tx pgx.Tx, user, code string) (Verdict, error) {
	code = normal(code)
	if len(code) == recoveryChars {
		tag, err := tx.Exec(ctx, `DELETE FROM auth_recovery_codes WHERE user_id = $1 AND code_hash = $2`, user, secret.Digest(code))
		if err != nil {
			return Wrong, fmt.Errorf("use recovery code: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return Wrong, nil
		}
		return Recovered, nil
	}
	return f.checkCode(ctx, tx, user, code, true)
}

// checkCode fails with pgx.ErrNoRows where there is no such second factor.
func (f Factors) checkCode(ctx context.Context, tx pgx.Tx, user, code string, confirmed bool) (Verdict, error) {
	var (
		sealed    string
		now, last int64 // steps
	)
	err := tx.QueryRow(ctx, `
		SELECT secret, last_step, floor(extract(epoch FROM clock_timestamp()) / $3)::bigint
		FROM auth_factors
		WHERE user_id = $1
		  AND CASE WHEN $2 THEN confirmed_at IS NOT NULL
		           ELSE confirmed_at IS NULL AND created_at > clock_timestamp() - $4::interval END`,
		user, confirmed, step, Patience).Scan(&sealed, &last, &now)
	if err != nil {
		return Wrong, fmt.Errorf("look up second factor: %w", err)
	}
	key, stale, err := f.Secrets.Open(sealed, user)
	if err != nil {
		return Wrong, fmt.Errorf("second factor of account %s: %w", user, err)
	}
	if stale {
		sealed = f.Secrets.Seal(key, user)
	}
	verdict := Wrong
	for at := now - skew; at <= now+skew; at++ {
		same, err := hotp.ValidateCustom(code, uint64(at), string(key), hotp.ValidateOpts{Digits: otp.DigitsSix})
		if err != nil || !same { // the error is a code of another length
			continue
		}
		if at <= last {
			verdict = Used
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE auth_factors SET last_step = $2, secret = $3 WHERE user_id = $1`, user, at, sealed); err != nil {
			return Wrong, fmt.Errorf("note the code's use: %w", err)
		}
		return Passed, nil
	}
	return verdict, nil
}

// RenewRecoveryCodes makes recovery codes in the place of those that there were.
func RenewRecoveryCodes(ctx context.Context, tx pgx.Tx, user string) ([]string, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM auth_recovery_codes WHERE user_id = $1`, user); err != nil {
		return nil, fmt.Errorf("forget recovery codes: %w", err)
	}
	codes, digests := make([]string, recoveryCodes), make([][]byte, recoveryCodes)
	for i := range codes {
		code := rand.Text()[:recoveryChars]
		digests[i] = secret.Digest(code)
		var groups []string
		for ; code != ""; code = code[4:] {
			groups = append(groups, code[:4])
		}
		codes[i] = strings.Join(groups, "-")
	}
	_, err := tx.Exec(ctx, `INSERT INTO auth_recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])`, user, digests)
	if err != nil {
		return nil, fmt.Errorf("store recovery codes: %w", err)
	}
	return codes, nil
}

// normal is a code as it is compared: people type spaces and dashes, and small letters.
func normal(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(code))
}

// Status is what an account has of a second factor.
type Status struct {
	Since         time.Time // when it was confirmed
	RecoveryCodes int       // not used yet
}

// Find returns what an account has, or nil where no second factor is in force.
func Find(ctx context.Context, q schema.Querier, user string) (*Status, error) {
	found, err := schema.Find[Status](ctx, q, `
		SELECT confirmed_at, (SELECT count(*) FROM auth_recovery_codes c WHERE c.user_id = f.user_id)
		FROM auth_factors f
		WHERE user_id = $1 AND confirmed_at IS NOT NULL`, user)
	if err != nil {
		return nil, fmt.Errorf("look up second factor: %w", err)
	}
	return found, nil
}

// Remove takes an account's second factor away, with recovery codes, app passwords
// and the sessions of these. It reports whether one was in force.
func Remove(ctx context.Context, tx pgx.Tx, user string) (bool, error) {
	var confirmed bool
	err := tx.QueryRow(ctx, `DELETE FROM auth_factors WHERE user_id = $1 RETURNING confirmed_at IS NOT NULL`, user).Scan(&confirmed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("remove second factor: %w", err)
	}
	return confirmed, nil
}
