package sync

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// errRepeated is what a transaction fails with when another run of the same
// request has committed.
var errRepeated = errors.New("the request has run already")

// requests remembers which mutations ran, in the table convex_requests.
type requests struct {
	pool *pgxpool.Pool
}

// requestKey is how a client names a mutation.
type requestKey struct {
	session string
	request int64
}

// answer is what a mutation was answered with.
type answer struct {
	ts     int64
	value  json.RawMessage
	failed *registry.Failure
}

// callerDigest stands for who asked for what.
func callerDigest(identity string, in *registry.Invocation) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(identity), []byte(in.Function.Name), in.Object} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return h.Sum(nil)
}

// recall finds the answer that the request got before, or nil when it has not
// run. When it ran but its answer is not known yet, it waits a moment for it.
func (q *requests) recall(ctx context.Context, key requestKey, caller []byte) (*answer, error) {
	const patience = 5 * time.Second // between a commit and its answer lie milliseconds
	for {
		var (
			a        answer
			same     bool
			success  *bool
			result   *string
			data     *string
			creation time.Time
			now      time.Time
		)
		err := q.pool.QueryRow(ctx, `
			SELECT ts, caller = $3, success, result, error_data, created_at, clock_timestamp()
			FROM convex_requests WHERE session_id = $1 AND request_id = $2`, key.session, key.request, caller).
			Scan(&a.ts, &same, &success, &result, &data, &creation, &now)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("look up request: %w", err)
		case !same:
			return nil, fault.New(fault.Conflict, "this request was made by another caller, or for something else")
		case success == nil && now.Sub(creation) > patience:
			// The server stopped between the commit and the answer. It did
			// commit, and that is what the client must hear.
			a.value = json.RawMessage("null")
			return &a, nil
		case success == nil:
			if err := retry.Pause(ctx, 20*time.Millisecond); err != nil {
				return nil, err
			}
			continue
		case *success:
			a.value = json.RawMessage(*result)
			return &a, nil
		}
		a.failed = &registry.Failure{Message: *result}
		if data != nil {
			a.failed.Data = json.RawMessage(*data)
		}
		return &a, nil
	}
}

// record adds the request to the transaction of its mutation. A mutation may
// commit several transactions: the first one of the run makes the row.
func (q *requests) record(ctx context.Context, tx pgx.Tx, key requestKey, caller []byte, run [16]byte, ts int64) error {
	tag, err := tx.Exec(ctx, `
		INSERT INTO convex_requests (session_id, request_id, caller, run, ts)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (session_id, request_id) DO UPDATE SET ts = excluded.ts
		WHERE convex_requests.run = excluded.run`,
		key.session, key.request, caller, pgtype.UUID{Bytes: run, Valid: true}, ts)
	if err != nil {
		return fmt.Errorf("record request: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errRepeated
	}
	return nil
}

// finish adds the answer to a request that was recorded.
func (q *requests) finish(ctx context.Context, key requestKey, run [16]byte, a answer) error {
	success, result := true, string(a.value)
	var data *string
	if a.failed != nil {
		success, result = false, strings.ReplaceAll(a.failed.Message, "\x00", "") // PostgreSQL has no NUL
		if a.failed.Data != nil {
			text := string(a.failed.Data)
			data = &text
		}
	}
	_, err := q.pool.Exec(ctx, `
		UPDATE convex_requests SET success = $4, result = $5, error_data = $6
		WHERE session_id = $1 AND request_id = $2 AND run = $3`,
		key.session, key.request, pgtype.UUID{Bytes: run, Valid: true}, success, result, data)
	if err != nil {
		return fmt.Errorf("record answer: %w", err)
	}
	return nil
}

// prune forgets requests older than keep.
func (q *requests) prune(ctx context.Context, keep time.Duration) error {
	const batch = 10_000 // small enough not to hold its locks for long
	for {
		tag, err := q.pool.Exec(ctx, `
			DELETE FROM convex_requests WHERE ctid = ANY (ARRAY(
				SELECT ctid FROM convex_requests
				WHERE ts < extract(epoch FROM clock_timestamp() - $1::interval) * 1000000000 LIMIT $2))`,
			keep, batch)
		if err != nil {
			return fmt.Errorf("prune requests: %w", err)
		}
		if tag.RowsAffected() < batch {
			return nil
		}
	}
}
