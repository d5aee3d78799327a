package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/gzip"

	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// gzipLevel is the gzip level of the files, as the contract has it. The
// standard library's writer takes five times as long for a tenth less.
const gzipLevel = 6

// File makes the gzip file of that name. A name that was not given out, or
// whose session was deleted, is NotFound.
func (a *Archives) File(ctx context.Context, name string) ([]byte, error) {
	secret, err := a.key(ctx)
	if err != nil {
		return nil, err
	}
	file, err := parseName(name, secret)
	if err != nil {
		return nil, err
	}
	// Making a file is work for one processor; more at once only take memory.
	if err := a.slots.Enter(ctx); err != nil {
		return nil, err
	}
	defer a.slots.Leave(load.Caller(ctx))
	var d division
	if file.kind == kindOverview {
		// Where the parts begin tells most of where its records are.
		if d, err = a.divided(ctx, file.session, file.batch); err != nil {
			return nil, err
		}
	}
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	defer conn.Release()
	var sessionID string
	err = conn.QueryRow(ctx, "SELECT id FROM sessions WHERE session = $1 AND deleted_at IS NULL", file.session).Scan(&sessionID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoFile()
	}
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	known, err := a.places.On(ctx, conn)
	if err != nil {
		return nil, err
	}
	out := newWriter(file, sessionID, record.All.WithPlaces(known))
	switch file.kind {
	case kindPart:
		err = out.part(ctx, conn, PartRecords)
	case kindPreview:
		err = out.part(ctx, conn, previewRecords)
	case kindOverview:
		err = out.overview(ctx, conn, d)
	default:
		return nil, errNoFile()
	}
	if err != nil {
		return nil, fmt.Errorf("make archive file: %w", err)
	}
	return out.finish()
}

// writer writes records as a JSON array into a gzip file.
type writer struct {
	file   content
	fields *record.Selection
	record *record.Row
	buf    bytes.Buffer
	zip    *gzip.Writer
	line   []byte
	count  int
}

func newWriter(file content, sessionID string, fields *record.Selection) *writer {
	w := &writer{file: file, fields: fields, record: record.NewRow(fields, file.session, sessionID)}
	w.zip, _ = gzip.NewWriterLevel(&w.buf, gzipLevel) // fails for unknown levels only
	if file.kind == kindOverview {
		w.line = append(w.line, `{"version":"overview-v1","records":`...)
	}
	w.line = append(w.line, '[')
	return w
}

// add writes one record. Writing to memory does not fail.
func (w *writer) add(raw [][]byte) error {
	if err := w.record.Read(raw); err != nil {
		return err
	}
	if w.count > 0 {
		w.line = append(w.line, ',')
	}
	w.line = w.record.AppendJSON(w.line)
	w.count++
	_, _ = w.zip.Write(w.line)
	w.line = w.line[:0]
	return nil
}

