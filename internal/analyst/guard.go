package analyst

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
)

// Guard ends what analysts hold for too long.
type Guard struct {
	Pool *pgxpool.Pool
	Log  *slog.Logger
	// Statement and Transaction are how long theirs may take. The role's own
	// settings end them before, unless they were lifted. Zero is 90 s and 6 min.
	Statement, Transaction time.Duration

	refused bool // that it may not was said
}

// Look ends the sessions of analysts whose statement or transaction is too old,
// and returns how many.
func (g *Guard) Look(ctx context.Context) (ended int, err error) {
	statement, transaction := g.Statement, g.Transaction
	if statement == 0 {
		statement = 90 * time.Second
	}
	if transaction == 0 {
		transaction = 6 * time.Minute
	}
	// Members of the role sign in by other names. The owner may be one: it made
	// the role.
	rows, err := g.Pool.Query(ctx, `
		SELECT a.usename, clock_timestamp() - a.xact_start AS age, pg_terminate_backend(a.pid)
		FROM pg_stat_activity a
		JOIN pg_roles r ON r.oid = a.usesysid
		WHERE a.datname = current_database() AND a.backend_type = 'client backend'
		  AND NOT r.rolsuper AND r.rolname <> current_user AND pg_has_role(r.oid, to_regrole($1), 'MEMBER')
		  AND (a.state = 'active' AND a.query_start < clock_timestamp() - $2::interval
		       OR a.xact_start < clock_timestamp() - $3::interval)`, Role, statement, transaction)
	var name string
	var age time.Duration
	var gone bool
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &age, &gone}, func() error {
			ended++
			g.Log.Warn("ended an analyst's session that held on for too long", "role", name, "age", age)
			return nil
		})
	}
	if schema.HasCode(err, pgerrcode.InsufficientPrivilege) {
		if !g.refused {
			g.refused = true
			g.Log.Warn("an analyst's session holds on for too long and the daemon's user may not end it: see telemetryd doctor")
		}
		return ended, nil
	}
	if err != nil {
		return ended, fmt.Errorf("look after analysts: %w", err)
	}
	return ended, nil
}
