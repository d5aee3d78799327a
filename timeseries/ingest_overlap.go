package timeseries

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// One upload of thousands of records would keep either the daemon or the server
// waiting for the other if it were decoded first and copied then. So its first
// chunk is copied block by block while it is decoded. Whether it was stored
// before is known only when its digest is, at the end; then it is rolled back.

// blockRecords is how many records are decoded before copying begins.
const blockRecords = 1000

// errNotOverlapped says that the optimistic way does not fit the records after
// all; nothing was stored.
var errNotOverlapped = errors.New("store in order")

// overlaps reports whether the first block's upload can be copied while it is
// decoded: records of one session, all good, and nothing to compare them with.
func overlaps(first *decode.Batch, opt IngestOptions) bool {
	return len(first.Sessions()) == 1 && first.Rejected() == 0 && opt.IdempotencyKey == "" && !opt.SkipExisting
}

// block is a piece of the first chunk on its way to the server.
type block struct {
	batch *decode.Batch
	group *group // nil when the piece does not fit
	err   error
}

// overlapped is the first chunk of an upload.
type overlapped struct {
	blocks  []*decode.Batch // kept until the chunk is known to be new
	total   *group          // counts and bounds of all blocks
	ended   bool            // the stream ends with this chunk
	past    bool            // later chunks were read: there is no way back
	err     error           // why the stream cannot be read on
	failed  error           // why the chunk cannot be stored this way
	pending *group          // begins the next COPY: it has other columns
	unsent  block           // decoded but not yet sent when decoding was stopped
}

func (s *Store) ingestOverlapped(ctx context.Context, dec *decode.Decoder, first *decode.Batch, opt IngestOptions) (IngestResult, error) {
	var o overlapped
	in := newIngest(opt)
	defer func() {
		for _, b := range o.blocks {
			if b != first {
				b.Release()
			}
		}
	}()
	err := schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := in.overlap(ctx, tx, dec, first, &o); err != nil || o.ended {
			return err
		}
		o.past = true
		return in.rest(ctx, tx, dec)
	})
	if o.past || !errors.Is(err, errNotOverlapped) && !deadlock(err) {
		return s.finish(in, err)
	}
	// Decode what is left of the chunk, and store it the ordinary way.
	in = newIngest(opt)
	chunk := joinBatches(o.blocks, first)
	defer chunk.Release()
	if !o.ended && o.err == nil {
		if err := dec.Next(chunk, ChunkRecords); err == io.EOF {
			o.ended = true
		} else {
			o.err = err
		}
	}
	if o.err != nil {
		return IngestResult{}, withProblems(o.err, chunk)
	}
	err = schema.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := in.store(ctx, tx, groups(chunk), chunk); err != nil || o.ended {
			return err
		}
		return in.rest(ctx, tx, dec)
	})
	return s.finish(in, err)
}

