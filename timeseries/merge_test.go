package timeseries_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/merge"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// trip is a drive as it truly was, and what two devices made of it.
type trip struct {
	radio, logger []rec
	step          time.Duration // of the radio
	offset        time.Duration // to add to the logger's times
	sent          int           // by the radio, before losses
	odd           int           // of the logger's records, those whose time cannot be right
}

// newTrip makes a drive of some minutes: the radio sends some of the logger's
// instants, loses many, and stamps them a little late or early.
func newTrip(random *rand.Rand) trip {
	rate := 10 + random.IntN(20) // Hz, of the logger
	every := 2 + random.IntN(8)
	minutes := 2 + random.IntN(3)
	t := trip{
		step:   time.Duration(every) * time.Second / time.Duration(rate),
		offset: time.Duration(random.Int64N(int64(48*time.Hour))) - 24*time.Hour,
	}
	var speeds, loads [8][3]float64
	for i := range speeds {
		speeds[i] = [3]float64{random.Float64() * 2, 0.02 + random.Float64()/3, random.Float64() * 7}
		loads[i] = [3]float64{random.Float64() * 5, 0.05 + random.Float64(), random.Float64() * 7}
	}
	wave := func(of [8][3]float64, s float64) (v float64) {
		for _, w := range of {
			v += w[0] * math.Sin(w[1]*s+w[2])
		}
		return v
	}
	lost := 0 // further instants that the radio loses
	for i := range minutes * 60 * rate {
		s := float64(i) / float64(rate)
		at := raceStart.Add(time.Duration(s * float64(time.Second)))
		speed, current := max(0, 8+wave(speeds, s)), 10+wave(loads, s)
		noisy := func(v float64) float64 { return math.Round((v+random.NormFloat64()/20)*100) / 100 }
		t.logger = append(t.logger, rec{
			"session_id": "logger", "timestamp": record.FormatTime(at.Add(-t.offset)),
			"speed_ms": noisy(speed), "current_a": noisy(current), "motor_temp_c": noisy(40 + s/10), "brake_bar": noisy(3), "energy_j": math.Round(s * 300),
		})
		if i%every != 0 {
			continue
		}
		t.sent++
		if lost == 0 && random.IntN(40) == 0 {
			lost = random.IntN(60)
		}
		if lost > 0 {
			lost--
			continue
		}
		jitter := time.Duration((random.Float64() - 0.5) * 0.4 * float64(t.step)).Truncate(time.Microsecond)
		t.radio = append(t.radio, rec{
			"session_id": "s", "timestamp": record.FormatTime(at.Add(jitter)),
			"speed_ms": noisy(speed), "current_a": noisy(current), "voltage_v": noisy(48 - s/100), "message_id": i, "energy_j": 5000 + math.Round(s*300),
		})
	}
	return t
}

// untidy has the logger repeat records, write some before others, and some at times
// that are none.
func (t *trip) untidy(random *rand.Rand) {
	times := []string{"boot", "", "1980-01-06T00:00:00Z", "2099-01-01T00:00:00+00:00", record.FormatTime(raceStart.AddDate(0, -1, 0).Add(-t.offset))}
	var all []rec
	for _, r := range t.logger {
		all = append(all, r)
		last := len(all) - 1
		switch random.IntN(300) {
		case 0:
			all = append(all, r)
		case 1:
			step := random.IntN(min(20, last+1))
			all[last], all[last-step] = all[last-step], all[last]
		case 2:
			odd := maps.Clone(r)
			odd["timestamp"] = times[random.IntN(len(times))]
			all, t.odd = append(all, odd), t.odd+1
		}
	}
	t.logger = all
}

func (h *server) merge(records []rec, opt merge.Options) (merge.Report, error) {
	opt.Session = "s"
	return h.store.Merges.Merge(h.t.Context(), decode.New(strings.NewReader(ndjson(records)), decode.Options{SessionID: "s"}), opt)
}

// dump is the run as it is exported, and all that is worked out of it.
func (h *server) dump() string {
	h.t.Helper()
	stream, err := h.store.Records(h.t.Context(), timeseries.RecordQuery{SessionID: "s"})
	if err != nil {
		h.t.Fatal(err)
	}
	out := stream.CSVHeader()
	for stream.Next() {
		out = stream.Record().AppendCSV(out)
	}
	if err := stream.Err(); err != nil {
		h.t.Fatal(err)
	}
	session, err := h.store.Session(h.t.Context(), "s")
	if err != nil {
		h.t.Fatal(err)
	}
	summary, err := h.store.Summary(h.t.Context(), "s")
	if err != nil {
		h.t.Fatal(err)
	}
	summary.Batch = 0
	figures, err := json.Marshal(summary)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %d\n%s\n%s", session.StartText, session.EndText, session.Records, figures, out)
}

