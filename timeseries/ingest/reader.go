package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/places"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const (
	// ChunkRecords is how many records of a stream are a chunk. Larger chunks
	// gain nothing measurable; smaller ones pay more round trips. It must not
	// change: the digests that recognise a repeated upload depend on where its
	// chunks begin.
	ChunkRecords = 5_000
	// blockRecords is how many records of the first chunk are decoded before
	// the server begins to copy. Without blocks an upload of one chunk would
	// keep either the daemon or the server waiting for the other.
	blockRecords = 1_000
	blockBytes   = decode.MaxChunkBytes / 5
)

// block is a part of a chunk.
type block struct {
	decoded *decode.Batch
	rows    []*copyRows // in the order of their sessions' ids
	// digests are those of the chunk's sessions, by id, once it is complete:
	// the chunk's last block has them, the others do not.
	digests map[string]digest
	end     bool // the upload ends with it
}

type digest = [sha256.Size]byte

// reader cuts an upload into blocks, in a goroutine of its own.
type reader struct {
	dec      *decode.Decoder
	opt      Options
	parts    places.Parts
	whole    bool // each chunk is one block
	borrowed bool // the batches are the caller's
	stop     context.CancelFunc
	out      chan *block
	failed   error         // why the last block was the last; set before out is closed
	done     chan struct{} // closed when nobody reads the stream any more
	admitted chan struct{} // closed when more than the first block may be decoded

	chunk  []*block // blocks of the chunk that is being stored, which it still needs
	again  int      // of them, how many were given out again since rewind
	chunks int      // begun

	// chains makes the digest of a later chunk depend on all before it, so that
	// a file that repeats itself is stored whole, while a repeated file is not.
	chains map[string]digest
}

// read begins to decode a stream: its first block, and the others once the
// caller closes admitted. The caller closes the reader, too.
func (w *Writer) read(ctx context.Context, dec *decode.Decoder, opt Options, whole bool) *reader {
	r := &reader{dec: dec, opt: opt, parts: w.parts(ctx, opt), whole: whole, out: make(chan *block), done: make(chan struct{}), admitted: make(chan struct{}), chains: map[string]digest{}}
	ctx, r.stop = context.WithCancel(ctx)
	go func() {
		defer close(r.done)
		defer close(r.out)
		for first := true; r.failed == nil; first = false {
			r.failed = r.decodeChunk(ctx, first)
		}
	}()
	return r
}

// single is a reader of one batch that is decoded already, and stays the caller's.
func (w *Writer) single(ctx context.Context, b *decode.Batch, opt Options) *reader {
	r := &reader{opt: opt, parts: w.parts(ctx, opt), borrowed: true, stop: func() {}, out: make(chan *block, 1), done: make(chan struct{}), admitted: make(chan struct{}), chains: map[string]digest{}}
	if r.failed = io.EOF; b.Rejected() > 0 && !opt.SkipBad {
		r.failed = b.Err()
	} else {
		sums := sums{}
		blk := r.newBlock(b, sums)
		sums.add(blk)
		blk.digests, blk.end = r.link(sums), true
		r.out <- blk
	}
	close(r.out)
	close(r.done)
	return r
}

// begin waits for the first block, and returns why there is none.
func (r *reader) begin(ctx context.Context) error {
	if len(r.chunk) > 0 {
		return nil
	}
	_, err := r.next(ctx)
	r.again = 0
	return err
}

// next returns the next block, which is valid until the next chunk's first
// block is asked for; io.EOF at the end of the upload, another error where it
// cannot be read on.
func (r *reader) next(ctx context.Context) (*block, error) {
	if r.again < len(r.chunk) {
		r.again++
		return r.chunk[r.again-1], nil
	}
	b, ok := <-r.out
	if !ok {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, r.failed
	}
	if n := len(r.chunk); n == 0 || r.chunk[n-1].digests != nil {
		r.release()
		r.chunks++
	}
	r.chunk = append(r.chunk, b)
	r.again = len(r.chunk)
	return b, nil
}

// unread has next return the last block once more.
func (r *reader) unread() { r.again-- }

// rewind has next begin anew. It reports false when the upload's beginning is
// not at hand any more.
func (r *reader) rewind() bool {
	r.again = 0
	return r.chunks <= 1
}

func (r *reader) release() {
	for _, b := range r.chunk {
		if !r.borrowed {
			b.decoded.Release()
		}
	}
	r.chunk, r.again = nil, 0
}