// overlap locks the session and copies the first chunk while it is decoded.
func (in *ingest) overlap(ctx context.Context, tx pgx.Tx, dec *decode.Decoder, first *decode.Batch, o *overlapped) error {
	o.blocks = []*decode.Batch{first}
	o.total = &group{sessionID: first.Sessions()[0]}
	session, watermark, _, err := lockSession(ctx, tx, o.total, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	digest := sha256.New()
	blocks := make(chan block, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(blocks)
		o.unsent = decodeBlocks(ctx, dec, first, digest, blocks)
	}()
	// Whatever was decoded is kept: the ordinary way may have to store it.
	defer func() {
		cancel()
		<-done
		for piece := range blocks {
			o.keep(piece)
		}
		if o.unsent.batch != nil {
			o.keep(o.unsent)
		}
	}()

	batch := watermark + 1
	copied := int64(0)
	take := func() *group { return o.take(blocks, session, batch) }
	for g := take(); g != nil; {
		begun := time.Now()
		tag, err := copyIn(ctx, tx, &copyRun{group: g, next: take, o: o, rest: []byte(record.CopyHeader)}, g.copySQL())
		in.copying += time.Since(begun)
		if o.failed != nil { // the server only echoes why its stream was cut off
			return o.failed
		}
		if err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		copied += tag.RowsAffected()
		g, o.pending = o.pending, nil
	}
	if copied != int64(o.total.records) {
		return fmt.Errorf("copy: stored %d of %d records", copied, o.total.records)
	}
	<-done // all is decoded: nothing waits to be sent
	digest.Sum(o.total.digest[:0])
	in.link(o.total)
	known, err := findBatch(ctx, tx, o.total)
	if err != nil {
		return err
	}
	if known {
		return errNotOverlapped
	}
	if err := in.log(ctx, tx, o.total, session, batch, ""); err != nil {
		return err
	}
	in.chunk++
	in.result.add(o.total.sessionID, o.total.records, 0, batch)
	return nil
}

// decodeBlocks decodes and encodes the first chunk's blocks in order. It gives
// the block that it could not send before the context ended.
func decodeBlocks(ctx context.Context, dec *decode.Decoder, first *decode.Batch, digest io.Writer, out chan<- block) (unsent block) {
	ord, held := 0, 0
	b, err := first, error(nil)
	for {
		held += b.Memory()
		piece := block{batch: b, err: err}
		if b.Rejected() == 0 && len(b.Sessions()) <= 1 && (len(b.Sessions()) == 0 || b.Sessions()[0] == first.Sessions()[0]) {
			piece.group = &group{sessionID: first.Sessions()[0]}
			for i := range b.Len() {
				v := b.Record(i)
				piece.group.note(&v)
			}
			piece.group.encode(b, 0, uint32(ord), digest, nil)
			ord += b.Len()
		}
		select {
		case out <- piece:
		case <-ctx.Done():
			return piece
		}
		if err != nil || piece.group == nil || ord >= ChunkRecords || held >= decode.MaxChunkBytes {
			return block{}
		}
		b = decode.NewBatch()
		b.Limit(decode.MaxChunkBytes - held)
		err = dec.Next(b, min(blockRecords, ChunkRecords-ord))
	}
}

// take gives the next block's rows, or nil at the chunk's end or when the
// blocks cannot be stored this way.
func (o *overlapped) take(blocks <-chan block, session, batch int32) *group {
	piece, ok := <-blocks
	if !ok {
		return nil
	}
	o.keep(piece)
	if piece.group == nil || o.err != nil {
		o.failed = errNotOverlapped
		return nil
	}
	if piece.group.records == 0 {
		return nil
	}
	piece.group.stamp(session, batch)
	o.total.merge(piece.group)
	return piece.group
}

// keep remembers a block and how the stream stood after it.
func (o *overlapped) keep(piece block) {
	if piece.batch != o.blocks[0] {
		o.blocks = append(o.blocks, piece.batch)
	}
	switch {
	case piece.err == io.EOF:
		o.ended = true
	case piece.err != nil:
		o.err = piece.err
	}
}

// merge adds what another group counted.
func (g *group) merge(other *group) {
	if g.records == 0 || other.minMicros < g.minMicros {
		g.minMicros, g.minText = other.minMicros, other.minText
	}
	if g.records == 0 || other.maxMicros >= g.maxMicros {
		g.maxMicros, g.maxText = other.maxMicros, other.maxText
	}
	g.records += other.records
	if g.name == nil {
		g.name = other.name
	}
}

// copyRun is the stream of one COPY statement: blocks with the same columns.
type copyRun struct {
	group *group
	next  func() *group
	o     *overlapped
	rest  []byte
	stage int // 0 header, 1 rows, 2 trailer
}

func (c *copyRun) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		switch c.stage {
		case 0:
			c.stage, c.rest = 1, c.group.data
		case 1:
			g := c.next()
			if c.o.failed != nil {
				return 0, c.o.failed
			}
			if g != nil && c.group.layout == g.layout {
				c.group, c.rest = g, g.data
				continue
			}
			c.o.pending = g
			c.stage, c.rest = 2, []byte(record.CopyTrailer)
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// findBatch looks the digest up in the session's commit log.
func findBatch(ctx context.Context, tx pgx.Tx, g *group) (bool, error) {
	rows, err := tx.Query(ctx, findBatchSQL, g.sessionID, g.digest[:], nil)
	if err != nil {
		return false, fmt.Errorf("find batch: %w", err)
	}
	defer rows.Close()
	found := rows.Next()
	return found, rows.Err()
}

// joinBatches puts the blocks of one chunk into one batch.
func joinBatches(blocks []*decode.Batch, first *decode.Batch) *decode.Batch {
	out := decode.NewBatch()
	if len(blocks) == 0 {
		blocks = []*decode.Batch{first}
	}
	for _, b := range blocks {
		out.Append(b)
	}
	return out
}