// compress moves what is stored into the columnstore, where there is one.
func (h *server) compress() {
	h.t.Helper()
	if dbtest.Edition(h.t, h.pool) != "community" {
		return
	}
	if _, err := h.pool.Exec(h.t.Context(), "SELECT compress_chunk(c) FROM show_chunks('telemetry') c"); err != nil {
		h.t.Fatal(err)
	}
}

// What a merge finds, brings and takes back, for random drives.
func TestMergeOfAnyDrive(t *testing.T) {
	t.Parallel()
	for seed := range fewer(t, 6, 1) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			trip := newTrip(rand.New(rand.NewPCG(seed, 1)))
			trip.untidy(rand.New(rand.NewPCG(seed, 2)))
			for part := range slices.Chunk(trip.radio, 700) {
				h.insert(part...)
			}
			if _, err := h.store.Rollups.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.compress()
			before := h.dump()

			preview, err := h.merge(trip.logger, merge.Options{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			if h.dump() != before {
				t.Fatal("a dry run changed the run")
			}
			report, err := h.merge(trip.logger, merge.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d of %d sent arrived; %+v, correlation %.3f, delivered %.1f %%", len(trip.radio), trip.sent, report, *report.Correlation, *report.Delivered)
			if off := (report.Offset - trip.offset).Abs(); off > trip.step/2 {
				t.Errorf("the offset is %v off, a step is %v", off, trip.step)
			}
			if preview.Offset != report.Offset || preview.Added != report.Added || preview.Filled != report.Filled || preview.SetAside != report.SetAside {
				t.Errorf("the preview said %+v", preview)
			}
			good := len(trip.logger) - trip.odd
			if kept := h.aside("s"); trip.odd == 0 || len(kept) != trip.odd || report.NoTime+report.Odd != trip.odd || report.SetAside != trip.odd || report.Records != len(trip.logger) {
				t.Errorf("%d of %d odd records are set aside: %+v", len(kept), trip.odd, report)
			}
			if report.Added+report.Both != good || report.Filled != report.Both || report.Both < len(trip.radio)*95/100 {
				t.Errorf("%d added and %d in both are not the file's %d; %d filled; the radio sent %d", report.Added, report.Both, good, report.Filled, len(trip.radio))
			}
			if got, want := *report.Delivered, 100*float64(len(trip.radio))/float64(trip.sent); math.Abs(got-want) > 2 {
				t.Errorf("the radio delivered %.1f %%, not %.1f", got, want)
			}
			if !slices.Equal(report.LeftOut, []string{"energy_j"}) || !slices.Equal(report.Channels, []string{"brake_bar", "motor_temp_c"}) {
				t.Errorf("left out %v, got %v", report.LeftOut, report.Channels)
			}
			// What the radio sent is as it was, and each record of the logger is there once.
			all := h.read(timeseries.RecordQuery{SessionID: "s"})
			sent, logged := map[float64]rec{}, 0
			for _, r := range all {
				if id, ok := r["message_id"].(float64); ok {
					sent[id] = r
				}
				if r["brake_bar"] != nil {
					logged++
				}
				if (r["message_id"] == nil) != (r["data_source"] == "logger") {
					t.Fatalf("where does %v come from?", r)
				}
			}
			for _, r := range trip.radio {
				got := sent[float64(r["message_id"].(int))]
				for name, value := range r {
					if fmt.Sprint(got[name]) != fmt.Sprint(value) {
						t.Fatalf("%s was %v and is %v", name, value, got[name])
					}
				}
			}
			if len(all) != len(trip.radio)+report.Added || logged != good {
				t.Errorf("%d records, %d of the logger", len(all), logged)
			}

			after := h.dump()
			again, err := h.merge(trip.logger, merge.Options{})
			if err != nil || !again.Already || h.dump() != after {
				t.Errorf("again: %+v, %v", again, err)
			}
			if _, err := h.merge(trip.logger, merge.Options{Offset: &trip.step}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), report.Offset.String()) {
				t.Errorf("with another offset: %v", err)
			}
			if again, err := h.merge(trip.logger, merge.Options{Offset: &report.Offset}); err != nil || !again.Already {
				t.Errorf("with the same offset: %+v, %v", again, err)
			}
			// The same records under another digest: nothing to fill, nothing to add.
			other := slices.Clone(trip.logger)
			slices.Reverse(other)
			again, err = h.merge(other, merge.Options{})
			if err != nil || again.Already || again.Batch != 0 || h.dump() != after {
				t.Errorf("in another order: %+v, %v", again, err)
			}

			if _, err := h.store.Rollups.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.compress()
			if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
			if h.dump() != before || len(h.aside("s")) != 0 {
				t.Error("undone, the run is not what it was")
			}
			if _, err := h.store.Rollups.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h.dump() != before {
				t.Error("undone and refreshed, the run is not what it was")
			}
			if report, err := h.merge(trip.logger, merge.Options{}); err != nil || report.Already || h.dump() != after {
				t.Errorf("merged once more: %+v, %v", report, err)
			}
			h.consistent()
		})
	}
}

