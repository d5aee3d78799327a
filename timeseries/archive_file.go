package timeseries

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// archiveLevel is the gzip level of the files, as the contract has it.
const archiveLevel = 6

// File makes the gzip file of that name. A name that was not given out, or
// whose session was deleted, is NotFound.
func (a *Archives) File(ctx context.Context, name string) ([]byte, error) {
	secret, err := a.key(ctx)
	if err != nil {
		return nil, err
	}
	file, err := parseArchiveName(name, secret)
	if err != nil {
		return nil, err
	}
	// Making a file is work for one processor; more at once only take memory.
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := a.store.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	defer conn.Release()
	var sessionID string
	err = conn.QueryRow(ctx, "SELECT id FROM sessions WHERE session = $1 AND deleted_at IS NULL", file.session).Scan(&sessionID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoArchive()
	}
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	out := newArchiveWriter(file, sessionID)
	switch file.kind {
	case archivePart:
		err = out.part(ctx, conn, ArchivePartRecords)
	case archivePreview:
		err = out.part(ctx, conn, ArchivePreviewRecords)
	case archiveOverview:
		err = out.overview(ctx, conn)
	default:
		return nil, errNoArchive()
	}
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	return out.finish()
}

// archiveWriter writes records as a JSON array into a gzip file.
type archiveWriter struct {
	file   archiveFile
	record Record
	buf    bytes.Buffer
	zip    *gzip.Writer
	line   []byte
	count  int
}

func newArchiveWriter(file archiveFile, sessionID string) *archiveWriter {
	w := &archiveWriter{file: file, record: Record{sessionID: sessionID, session: file.session, sel: &everything}}
	w.zip, _ = gzip.NewWriterLevel(&w.buf, archiveLevel) // fails for unknown levels only
	if file.kind == archiveOverview {
		w.line = append(w.line, `{"version":"overview-v1","records":`...)
	}
	w.line = append(w.line, '[')
	return w
}

// add writes one record. Writing to memory does not fail.
func (w *archiveWriter) add(raw [][]byte) {
	if w.count > 0 {
		w.line = append(w.line, ',')
	}
	w.record.raw = raw
	w.line = w.record.AppendJSON(w.line)
	w.count++
	_, _ = w.zip.Write(w.line)
	w.line = w.line[:0]
}

func (w *archiveWriter) finish() ([]byte, error) {
	w.line = append(w.line, ']')
	if w.file.kind == archiveOverview {
		stats, err := json.Marshal(w.file.stats)
		if err != nil {
			return nil, fmt.Errorf("make archive file: %w", err)
		}
		w.line = append(append(append(w.line, `,"stats":`...), stats...), '}')
	}
	_, _ = w.zip.Write(w.line)
	if err := w.zip.Close(); err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	return w.buf.Bytes(), nil
}

func (f archiveFile) firstTime() time.Time { return time.UnixMicro(f.first) }
func (f archiveFile) lastTime() time.Time  { return time.UnixMicro(f.last) }

// part writes records of a part, evenly spaced, most of them at most.
func (w *archiveWriter) part(ctx context.Context, conn *pgxpool.Conn, most int64) error {
	f := w.file
	rows, err := conn.Query(ctx, "SELECT "+everything.columns()+`
		FROM telemetry t
		WHERE t.session = $1 AND t.time >= $2 AND t.time <= $3 AND t.batch <= $4
		ORDER BY t.time, t.batch, t.ord
		OFFSET $5 LIMIT $6`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, f.session, f.firstTime(), f.lastTime(), f.batch, int64(f.skip), int64(f.records))
	if err != nil {
		return err
	}
	defer rows.Close()
	places := spaced(int64(f.records), most)
	for at := int64(0); rows.Next(); at++ {
		if len(places) > 0 && places[0] == at {
			places = places[1:]
			w.add(rows.RawValues())
		}
	}
	return rows.Err()
}

// overview writes records of the whole session, evenly spaced. A first pass
// over the times finds where they lie, a second fetches just those.
func (w *archiveWriter) overview(ctx context.Context, conn *pgxpool.Conn) error {
	times, skips, err := w.marks(ctx, conn)
	if err != nil {
		return err
	}
	f := w.file
	rows, err := conn.Query(ctx, "SELECT t.* FROM unnest($2::timestamptz[], $3::int[]) WITH ORDINALITY AS mark (time, skip, place) CROSS JOIN LATERAL (SELECT "+everything.columns()+`
			FROM telemetry t
			WHERE t.session = $1 AND t.time = mark.time AND t.batch <= $4
			ORDER BY t.batch, t.ord
			OFFSET mark.skip LIMIT 1
		) t
		ORDER BY mark.place`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, f.session, times, skips, f.batch)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		w.add(rows.RawValues())
	}
	return rows.Err()
}

// marks gives the times of the overview's records, each with how many records
// of the same time stand before it.
func (w *archiveWriter) marks(ctx context.Context, conn *pgxpool.Conn) (times []time.Time, skips []int32, err error) {
	f := w.file
	args := []any{f.session, f.firstTime(), f.lastTime(), spaced(int64(f.records), ArchiveOverviewRecords)}
	for filter := ""; ; filter = "AND batch <= $5" {
		// As in scanParts: times alone while no later batch is there.
		if filter != "" {
			args = append(args, f.batch)
		}
		rows, err := conn.Query(ctx, `
			SELECT time, (n - r)::int, (SELECT s.batch FROM sessions s WHERE s.session = $1)
			FROM (
				SELECT time, row_number() OVER ordered AS n, rank() OVER ordered AS r
				FROM telemetry
				WHERE session = $1 AND time >= $2 AND time <= $3 `+filter+`
				WINDOW ordered AS (ORDER BY time)
			) ranked
			JOIN unnest($4::bigint[]) AS place ON place = n - 1
			ORDER BY n`, args...)
		if err != nil {
			return nil, nil, err
		}
		times, skips = times[:0], skips[:0]
		newest := f.batch
		var at time.Time
		var skip int32
		_, err = pgx.ForEachRow(rows, []any{&at, &skip, &newest}, func() error {
			times, skips = append(times, at), append(skips, skip)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if newest == f.batch || filter != "" {
			return times, skips, nil
		}
	}
}

// spaced lists places out of n, evenly and both ends included, points of them
// at most.
func spaced(n, points int64) []int64 {
	places := make([]int64, min(n, points))
	for i := range places {
		places[i] = int64(i)
		if n > points {
			places[i] = (int64(i)*(n-1)*2 + points - 1) / ((points - 1) * 2) // rounded
		}
	}
	return places
}
