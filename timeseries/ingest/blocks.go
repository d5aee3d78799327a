package ingest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
)

// next is the reader's next block, with its bad records accounted for.
func (u *upload) next(ctx context.Context) (*block, error) {
	b, err := u.reader.next(ctx)
	if err == nil {
		u.account(b)
	}
	return b, err
}

func (u *upload) account(b *block) {
	u.result.Rejected += b.decoded.Rejected()
	room := max(0, decode.MaxProblems-len(u.result.Problems))
	problems := b.decoded.Problems()
	u.result.Problems = append(u.result.Problems, problems[:min(room, len(problems))]...)
}

// storeBlocks stores a chunk block by block, while the next one is decoded. Its
// batches are looked up when the last block has told their digests. Where one is
// known the chunk is stored once more, in the usual order.
func (u *upload) storeBlocks(ctx context.Context, tx pgx.Tx, b *block) (err error) {
	var point pgx.Batch
	point.Queue("SAVEPOINT chunk")
	if err := schema.Later(ctx, tx, &point); err != nil {
		return err
	}
	var shares []*share
	unusual := false
	for ; ; b, err = u.next(ctx) {
		if err != nil {
			return err
		}
		for _, r := range b.rows {
			i := slices.IndexFunc(shares, func(s *share) bool { return s.id == r.id() })
			if i < 0 {
				i = len(shares)
				shares = append(shares, &share{id: r.id()})
				if err := shares[i].lock(ctx, tx, func(*pgx.Batch) {}); err != nil {
					return err
				}
			}
			s := shares[i]
			s.take(append(s.rows, r))
			if unusual = unusual || s.toSettle(); unusual {
				continue // what is to be copied is known at the end
			}
			if len(b.rows) > 1 {
				err = u.copy(ctx, tx, s, r)
			} else {
				b, err = u.copyOn(ctx, tx, s, b)
				unusual = s.toSettle()
			}
			if err != nil {
				return fmt.Errorf("store records of session %q: %w", s.id, err)
			}
		}
		if b.digests != nil {
			break
		}
	}
	var finds pgx.Batch
	for _, s := range shares {
		s.digest = b.digests[s.id]
		s.find(&finds, s.digest)
	}
	if err := tx.SendBatch(ctx, &finds).Close(); err != nil {
		return fmt.Errorf("find batch: %w", err)
	}
	for _, s := range shares {
		if err := u.findFormOne(ctx, tx, s); err != nil {
			return err
		}
	}
	if unusual || slices.ContainsFunc(shares, func(s *share) bool { return s.known != nil }) {
		if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT chunk"); err != nil {
			return err
		}
		return u.storeShares(ctx, tx, shares)
	}
	for _, s := range shares {
		if err := u.log(ctx, tx, s); err != nil {
			return err
		}
	}
	return nil
}

// blockStream is the rows of a block, and of those behind it, as one COPY. To begin
// a COPY costs the server as much as several hundred records of it.
type blockStream struct {
	*upload
	ctx    context.Context
	share  *share
	block  *block // the last one that was taken
	rows   *copyRows
	sent   int // bytes of rows
	taken  int // records
	waited time.Duration
	failed error
}

// copyOn stores a block of nothing but a locked session, which the share has taken,
// and as many of those behind it as have the same columns. It returns the last
// block that it took. One that makes the share unusual is taken and not stored.
func (u *upload) copyOn(ctx context.Context, tx pgx.Tx, s *share, b *block) (*block, error) {
	begun := time.Now()
	in := &blockStream{upload: u, ctx: ctx, share: s, block: b}
	defer func() { u.copying.Add(int64(time.Since(begun) - in.waited)) }()
	in.begin(b)
	if in.rows.records == 0 {
		return b, nil
	}
	stored, err := Copy(ctx, tx, "telemetry", &in.rows.layout, in)
	if in.failed != nil {
		return nil, in.failed
	}
	if err != nil {
		return nil, err
	}
	return in.block, allStored(stored, in.taken)
}

func (in *blockStream) begin(b *block) {
	in.block, in.rows, in.sent = b, b.rows[0], 0
	in.rows.stamp(in.share.session, in.share.batch)
	in.taken += in.rows.records
}

// Read implements io.Reader.
func (in *blockStream) Read(p []byte) (int, error) {
	for in.sent == len(in.rows.data) {
		if !in.more() {
			if in.failed != nil {
				return 0, in.failed
			}
			return 0, io.EOF
		}
	}
	n := copy(p, in.rows.data[in.sent:])
	in.sent += n
	return n, nil
}

// more takes the next block, if it can go on with that.
func (in *blockStream) more() bool {
	if in.block.digests != nil {
		return false // the chunk's last
	}
	begun := time.Now()
	b, err := in.reader.next(in.ctx)
	in.waited += time.Since(begun)
	if err != nil {
		in.failed = err
		return false
	}
	if len(b.rows) != 1 || b.rows[0].id() != in.share.id || b.rows[0].layout != in.rows.layout {
		in.reader.unread()
		return false
	}
	in.account(b)
	in.share.take(append(in.share.rows, b.rows[0]))
	if in.share.toSettle() {
		in.block = b
		return false
	}
	in.begin(b)
	return true
}