// A radio whose clock has whole seconds sends several records with one time. Each is
// one of the logger's all the same, and what it delivered goes by how many it sends.
func TestMergeOfACoarseClock(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	var trip trip
	for seed := uint64(0); trip.step == 0 || trip.step > 250*time.Millisecond || time.Second%trip.step != 0; seed++ {
		trip = newTrip(rand.New(rand.NewPCG(seed, 3)))
	}
	for _, r := range trip.radio {
		at, err := record.ParseTime(r["timestamp"].(string))
		if err != nil {
			t.Fatal(err)
		}
		r["timestamp"] = record.FormatTime(at.Truncate(time.Second))
	}
	h.insert(trip.radio...)
	before := h.dump()
	report, err := h.merge(trip.logger, merge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Both < len(trip.radio)*95/100 || report.Added+report.Both != len(trip.logger) {
		t.Errorf("%d of the radio's %d records are in both, %d of %d added", report.Both, len(trip.radio), report.Added, len(trip.logger))
	}
	if got, want := *report.Delivered, 100*float64(len(trip.radio))/float64(trip.sent); math.Abs(got-want) > 4 {
		t.Errorf("the radio delivered %.1f %%, not %.1f", got, want)
	}
	after := h.dump()
	slices.Reverse(trip.logger)
	if again, err := h.merge(trip.logger, merge.Options{Offset: &report.Offset}); err != nil || again.Added > 0 || h.dump() != after {
		t.Errorf("in another order: %+v, %v", again, err)
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil || h.dump() != before {
		t.Errorf("undone, the run is not what it was: %v", err)
	}
	h.consistent()
}

// A logger whose clock is set late begins with records of 1980. They, and what
// has no time, are set aside and named; the drive is found as without them.
func TestMergeLeavesOutOddTimes(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	trip := newTrip(rand.New(rand.NewPCG(5, 1)))
	h.insert(trip.radio...)
	odd := func(at string) rec { return rec{"timestamp": at, "speed_ms": 1, "current_a": 2} }
	for name, at := range map[string]time.Time{"file": raceStart.Add(-trip.offset), "never set": time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC)} {
		by := at.Sub(raceStart.Add(-trip.offset))
		records := []rec{odd("1980-01-06T00:00:00Z"), odd("boot")}
		if name == "never set" {
			records = []rec{odd("2026-03-21T10:00:00Z"), odd("boot")}
		}
		for _, r := range trip.logger {
			r = maps.Clone(r)
			at, err := time.Parse(time.RFC3339Nano, r["timestamp"].(string))
			if err != nil {
				t.Fatal(err)
			}
			r["timestamp"] = record.FormatTime(at.Add(by))
			records = append(records, r)
		}
		records = append(records, odd("2099-01-01T00:00:00Z"))
		report, err := h.merge(records, merge.Options{DryRun: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if off := (report.Offset - trip.offset + by).Abs(); off > trip.step/2 {
			t.Errorf("%s: the offset is %v off", name, off)
		}
		if report.Odd != 2 || report.NoTime != 1 || report.Both+report.Added != len(trip.logger) || len(report.Problems) != 3 {
			t.Errorf("%s: %+v", name, report)
		}
		for i, place := range []int{1, 0, len(records) - 1} {
			if p := report.Problems[i]; *p.Index != place || p.Field != "timestamp" {
				t.Errorf("%s: problem %d is %v", name, i, p)
			}
		}
		before := h.read(timeseries.RecordQuery{SessionID: "s"})[0]["timestamp"]
		offset := report.Offset
		if report, err = h.merge(records, merge.Options{Offset: &offset}); err != nil || report.Odd != 2 || report.Batch == 0 {
			t.Fatalf("%s, by hand: %+v, %v", name, report, err)
		}
		var reasons []string
		for _, kept := range h.aside("s") {
			reasons = append(reasons, kept.Source+" "+kept.Reason+" "+kept.Timestamp[:4])
		}
		slices.Sort(reasons)
		if want := []string{"merge no time boot", "merge stray " + records[0]["timestamp"].(string)[:4], "merge stray 2099"}; report.SetAside != 3 || !slices.Equal(reasons, want) {
			t.Errorf("%s: %d set aside: %v, want %v", name, report.SetAside, reasons, want)
		}
		if first := h.read(timeseries.RecordQuery{SessionID: "s"})[0]["timestamp"]; first.(string)[:10] != before.(string)[:10] {
			t.Errorf("%s: the run begins at %v, not %v", name, first, before)
		}
		if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
	}
	h.consistent()
}

// An upload to the run need not wait for a merge that is finding out; the merge
// then fills what came meanwhile, too.
func TestUploadBesideMerge(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the server has one backend, and nothing goes on beside a transaction")
	for name, dry := range map[string]bool{"dry run": true, "merge": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newServer(t)
			trip := newTrip(rand.New(rand.NewPCG(2, 1)))
			half := len(trip.radio) / 2
			h.insert(trip.radio[:half]...)
			hold, err := h.pool.Begin(t.Context())
			if err == nil {
				_, err = hold.Exec(t.Context(), "LOCK TABLE merges IN ACCESS EXCLUSIVE MODE")
			}
			if err != nil {
				t.Fatal(err)
			}
			type outcome struct {
				merge.Report
				error
			}
			done := make(chan outcome, 1)
			go func() {
				report, err := h.merge(trip.logger, merge.Options{DryRun: dry})
				done <- outcome{report, err}
			}()
			for h.count("SELECT count(*) FROM pg_locks WHERE relation = 'merges'::regclass AND NOT granted") == 0 {
				if t.Context().Err() != nil {
					return
				}
			}
			h.insert(trip.radio[half:]...)
			if err := hold.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := <-done
			least := len(trip.radio)
			if dry {
				least = half
			}
			if got.error != nil || got.Filled != got.Both || got.Both < least*95/100 || got.Both > least {
				t.Errorf("%d and %d records: %+v, %v", half, len(trip.radio)-half, got.Report, got.error)
			}
			h.consistent()
		})
	}
}

// A file of another drive is refused, and so is what cannot be compared.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	trip := newTrip(rand.New(rand.NewPCG(1, 2)))
	h.insert(trip.radio...)
	before := h.dump()
	hour, month, years, past := time.Hour, 30*24*time.Hour, 50*365*24*time.Hour, -30*365*24*time.Hour
	noChannel := []rec{{"session_id": "x", "timestamp": "2026-03-21T10:00:00Z", "motor_temp_c": 5}}
	for name, test := range map[string]struct {
		records []rec
		opt     merge.Options
		want    string
	}{
		"another drive": {newTrip(rand.New(rand.NewPCG(7, 7))).logger, merge.Options{}, "does not fit"},
		"no channel":    {noChannel, merge.Options{}, "no channel in common"},
		"no record":     {nil, merge.Options{}, "no record"},
		"too far":       {noChannel, merge.Options{Offset: &month}, "field offset: would put"},
		"the future":    {noChannel, merge.Options{Offset: &years}, "too late"},
		"the past":      {noChannel, merge.Options{Offset: &past}, "too early"},
		"by hand":       {noChannel, merge.Options{Offset: &hour, DryRun: true}, ""},
	} {
		report, err := h.merge(test.records, test.opt)
		if test.want == "" {
			if err != nil || report.Offset != hour || report.Added != 1 {
				t.Errorf("%s: %+v, %v", name, report, err)
			}
			continue
		}
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
	for _, dry := range []bool{true, false} {
		var lines bytes.Buffer
		var told []ingest.Stats
		h.store = timeseries.New(h.pool, timeseries.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil)), OnIngest: func(s ingest.Stats) { told = append(told, s) }})
		if _, err := h.merge(noChannel, merge.Options{DryRun: dry}); err == nil {
			t.Error("not refused")
		}
		if want := []ingest.Stats{{Source: "merge", Rejected: 1}}[:map[bool]int{false: 1}[dry]]; !slices.Equal(told, want) || strings.Count(lines.String(), "level=WARN") != len(want) {
			t.Errorf("dry run %v: %v, and the log says %q", dry, told, lines.String())
		}
	}
	if h.dump() != before {
		t.Error("what was refused changed the run")
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); !fault.Is(err, fault.NotFound) {
		t.Errorf("undone: %v", err)
	}
	for _, most := range []int{len(trip.radio) - 1, len(trip.logger) - 1} {
		h.store.Merges.MaxRecords = most
		if _, err := h.merge(trip.logger[:most], merge.Options{Offset: &trip.offset, DryRun: true}); most < len(trip.radio) != fault.Is(err, fault.TooLarge) {
			t.Errorf("with %d records: %v", most, err)
		}
	}
	if _, err := h.merge(trip.logger, merge.Options{}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a long file: %v", err)
	}
}

