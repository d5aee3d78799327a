package convexmove

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/ecovolt/telemetryd/internal/convexdump"
)

// spooledTable holds the documents of the telemetry table, to be read session
// by session. A snapshot has them in no useful order and may hold more than
// fit into memory, so they lie in a file, with an index of 24 bytes each.
type spooledTable struct {
	file     *os.File
	index    []slot
	sessions []string
	number   map[string]int32
}

// slot is where one document lies.
type slot struct {
	created float64 // ms since 1970: the order of insertion
	offset  int64
	length  int32
	session int32
}

// newSpooledTable reads the table. The caller must close it.
func newSpooledTable(ctx context.Context, dump *convexdump.Dump, dir string) (s *spooledTable, err error) {
	file, err := os.CreateTemp(dir, "telemetryd-import-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("copy the telemetry table: %w", err)
	}
	s = &spooledTable{file: file, number: map[string]int32{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// Nobody else needs its name; the system removes the file with the process.
	_ = os.Remove(file.Name())
	out := bufio.NewWriterSize(file, 1<<20)
	var offset int64
	for text, err := range dump.Documents(tableTelemetry) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		var record struct {
			document
			SessionID string `json:"session_id"`
		}
		if err := json.Unmarshal(text, &record); err != nil {
			return nil, fmt.Errorf("read table %s: document %d: %w", tableTelemetry, len(s.index)+1, err)
		}
		if _, err := out.Write(text); err != nil {
			return nil, fmt.Errorf("copy the telemetry table: %w", err)
		}
		s.index = append(s.index, slot{record.CreationTime, offset, int32(len(text)), s.sessionNumber(record.SessionID)})
		offset += int64(len(text))
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("copy the telemetry table: %w", err)
	}
	slices.SortFunc(s.index, func(a, b slot) int {
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.created, b.created), cmp.Compare(a.offset, b.offset))
	})
	return s, nil
}

func (s *spooledTable) close() { _ = s.file.Close() }

func (s *spooledTable) sessionNumber(id string) int32 {
	n, ok := s.number[id]
	if !ok {
		n = int32(len(s.sessions))
		s.number[id] = n
		s.sessions = append(s.sessions, id)
	}
	return n
}

// of lists the slots of a session, in the order of insertion.
func (s *spooledTable) of(session string) []slot {
	n, ok := s.number[session]
	if !ok {
		return nil
	}
	first, _ := slices.BinarySearchFunc(s.index, n, func(x slot, n int32) int { return cmp.Compare(x.session, n) })
	last, _ := slices.BinarySearchFunc(s.index, n+1, func(x slot, n int32) int { return cmp.Compare(x.session, n) })
	return s.index[first:last]
}

// documents returns a session's documents in the order of insertion. Each is
// valid until the next one is asked for.
func (s *spooledTable) documents(session string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		var buf bytes.Buffer
		for _, at := range s.of(session) {
			buf.Reset()
			buf.Grow(int(at.length))
			text := buf.AvailableBuffer()[:at.length]
			if _, err := s.file.ReadAt(text, at.offset); err != nil {
				yield(nil, fmt.Errorf("read the copy of the telemetry table: %w", err))
				return
			}
			if !yield(text, nil) {
				return
			}
		}
	}
}
