package convexmove

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ecovolt/telemetryd/internal/convexdump"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// run is one session of the snapshot: archived parts, then what the telemetry
// table still held when the snapshot was made.
type run struct {
	id       string
	parts    []archiveDocument
	tail     int // documents in the telemetry table
	expected int // records that the former backend counted; -1 when it did not
}

// records is how many records the snapshot should hold of the run.
func (r *run) records() int {
	n := r.tail
	for _, p := range r.parts {
		n += int(p.RecordCount)
	}
	return n
}

// runs moves the sessions with their records, each in one transaction.
func (m *mover) runs(ctx context.Context) error {
	table, err := newSpooledTable(ctx, m.dump, m.TempDir)
	if err != nil {
		return err
	}
	defer table.close()
	runs, err := m.listRuns(table)
	if err != nil {
		return err
	}
	total := 0
	for _, r := range runs {
		total += r.records()
	}
	done := 0
	for _, r := range runs {
		if err := m.run(ctx, table, r, func(n int) {
			done += n
			if m.Progress != nil {
				m.Progress(done, total)
			}
		}); err != nil {
			return fmt.Errorf("session %q: %w", r.id, err)
		}
	}
	return nil
}

// listRuns finds every session that any table names, by id.
func (m *mover) listRuns(table *spooledTable) ([]*run, error) {
	sessions, errSessions := convexdump.All[sessionDocument](m.dump, tableSessions)
	parts, errParts := convexdump.All[archiveDocument](m.dump, tableArchives)
	if err := errors.Join(errSessions, errParts); err != nil {
		return nil, err
	}
	byID := map[string]*run{}
	get := func(id string) *run {
		if byID[id] == nil {
			byID[id] = &run{id: id, expected: -1}
		}
		return byID[id]
	}
	for _, s := range sessions {
		get(s.SessionID).expected = int(s.RecordCount)
	}
	for _, p := range parts {
		r := get(p.SessionID)
		r.parts = append(r.parts, p)
	}
	for _, id := range table.sessions {
		get(id).tail = len(table.of(id))
	}
	if len(parts) > 0 && !m.dump.HasFiles() {
		m.report.problem("the snapshot has no stored files, in which most records are: export again with --include-file-storage")
	}
	var runs []*run
	for _, r := range byID {
		slices.SortFunc(r.parts, func(a, b archiveDocument) int { return cmp.Compare(a.PartNumber, b.PartNumber) })
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Compare(a.id, b.id) })
	return runs, nil
}

// run moves one session. What is wrong with its records, or a missing file,
// goes into the report; the session is then not moved at all, or without the
// records that cannot be stored.
func (m *mover) run(ctx context.Context, table *spooledTable, r *run, progress func(int)) error {
	if r.records() == 0 {
		if r.expected > 0 {
			m.report.problem("session %q: the snapshot has none of its %d records", r.id, r.expected)
		}
		return nil
	}
	source := newRunReader(m.dump, table, r, progress)
	defer source.Close()
	decoder := decode.New(source, decode.Options{SkipBad: true, SessionID: r.id})
	var result ingest.Result
	var err error
	if m.DryRun {
		result, err = rehearse(decoder)
	} else {
		result, err = m.store(ctx, r, decoder)
	}
	source.Close() // from here on it is at rest
	if source.failed != nil {
		err = source.failed
	}
	if source.failed != nil || fault.As(err) != nil {
		m.report.Sessions.add(Count{Found: 1, Failed: 1})
		m.report.Records.add(Count{Found: r.records(), Failed: r.records()})
		m.report.problem("session %q: not moved: %v", r.id, err)
		return nil
	}
	if err != nil {
		return err
	}
	return m.checkRun(ctx, r, source.count, result)
}

// store ingests a session. Of a session that has records here already, those
// that are not here yet are added.
func (m *mover) store(ctx context.Context, r *run, decoder *decode.Decoder) (ingest.Result, error) {
	here, err := m.Store.Session(ctx, r.id)
	if err != nil {
		return ingest.Result{}, err
	}
	return m.Store.Writer.IngestStream(ctx, decoder, ingest.Options{
		Source: "convex", File: true, SkipBad: true, SkipExisting: here != nil && here.Records+here.SetAside > 0,
	})
}

