package timeseries_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
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
	dbtest.NeedsBackends(t, "the same on both editions: records are known by their digests")
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

	if err := h.rename("s", "By hand"); err != nil {
		t.Fatal(err)
	}
	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T12:00:01Z", "session_name": "Fourth"})
	again("Fifth", "By hand")
	for id, name := range map[string]string{"s": "", "\x00": "x", "none": "x"} {
		if err := h.rename(id, name); fault.As(err) == nil {
			t.Errorf("%q may be called %q: %v", id, name, err)
		}
	}
}

// Records of instants that a run has already are told of, or refused, and so are
// those among which nearly all of the run's are.
func TestRepeatedInstants(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	for _, test := range []struct {
		name            string
		there, new      int
		others          int // of the run, at instants that the upload lacks
		options         ingest.Options
		likely, refused bool
	}{
		{"a first upload", 0, 100, 0, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"what follows", 0, 0, 0, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"94 %", 94, 6, 6, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"95 %", 95, 5, 50, ingest.Options{Repeats: ingest.RefuseRepeats}, true, true},
		{"95 %, told", 95, 5, 50, ingest.Options{Repeats: ingest.TellRepeats}, true, false},
		{"95 %, not asked", 95, 5, 50, ingest.Options{}, false, false},
		{"skipping them", 95, 5, 0, ingest.Options{Repeats: ingest.RefuseRepeats, SkipExisting: true}, false, false},
		{"a growing file", 100, 50, 5, ingest.Options{Repeats: ingest.RefuseRepeats}, true, true},
		{"a growing file, told", 100, 5100, 5, ingest.Options{Repeats: ingest.TellRepeats}, true, false},
		{"a growing file of another run", 94, 50, 6, ingest.Options{Repeats: ingest.RefuseRepeats}, false, false},
		{"several chunks", 2*ingest.ChunkRecords - 100, 100, 0, ingest.Options{Repeats: ingest.RefuseRepeats}, true, true},
		{"several chunks, told", ingest.ChunkRecords + 10, 100, 0, ingest.Options{Repeats: ingest.TellRepeats}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			if test.there > 0 {
				h.insert(sameDrive("s", "", test.there)...)
			}
			for i := range test.others {
				h.insert(recordAt("s", -time.Duration(i+1)*time.Second, i))
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
				result, err := h.store.Writer.Import(t.Context(), decode.New(strings.NewReader(ndjson(upload)), decode.Options{}), withSource(test.options))
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
				} else if repeat != nil && (repeat.Instants != test.there+test.new || repeat.There != test.there || repeat.Held != test.there+test.others || repeat.Covered != test.there) {
					t.Errorf("%+v", repeat)
				}
				h.consistent()
			}
		})
	}
}

// A log that has grown begins with chunks that are stored: what follows is
// compared with what they are not.
func TestGrownLogOfSeveralChunks(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	log := func(n int, repeats ingest.Repeats) (ingest.Result, error) {
		return h.store.Writer.Import(t.Context(), decode.New(strings.NewReader(ndjson(sameDrive("s", "", n))), decode.Options{}), ingest.Options{Source: "test", Repeats: repeats})
	}
	const n = ingest.ChunkRecords + 1000
	if _, err := log(n, ingest.RefuseRepeats); err != nil {
		t.Fatal(err)
	}
	before := h.rows()
	if _, err := log(n+500, ingest.RefuseRepeats); fault.As(err) == nil || fault.As(err).Code != "REPEAT" || h.rows() != before {
		t.Errorf("a log that has grown: %v", err)
	}
	if result, err := log(n, ingest.RefuseRepeats); err != nil || result.AlreadyStored != n {
		t.Errorf("the same log: %+v, %v", result, err)
	}
}