func (w *writer) finish() ([]byte, error) {
	w.line = append(w.line, ']')
	if w.file.kind == kindOverview {
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

func (f content) firstTime() time.Time { return time.UnixMicro(f.first) }
func (f content) lastTime() time.Time  { return time.UnixMicro(f.last) }

// part writes records of a part, evenly spaced, most of them at most.
func (w *writer) part(ctx context.Context, conn *pgxpool.Conn, most int64) error {
	f := w.file
	rows, err := conn.Query(ctx, "SELECT "+w.fields.Columns()+`
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
			if err := w.add(rows.RawValues()); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

// overview writes records of the whole session, evenly spaced.
func (w *writer) overview(ctx context.Context, conn *pgxpool.Conn, d division) error {
	places, err := w.places(ctx, conn, d)
	if err != nil {
		return err
	}
	f := w.file
	rows, err := conn.Query(ctx, "SELECT t.* FROM unnest($2::timestamptz[], $3::int[]) WITH ORDINALITY AS mark (time, skip, place) CROSS JOIN LATERAL (SELECT "+w.fields.Columns()+`
			FROM telemetry t
			WHERE t.session = $1 AND t.time = mark.time AND t.batch <= $4
			ORDER BY t.batch, t.ord
			OFFSET mark.skip LIMIT 1
		) t
		ORDER BY mark.place`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, f.session, places.times, places.skips, f.batch)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := w.add(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// places finds where the overview's records lie. In parts that no batch has
// touched since the file was named, they are at marks, if the session is long
// enough for marks to be close together; the rest is counted through.
func (w *writer) places(ctx context.Context, conn *pgxpool.Conn, d division) (waymarks, error) {
	f := w.file
	wanted := overviewPlaces(int64(f.records))
	from := storedPart{first: f.firstTime()}
	var found waymarks
	if int64(f.records) >= overviewRecords*markEvery {
		untouched := 0
		for untouched < len(d.parts) && d.parts[untouched].batch <= f.batch && d.parts[untouched].records == PartRecords {
			untouched++
		}
		if untouched > 0 {
			untouched-- // counting begins in it
			from = d.parts[untouched]
		}
		inMarks, _ := slices.BinarySearch(wanted, int64(untouched)*PartRecords)
		var err error
		if found, err = w.readMarks(ctx, conn, wanted[:inMarks]); err != nil {
			return waymarks{}, err
		}
		if len(found.times) < inMarks { // a batch has just touched a part
			return w.countThrough(ctx, conn, storedPart{first: f.firstTime()}, wanted)
		}
		wanted = wanted[inMarks:]
	}
	rest, err := w.countThrough(ctx, conn, from, wanted)
	found.add(rest)
	return found, err
}

// overviewPlaces lists the records of a session that its overview shows. Of a
// long session all but the last are at marks.
func overviewPlaces(n int64) []int64 {
	places := spaced(n, overviewRecords)
	if n >= overviewRecords*markEvery {
		for i := range places[:len(places)-1] {
			places[i] = (places[i] + markEvery/2) / markEvery * markEvery
		}
	}
	return places
}

// readMarks looks places up, those in parts that no batch has touched since the
// file was named.
func (w *writer) readMarks(ctx context.Context, conn *pgxpool.Conn, places []int64) (waymarks, error) {
	rows, err := conn.Query(ctx, `
		SELECT p.mark_times[1 + at % $3 / $4], p.mark_skips[1 + at % $3 / $4]
		FROM unnest($2::bigint[]) AS at
		JOIN archive_parts p ON p.session = $1 AND p.part = at / $3 AND p.batch <= $5
		ORDER BY at`, w.file.session, places, int64(PartRecords), int64(markEvery), w.file.batch)
	if err != nil {
		return waymarks{}, err
	}
	return collectMarks(rows)
}

func collectMarks(rows pgx.Rows) (m waymarks, err error) {
	var at time.Time
	var skip int32
	_, err = pgx.ForEachRow(rows, []any{&at, &skip}, func() error {
		m.times, m.skips = append(m.times, at), append(m.skips, skip)
		return nil
	})
	return m, err
}

// countThrough finds records of the file by their place in the session, counting
// through its times from the beginning of a part. Records of later batches
// are left out, which takes more than the index and so is only done when
// there are any.
func (w *writer) countThrough(ctx context.Context, conn *pgxpool.Conn, from storedPart, places []int64) (waymarks, error) {
	f := w.file
	args := []any{f.session, from.first, f.lastTime(), places, int64(from.number)*PartRecords - int64(from.skip)}
	for filter := ""; ; filter = "AND batch <= $6" {
		if filter != "" {
			args = append(args, f.batch)
		}
		rows, err := conn.Query(ctx, `
			SELECT time, (n - r)::int
			FROM `+ranked(filter)+`
			JOIN unnest($4::bigint[]) AS place ON place = n - 1 + $5
			ORDER BY n`, args...)
		if err != nil {
			return waymarks{}, err
		}
		found, err := collectMarks(rows)
		if err != nil || filter != "" {
			return found, err
		}
		// If none had arrived by now, none was counted.
		var newest int32
		err = conn.QueryRow(ctx, "SELECT batch FROM sessions WHERE session = $1", f.session).Scan(&newest)
		if errors.Is(err, pgx.ErrNoRows) {
			return waymarks{}, errNoFile()
		}
		if err != nil {
			return waymarks{}, err
		}
		if newest == f.batch {
			return found, nil
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
