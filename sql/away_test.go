package schema_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	schema "github.com/ecovolt/telemetryd/sql"
)

func TestAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // nobody is there
	_, refused := pgx.Connect(t.Context(), "postgres://x@"+listener.Addr().String()+"/x?sslmode=disable")
	code := func(code string) error { return fmt.Errorf("read: %w", &pgconn.PgError{Code: code}) }
	for name, test := range map[string]struct {
		err  error
		away bool
	}{
		"nothing":                {nil, false},
		"refused":                {refused, true},
		"admin_shutdown":         {code("57P01"), true},
		"cannot_connect_now":     {code("57P03"), true},
		"query_canceled":         {code("57014"), true},
		"too_many_connections":   {code("53300"), true},
		"disk_full":              {code("53100"), true},
		"connection_failure":     {code("08006"), true},
		"deadlock_detected":      {code("40P01"), true},
		"read only after demote": {code("25006"), true},
		"lock_not_available":     {code("55P03"), true},
		"unique_violation":       {code("23505"), false},
		"syntax_error":           {code("42601"), false},
		"no code":                {code(""), false},
		"closed":                 {fmt.Errorf("write: %w", net.ErrClosed), true},
		"given up by the caller": {context.Canceled, false},
		"out of time":            {context.DeadlineExceeded, false},
		"another mistake":        {errors.New("boom"), false},
	} {
		if got := schema.Away(test.err); got != test.away {
			t.Errorf("%s (%v): %v", name, test.err, got)
		}
	}
}