// A file that names no run is looked for in the runs of the same time: another
// export of the same drive is told or refused, another car's is not.
func TestDriveOfAnotherRun(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	lines := func(records []rec, columns ...string) string {
		var text strings.Builder
		text.WriteString("timestamp," + strings.Join(columns, ",") + "\n")
		for _, r := range records {
			fmt.Fprint(&text, r["timestamp"])
			for _, name := range columns {
				fmt.Fprint(&text, ",", r[name])
			}
			text.WriteString("\n")
		}
		return text.String()
	}
	n := 0
	send := func(text string, opt ingest.Options) (ingest.Result, error) {
		n++
		id := fmt.Sprint("file ", n)
		opt.Source, opt.Content = "test", func() *ingest.Content { return &ingest.Content{Digests: [][]byte{{byte(n)}}, Run: id} }
		result, err := h.store.Writer.Import(t.Context(), decode.New(strings.NewReader(text), decode.Options{Format: decode.FormatCSV, SessionID: id}), opt)
		if err == nil && result.Inserted > 0 {
			if _, err := h.store.DeleteSession(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		return result, err
	}
	drive := sameDrive("s", "", 5_200)
	for i, r := range drive {
		r["voltage_v"], r["turn"] = 48-float64(i)/1000, i%3
	}
	h.insert(drive[:5_100]...)
	kmh := sameDrive("", "", 100)
	for _, r := range kmh {
		r["speed_ms"] = fmt.Sprintf("%.1f", 3.6*r["speed_ms"].(float64))
	}
	other := sameDrive("", "", 5_200)
	for i, r := range other {
		r["voltage_v"], r["speed_ms"] = 50+float64(i)/1000, 3
	}
	for name, test := range map[string]struct {
		text   string
		likely bool
	}{
		"a column less":    {lines(drive[:5_100], "speed_ms"), true},
		"a part":           {lines(drive[1_000:1_050], "speed_ms", "voltage_v"), true},
		"a growing file":   {lines(drive, "voltage_v", "message_id"), true},
		"other units":      {strings.ReplaceAll(lines(kmh, "speed_ms"), "speed_ms", "Speed (km/h)"), true},
		"another car":      {lines(other[:5_100], "speed_ms", "voltage_v"), false},
		"a few records":    {lines(drive[:19], "speed_ms"), false},
		"counts by chance": {lines(drive[:100], "turn"), false},
		"other channels":   {strings.ReplaceAll(lines(drive[:100], "speed_ms"), "speed_ms", "motor_temp_c"), false},
	} {
		for _, opt := range []ingest.Options{{Repeats: ingest.RefuseRepeats}, {Repeats: ingest.RefuseRepeats, SkipExisting: true}, {Repeats: ingest.TellRepeats}} {
			result, err := send(test.text, opt)
			if f := fault.As(err); test.likely && opt.Repeats == ingest.RefuseRepeats {
				if f == nil || f.Code != "REPEAT" || f.Data["of"] != "s" || !strings.Contains(err.Error(), `in run "s"`) {
					t.Errorf("%s: %+v, %v", name, result, err)
				}
				continue
			}
			if err != nil || (result.Sessions[0].Repeat != nil) != test.likely {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
	}
	h.consistent()
}

// Where the values are others, skipping what is there finds nothing, and the drive
// would be stored once more.
func TestSkipExistingOfOtherValues(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are known by their digests")
	h := newServer(t)
	h.insert(sameDrive("s", "", 100)...)
	opt := ingest.Options{Repeats: ingest.RefuseRepeats, SkipExisting: true}
	send := func(change func(i int, r rec)) (ingest.Result, error) {
		upload := sameDrive("s", "", 101)
		for i, r := range upload {
			change(i, r)
		}
		return h.stream(decode.FormatJSON, opt, ndjson(upload))
	}
	if result, err := send(func(_ int, r rec) { r["motor_temp_c"] = 40 }); fault.As(err) == nil || fault.As(err).Code != "REPEAT" {
		t.Errorf("one more channel: %+v, %v", result, err)
	}
	if result, err := send(func(i int, r rec) { r["speed_ms"] = r["speed_ms"].(float64) + float64(i%10/9) }); err != nil || result.Inserted != 11 {
		t.Errorf("a tenth of other values: %+v, %v", result, err)
	}
	h.consistent()
}

func withSource(opt ingest.Options) ingest.Options {
	opt.Source = "test"
	return opt
}