// close returns when the stream is at rest.
func (r *reader) close() {
	r.stop()
	for b := range r.out {
		r.chunk = append(r.chunk, b)
	}
	<-r.done
	r.release()
}

// decodeChunk hands out one chunk. It returns io.EOF when it was the last.
func (r *reader) decodeChunk(ctx context.Context, first bool) error {
	var before []*decode.Batch // of this chunk
	records, bytes := 0, 0
	most, room := ChunkRecords, decode.MaxChunkBytes
	if first && !r.whole {
		most, room = blockRecords, blockBytes
	}
	sums := sums{}
	for {
		b := decode.NewBatch()
		b.Limit(min(room, decode.MaxChunkBytes-bytes))
		err := r.dec.Next(b, min(most, ChunkRecords-records))
		if b.Rejected() > 0 && !r.opt.SkipBad && err == nil {
			err = r.dec.Next(b, ChunkRecords-records) // nothing will be stored: find what else is wrong
		}
		if err != nil && err != io.EOF || b.Rejected() > 0 && !r.opt.SkipBad {
			defer b.Release()
			return r.refusal(before, b, err)
		}
		blk := r.newBlock(b, sums)
		blk.end = err == io.EOF
		records, bytes = records+b.Len()+b.Rejected(), bytes+b.Memory()
		last := blk.end || records >= ChunkRecords || bytes >= decode.MaxChunkBytes
		if last {
			sums.add(blk)
			blk.digests = r.link(sums)
		}
		before = append(before, b)
		select {
		case r.out <- blk:
		case <-ctx.Done():
			b.Release()
			return ctx.Err()
		}
		if !last { // the server copies it meanwhile
			sums.add(blk)
		}
		select {
		case <-r.admitted:
		case <-ctx.Done():
			return ctx.Err()
		}
		if blk.digests != nil {
			return err
		}
	}
}

// refusal explains why a chunk cannot be stored: err, or bad records.
func (r *reader) refusal(before []*decode.Batch, last *decode.Batch, err error) error {
	all := decode.NewBatch()
	defer all.Release()
	for _, b := range append(before, last) {
		all.Append(b)
	}
	if err == nil || err == io.EOF {
		return all.Err()
	}
	if f := fault.As(err); f != nil && all.Rejected() > 0 {
		f.Problems = append(slices.Clone(all.Problems()), f.Problems...)
	}
	return err
}

// newBlock encodes what was decoded, and counts it in the chunk's sums.
func (r *reader) newBlock(b *decode.Batch, sums sums) *block {
	blk := &block{decoded: b}
	for session, id := range b.Sessions() {
		sum := sums[id]
		if sum == nil {
			sum = &sessionSum{digest: record.NewDigest()}
		}
		rows := newCopyRows(b, session, sum.records, nil, nil, r.parts)
		if rows.records+len(rows.aside) == 0 { // all of the session's records were bad
			continue
		}
		sums[id] = sum
		sum.records += rows.records
		blk.rows = append(blk.rows, rows)
	}
	slices.SortFunc(blk.rows, func(x, y *copyRows) int { return strings.Compare(x.id(), y.id()) })
	return blk
}

// sums are those of a chunk that is being decoded, by session id.
type sums map[string]*sessionSum

// sessionSum adds up a chunk's records of one session.
type sessionSum struct {
	digest  *record.Digest
	records int
}

// add adds all records of a block, those set aside too: neither what the database
// makes of them, nor how the chunk was cut into blocks matters.
func (s sums) add(b *block) {
	for _, r := range b.rows {
		sum := s[r.id()]
		for i := range r.indexes() {
			v := r.batch.Record(i)
			sum.digest.Add(&v)
		}
	}
}

// link makes the chunk's digests, each chained to the session's chunk before it.
func (r *reader) link(sums sums) map[string]digest {
	digests := make(map[string]digest, len(sums))
	for id, sum := range sums {
		d := sum.digest.Sum()
		if chain, ok := r.chains[id]; ok {
			d = sha256.Sum256(append(chain[:], d[:]...))
		}
		r.chains[id], digests[id] = d, d
	}
	return digests
}

// sum tells the whole upload, once it was read to its end.
func (r *reader) sum() digest {
	hash := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(r.chains)) {
		chain := r.chains[id]
		fmt.Fprintf(hash, "%d %s %x", len(id), id, chain)
	}
	return digest(hash.Sum(nil))
}