// rehearse decodes all records and stores none.
func rehearse(decoder *decode.Decoder) (ingest.Result, error) {
	var result ingest.Result
	b := decode.NewBatch()
	defer b.Release()
	for {
		b.Reset()
		err := decoder.Next(b, ingest.ChunkRecords)
		result.Rejected += b.Rejected()
		result.Problems = append(result.Problems, b.Problems()[:min(len(b.Problems()), maxReported-min(maxReported, len(result.Problems)))]...)
		if err == io.EOF {
			return result, nil
		}
		if err != nil {
			return result, err
		}
	}
}

// checkRun counts what became of a session and holds it against what the
// snapshot and the former backend say there is.
func (m *mover) checkRun(ctx context.Context, r *run, read int, result ingest.Result) error {
	count := Count{Found: read, Added: result.Inserted, Present: result.AlreadyStored, Failed: result.Rejected}
	m.report.Records.add(count)
	session := Count{Found: 1}
	switch {
	case result.Inserted > 0:
		session.Added = 1
	case result.AlreadyStored > 0:
		session.Present = 1
	}
	m.report.Sessions.add(session)
	for _, p := range result.Problems {
		m.report.problem("session %q: %s", r.id, p)
	}
	for _, p := range result.Odd {
		m.report.problem("session %q: set aside: %s", r.id, p)
	}
	if n := r.records(); read != n {
		m.report.problem("session %q: the snapshot holds %d records, but its tables say %d", r.id, read, n)
	} else if r.expected > read {
		// The counter of the former backend never falls, so a smaller one means nothing.
		m.report.problem("session %q: the snapshot holds %d of the %d records that the former backend counted", r.id, read, r.expected)
	}
	if m.DryRun {
		return nil
	}
	if n := count.Added + count.Present + count.Failed; n != read {
		m.report.problem("session %q: %d of its %d records are accounted for", r.id, n, read)
	}
	here, err := m.Store.Session(ctx, r.id)
	if err != nil {
		return err
	}
	if here == nil || here.Records+here.SetAside < int64(count.Added+count.Present) {
		m.report.problem("session %q: fewer records are stored than were moved", r.id)
	}
	return nil
}

// runReader reads the records of a run as JSON, one a line.
type runReader struct {
	*io.PipeReader
	count  int   // records given
	failed error // what is wrong with the snapshot, if anything
	done   chan struct{}
}

func newRunReader(dump *convexdump.Dump, table *spooledTable, r *run, progress func(int)) *runReader {
	in, out := io.Pipe()
	reader := &runReader{PipeReader: in, done: make(chan struct{})}
	go func() {
		defer close(reader.done)
		out.CloseWithError(reader.copy(out, dump, table, r, progress))
	}()
	return reader
}

// Close ends the copying and waits for it.
func (rr *runReader) Close() {
	_ = rr.PipeReader.Close()
	<-rr.done
}

func (rr *runReader) copy(out io.Writer, dump *convexdump.Dump, table *spooledTable, r *run, progress func(int)) error {
	var block bytes.Buffer
	pending := 0
	flush := func() error {
		_, err := out.Write(block.Bytes())
		block.Reset()
		progress(pending)
		pending = 0
		return err
	}
	add := func(record []byte, err error) error {
		if err != nil {
			rr.failed = err
			return err
		}
		block.Write(record)
		block.WriteByte('\n')
		rr.count++
		pending++
		if block.Len() < 256<<10 {
			return nil
		}
		return flush()
	}
	for _, p := range r.parts {
		for record, err := range dump.ArchivedRecords(p.StorageID) {
			if err != nil {
				err = fmt.Errorf("part %d: %w", int(p.PartNumber), err)
			}
			if err := add(record, err); err != nil {
				return err
			}
		}
	}
	for record, err := range table.documents(r.id) {
		if err := add(record, err); err != nil {
			return err
		}
	}
	return flush()
}
