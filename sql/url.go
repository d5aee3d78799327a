package schema

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parseURL reads the settings of a single connection from a database URL. The
// URL may hold settings of a pool (pool_max_conns and so on), which pgx alone
// would pass on to the server, and the server would refuse.
func parseURL(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	return config.ConnConfig, nil
}

// Connect opens a single connection to the database of a URL, which may hold
// settings of a pool.
func Connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	config, err := parseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}
