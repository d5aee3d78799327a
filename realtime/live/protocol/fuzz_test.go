package protocol

import (
	"encoding/json"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/delta"
)

// No message from a client does harm, and one that is taken is within bounds.
func FuzzClientMessage(f *testing.F) {
	for _, seed := range []string{
		`{"type":"ping","id":"1"}`, `{"type":"auth","token":"t"}`, `{"type":"unsubscribe","session":"a"}`,
		`{"type":"subscribe","session":"a","fields":["speed_ms","x"],"since":"AQEBAA","snapshot":{"seconds":30,"records":5},"max_rate":10,"mode":"latest"}`,
		`{"type":"subscribe","session":"\u0000"}`, `{"type":"subscribe","session":"a","max_rate":1e308}`, `{}`, `[`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if len(r.ID) > maxIDBytes {
			t.Errorf("an id of %d bytes would be sent back", len(r.ID))
		}
		if _, encoding := json.Marshal(ServerMessage{Type: "error", ID: r.ID, Session: r.Session}); encoding != nil {
			t.Error(encoding)
		}
		if err != nil {
			return
		}
		switch r.Type {
		case TypeSubscribe:
			if len(r.Fields) > maxFieldNames || r.Session == "" || len(r.Session) > maxSessionBytes {
				t.Errorf("taken: %+v", r)
			}
			if r.MaxRate != 0 && !(r.MaxRate >= minRate && r.MaxRate <= maxRate) {
				t.Errorf("rate %v taken", r.MaxRate)
			}
			if r.Recent.Records > maxSnapshotRecords || r.Recent.Records < 0 || r.Recent.Period < 0 {
				t.Errorf("snapshot %+v taken", r.Recent)
			}
			if r.Mode != ModeEvery && r.Mode != ModeLatest {
				t.Errorf("mode %q taken", r.Mode)
			}
		case TypeUnsubscribe:
			if r.Session == "" {
				t.Error("no session taken")
			}
		case TypeAuth, TypePing:
		default:
			t.Errorf("type %q taken", r.Type)
		}
	})
}

// A cursor has one text, and any other text is no cursor.
func FuzzCursor(f *testing.F) {
	for _, p := range []delta.Position{{}, {Session: 1, Batch: 2, Next: 3}, {Session: 1<<31 - 1, Batch: 1<<31 - 1, Next: 1<<31 - 1}} {
		f.Add(FormatCursor(p))
	}
	f.Add("AQEBAA==")
	f.Add("AYGAAAEB")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCursor(text)
		if err != nil {
			return
		}
		if p.Session < 0 || p.Batch < 0 || p.Next < 0 {
			t.Errorf("%q gave %+v", text, p)
		}
		if again := FormatCursor(p); again != text || len(again) > maxCursorBytes {
			t.Errorf("%q became %q", text, again)
		}
	})
}
