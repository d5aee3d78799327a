package protocol

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// A cursor is a place in one session's order of arrival, as clients carry it:
// opaque text. It names the session's key, so that a session that was deleted
// and begun again under the same id is never mistaken for the old one.

const (
	cursorVersion = 1
	// maxCursorBytes bounds the text of a cursor, of one session.
	maxCursorBytes = 32
	// CursorSeparator joins the cursors of several sessions; no cursor holds it.
	CursorSeparator = "~"
)

var errCursor = errors.New("not a cursor of this service")

// FormatCursor writes a position as a cursor.
func FormatCursor(p delta.Position) string {
	return string(AppendCursor(nil, p))
}

// AppendCursor appends the cursor of a position.
func AppendCursor(dst []byte, p delta.Position) []byte {
	var raw [1 + 3*binary.MaxVarintLen32]byte
	b := append(raw[:0], cursorVersion)
	b = binary.AppendUvarint(b, uint64(p.Session))
	b = binary.AppendUvarint(b, uint64(p.Batch))
	b = binary.AppendUvarint(b, uint64(p.Next))
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// parseCursor reads a cursor. There is exactly one text for each position.
func parseCursor(text string) (delta.Position, error) {
	if len(text) > maxCursorBytes {
		return delta.Position{}, errCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != cursorVersion {
		return delta.Position{}, errCursor
	}
	b = b[1:]
	var values [3]int32
	for i := range values {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt32 {
			return delta.Position{}, errCursor
		}
		values[i], b = int32(v), b[n:]
	}
	p := delta.Position{Session: values[0], Batch: values[1], Next: values[2]}
	if len(b) > 0 || FormatCursor(p) != text {
		return delta.Position{}, errCursor
	}
	return p, nil
}

// SplitCursors reads the cursors of several sessions, as the events of a
// server-sent stream carry them. Those that are not cursors are left out.
func SplitCursors(text string) []delta.Position {
	var positions []delta.Position
	for part := range strings.SplitSeq(text, CursorSeparator) {
		if p, err := parseCursor(part); err == nil {
			positions = append(positions, p)
		}
	}
	return positions
}