// A run whose clock is set right keeps what was merged into it, to be taken back.
func TestMergeOutlivesARepair(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	trip := newTrip(rand.New(rand.NewPCG(3, 1)))
	h.insert(trip.radio...)
	before := h.dump()
	if _, err := h.merge(trip.logger, merge.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, shift := range []time.Duration{time.Hour, -time.Hour} {
		h.repair(ingest.Repair{Session: "s", Shift: shift, All: true})
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if h.dump() != before {
		t.Error("the run is not what it was before the merge")
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.consistent()
}

// What is not merged of a table is named by the file's line.
func TestMergeNamesLines(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	var radio []rec
	file := "# a logger\ntimestamp,speed_ms\nboot,1\n\n2025-06-01T00:00:00Z,1\n"
	for i := range 20 {
		r := recordAt("s", time.Duration(i)*time.Second, i)
		radio = append(radio, r)
		file += fmt.Sprintf("%v,%d\n", r["timestamp"], i)
	}
	h.insert(radio...)
	dec := decode.New(strings.NewReader(file+"broken,\"1\n"), decode.Options{Format: decode.FormatCSV, SessionID: "s", SkipBad: true})
	report, err := h.store.Merges.Merge(t.Context(), dec, merge.Options{Session: "s", Offset: new(time.Duration), SkipBad: true})
	if err != nil || len(report.Problems) != 2 || report.Problems[0].Line != 3 || report.Problems[1].Line != 5 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A run whose whole clock was wrong takes what a merged file had aside along, but
// not in: undone, the merge takes it away.
func TestShiftLeavesWhatAMergeSetAside(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	trip := newTrip(rand.New(rand.NewPCG(5, 1)))
	h.insert(trip.radio...)
	h.insert(rec{"session_id": "s", "timestamp": "1999-12-01T00:00:00Z", "message_id": 1})
	logger := append([]rec{{"timestamp": "2025-06-01T00:00:00Z", "speed_ms": 1}}, trip.logger...)
	if report, err := h.merge(logger, merge.Options{}); err != nil || report.SetAside != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if done := h.repair(ingest.Repair{Session: "s", Shift: 60 * 24 * time.Hour, All: true}); done.PutBack != 1 || done.Left != 1 {
		t.Errorf("%+v", done)
	}
	if kept := h.aside("s"); len(kept) != 1 || kept[0].Source != "merge" {
		t.Errorf("set aside: %+v", kept)
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil || len(h.aside("s")) != 0 {
		t.Errorf("%d records are left aside, %v", len(h.aside("s")), err)
	}
	if n := len(h.read(timeseries.RecordQuery{SessionID: "s"})); n != len(trip.radio)+1 {
		t.Errorf("%d records", n)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.consistent()
}

// What a file was merged into is no stray, however much comes at another time,
// and so it can be taken back.
func TestMergeBesideStrays(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	var radio, logger, later []rec
	for i := range 200 {
		at := record.FormatTime(raceStart.Add(time.Duration(i) * time.Second))
		if i < 10 {
			logger = append(logger, rec{"timestamp": at, "motor_temp_c": i})
		}
		if i < 5 {
			radio = append(radio, rec{"session_id": "s", "timestamp": at, "speed_ms": i})
		}
		later = append(later, recordAt("s", 30*24*time.Hour+time.Duration(i)*time.Second, i))
	}
	h.insert(radio...)
	report, err := h.merge(logger, merge.Options{Offset: new(time.Duration)})
	if err != nil || report.Filled != 5 || report.Added != 5 {
		t.Fatalf("%+v, %v", report, err)
	}
	h.insert(later...)
	if n := h.count("SELECT count(*) FROM set_aside"); n != 0 {
		t.Errorf("%d records are set aside", n)
	}
	h.consistent()
	// Earlier versions took such records out.
	if _, err := h.pool.Exec(t.Context(), `
		WITH aside AS (
			INSERT INTO set_aside (session, batch, reason, time, timestamp, record, source)
			SELECT session, batch, 'stray', time, '', '{}', 'merge' FROM telemetry WHERE batch = 2
		), gone AS (DELETE FROM telemetry WHERE batch = 2),
		logged AS (UPDATE ingest_batches SET records = 0, set_aside = 5 WHERE batch = 2)
		UPDATE sessions SET records = records - 5, set_aside = 5`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if n := h.count("SELECT count(*) FROM telemetry WHERE motor_temp_c IS NOT NULL") + h.count("SELECT count(*) FROM set_aside"); n != 0 {
		t.Errorf("%d records still have what was merged", n)
	}
	h.consistent()
}

// Of several merges the last goes first: what it found in the run it did not
// bring itself.
func TestMergesAreUndoneFromTheLast(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	trip := newTrip(rand.New(rand.NewPCG(4, 1)))
	h.insert(trip.radio...)
	before := h.dump()
	first, err := h.merge(trip.logger[:len(trip.logger)/2], merge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := h.merge(trip.logger, merge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s", first.Batch); !fault.Is(err, fault.Conflict) {
		t.Errorf("the first alone: %v", err)
	}
	for _, batch := range []int32{last.Batch, first.Batch} {
		if _, err := h.store.Merges.Undo(t.Context(), "s", batch); err != nil {
			t.Fatal(err)
		}
	}
	if h.dump() != before {
		t.Error("undone, the run is not what it was")
	}
}

// The clusters of a run are counted anew by a merge, and by its end: what comes
// next is judged by what is there.
func TestMergeCountsClusters(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	from := raceStart.AddDate(0, 0, -30)
	var radio, logger []rec
	for i := range 100 {
		radio = append(radio, recordAt("s", time.Duration(i)*time.Second, i))
	}
	for i := range 20 {
		radio = append(radio, at("s", from.Add(time.Duration(i)*time.Second), 1000+i))
	}
	for i := range 400 {
		logger = append(logger, rec{"timestamp": record.FormatTime(raceStart.Add(time.Duration(i) * time.Second)), "motor_temp_c": i})
	}
	h.insert(radio...)
	clusters := func() (list []int) {
		t.Helper()
		rows, err := h.pool.Query(t.Context(), "SELECT records FROM clusters ORDER BY from_time")
		if err == nil {
			list, err = pgx.CollectRows(rows, pgx.RowTo[int])
		}
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := clusters(); !slices.Equal(got, []int{20, 100}) {
		t.Fatalf("before: %v", got)
	}
	if report, err := h.merge(logger, merge.Options{Offset: new(time.Duration)}); err != nil || report.Added != 300 {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := clusters(); !slices.Equal(got, []int{20, 400}) {
		t.Errorf("merged: %v", got)
	}
	if _, err := h.store.Merges.Undo(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if got := clusters(); !slices.Equal(got, []int{20, 100}) {
		t.Errorf("undone: %v", got)
	}
	h.consistent()
}

// A run whose records are all set aside has nothing to take back, and says so by
// doing it.
func TestUndoWithoutRecords(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(recordAt("s", 0, 1))
	if report, err := h.merge([]rec{{"timestamp": record.FormatTime(raceStart.Add(time.Second)), "motor_temp_c": 5}}, merge.Options{Offset: new(time.Duration)}); err != nil || report.Added != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := h.pool.Exec(t.Context(), `
		WITH gone AS (DELETE FROM telemetry)
		UPDATE sessions
		SET records = 0, first_time = NULL, last_time = NULL`); err != nil {
		t.Fatal(err)
	}
	if undone, err := h.store.Merges.Undo(t.Context(), "s"); err != nil || !slices.Equal(undone, []int32{2}) {
		t.Errorf("%v, %v", undone, err)
	}
}
