package schema

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Copy runs a COPY FROM STDIN over a stream, and returns how many rows it stored.
// When it returns the stream is not read any more.
func Copy(ctx context.Context, tx pgx.Tx, sql string, rows io.Reader) (int64, error) {
	// pgx leaves a goroutine behind that reads on when the connection breaks.
	in := &guardedReader{r: rows}
	defer in.end()
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, in, sql)
	if err != nil {
		return 0, fmt.Errorf("copy: %w", err)
	}
	return tag.RowsAffected(), nil
}

// guardedReader can be ended from another goroutine.
type guardedReader struct {
	mu    sync.Mutex
	r     io.Reader
	ended bool
}

func (g *guardedReader) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0, io.ErrClosedPipe
	}
	return g.r.Read(p)
}

// end waits for the read that is going on; later ones fail.
func (g *guardedReader) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}
