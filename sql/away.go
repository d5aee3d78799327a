package schema

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// HasCode reports whether the server refused a statement with one of the SQLSTATE
// codes of Appendix A of PostgreSQL's manual.
func HasCode(err error, codes ...string) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && slices.Contains(codes, server.Code)
}

// TimedOut reports whether a statement took longer than its transaction lets it, and was not
// ended because its caller has gone.
func TimedOut(ctx context.Context, err error) bool {
	return HasCode(err, pgerrcode.QueryCanceled) && ctx.Err() == nil
}

// Away reports whether a statement failed because the server cannot be
// reached, is stopping, starting or read-only after a failover, is out of
// resources, took it back in favour of another transaction or let it wait too
// long for one: what will pass,
// and no mistake of ours.
func Away(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		if server.Code == "25006" || server.Code == "55P03" { // read_only_sql_transaction, lock_not_available
			return true
		}
		// The classes of Appendix A of PostgreSQL's manual: connection
		// exception, transaction rollback, insufficient resources, operator
		// intervention.
		for _, class := range []string{"08", "40", "53", "57"} {
			if strings.HasPrefix(server.Code, class) {
				return true
			}
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || err != nil && strings.Contains(err.Error(), "conn closed")
}
