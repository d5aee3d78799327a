package dashboard

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// Service reads and writes dashboards. It is safe for concurrent use.
type Service struct {
	pool *pgxpool.Pool
}

// New makes a Service on the pool.
func New(pool *pgxpool.Pool) *Service { return &Service{pool: pool} }

// change runs work as the only writer of the owner's rows. work reports
// whether it changed any; watchers are told only then.
func (s *Service) change(ctx context.Context, owner string, work func(context.Context, pgx.Tx) (bool, error)) error {
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		topic := schema.TopicDashboard(owner)
		if err := schema.Lock(ctx, tx, topic); err != nil {
			return err
		}
		changed, err := work(ctx, tx)
		if err != nil || !changed {
			return err
		}
		return schema.Touch(ctx, tx, topic)
	})
	if schema.HasCode(err, pgerrcode.ForeignKeyViolation) {
		// The account was deleted after its token had been looked up.
		return fault.Coded(fault.Unauthenticated, "UNAUTHENTICATED", "Sign in to continue.")
	}
	return err
}

// newID makes an opaque id.
func newID() string { return strings.ToLower(rand.Text()) }

// The contract's two forms of time: a document's _creationTime keeps fractions
// of a millisecond, its own times are whole milliseconds.
const (
	sqlCreation = "extract(epoch FROM created_at)::float8 * 1000"
	sqlMillis   = "floor(extract(epoch FROM %s) * 1000)::float8"
)

func millis(column string) string { return fmt.Sprintf(sqlMillis, column) }
