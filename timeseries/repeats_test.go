package timeseries_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

func sameDrive(session, name string, records int) (all []rec) {
	for i := range records {
		r := recordAt(session, time.Duration(i)*time.Second, i)
		if name != "" {
			r["session_name"] = name
		}
		all = append(all, r)
	}
	return all
}

func (h *server) named(id string) string {
	h.t.Helper()
	s, err := h.store.Session(h.t.Context(), id)
	if err != nil || s == nil || s.Name == nil {
		h.t.Fatalf("%+v, %v", s, err)
	}
	return *s.Name
}

// The same records under another name are the same run, which takes the name
// unless a person has named it.
func TestRepeatNamesTheRun(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(sameDrive("s", "First", 10)...)
	again := func(name, want string) {
		t.Helper()
		if result := h.insert(sameDrive("s", name, 10)...); result.Inserted != 0 || result.AlreadyStored != 10 {
			t.Errorf("%s: %+v", name, result)
		}
		if got := h.named("s"); got != want {
			t.Errorf("after %q the run is called %q, not %q", name, got, want)
		}
		h.consistent()
	}
	again("Second", "Second")
	again("", "Second")

	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T12:00:00Z", "session_name": "Third"})
	again("First", "Third") // a batch that was sent again late tells nothing new

	if _, err := h.store.RenameSession(t.Context(), "s", "By hand"); err != nil {
		t.Fatal(err)
	}
	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T12:00:01Z", "session_name": "Fourth"})
	again("Fifth", "By hand")
	for id, name := range map[string]string{"s": "", "\x00": "x", "none": "x"} {
		if _, err := h.store.RenameSession(t.Context(), id, name); fault.As(err) == nil {
			t.Errorf("%q may be called %q: %v", id, name, err)
		}
	}
}

// Records of instants that a run has already are told of, or refused.
func TestRepeatedInstants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name            string
		there, new      int
		options         ingest.Options
		likely, refused bool
	}{
		{"a first upload", 0, 100, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"what follows", 0, 0, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"94 %", 94, 6, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"95 %", 95, 5, ingest.Options{Repeats: ingest.RefuseRepeats}, true, true},
		{"95 %, told", 95, 5, ingest.Options{Repeats: ingest.TellRepeats}, true, false},
		{"95 %, not asked", 95, 5, ingest.Options{}, false, false},
		{"skipping them", 95, 5, ingest.Options{Repeats: ingest.RefuseRepeats, SkipExisting: true}, false, false},
		{"several chunks", 2*ingest.ChunkRecords - 100, 100, ingest.Options{Repeats: ingest.RefuseRepeats}, true, true},
		{"several chunks, told", ingest.ChunkRecords + 10, 100, ingest.Options{Repeats: ingest.TellRepeats}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			if test.there > 0 {
				h.insert(sameDrive("s", "", test.there)...)
			}
			upload := sameDrive("s", "", test.there+test.new)
			if test.name == "what follows" {
				h.insert(sameDrive("s", "", 100)...)
				upload = []rec{recordAt("s", 200*time.Second, 200), recordAt("s", 201*time.Second, 201)}
			}
			if !test.options.SkipExisting {
				for _, r := range upload { // another export of it: with another text
					r["speed_ms"] = 1
				}
			}
			before := h.rows()
			for range 2 { // refused again, or recognised
				result, err := h.store.Import(t.Context(), decode.New(strings.NewReader(ndjson(upload)), decode.Options{}), withSource(test.options))
				if f := fault.As(err); test.refused {
					if f == nil || f.Code != "REPEAT" || h.rows() != before {
						t.Errorf("%+v, %v", result, err)
					}
					continue
				}
				if err != nil {
					t.Error(err)
					break
				}
				if repeat := result.Sessions[0].Repeat; (repeat != nil) != (test.likely && result.Inserted > 0) {
					t.Errorf("told: %v", repeat)
				} else if repeat != nil && (repeat.Instants != test.there+test.new || repeat.There != test.there) {
					t.Errorf("%+v", repeat)
				}
				h.consistent()
			}
		})
	}
}

func withSource(opt ingest.Options) ingest.Options {
	opt.Source = "test"
	return opt
}
