package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// benchFields are the numbers of a record of the team's real export, with the
// digits that it writes after the point.
var benchFields = []struct {
	name   string
	digits int
	mean   float64
	spread float64
}{
	{"speed_ms", 2, 15, 3}, {"voltage_v", 2, 48, 2}, {"current_a", 2, 11, 3}, {"power_w", 2, 520, 90},
	{"energy_j", 2, 650000, 300000}, {"distance_m", 2, 19000, 9000}, {"latitude", 6, 40.713, 0.001}, {"longitude", 6, -74.005, 0.001},
	{"altitude_m", 2, 103, 4}, {"gyro_x", 3, 0, 0.8}, {"gyro_y", 3, 0, 0.8}, {"gyro_z", 3, 0, 2},
	{"accel_x", 3, 0, 6}, {"accel_y", 3, 0, 1}, {"accel_z", 3, 9.8, 0.4}, {"total_acceleration", 3, 12, 4},
	{"uptime_seconds", 1, 1300, 700}, {"throttle_pct", 1, 30, 20}, {"brake_pct", 1, 20, 20}, {"throttle", 3, 0.3, 0.2}, {"brake", 3, 0.2, 0.2},
}

// rows are records in every form that a case needs.
type rows struct {
	times  []time.Time
	values [][]float64 // by record, in order of benchFields
}

func makeRows(n int) rows {
	r := rows{times: make([]time.Time, n), values: make([][]float64, n)}
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 3, 1, 8, 0, 0, 7000, time.UTC)
	for i := range n {
		r.times[i] = start.Add(time.Duration(i) * 20 * time.Millisecond)
		r.values[i] = make([]float64, len(benchFields))
		for j, f := range benchFields {
			scale := math.Pow10(f.digits)
			r.values[i][j] = math.Round((f.mean+f.spread*random.NormFloat64())*scale) / scale
		}
	}
	return r
}

// firstSession is above the keys of all sessions that the daemon makes.
const firstSession = 1_000_000

// turn begins the next case: it gets a session key and a time of its own.
func (r rows) turn(next *int) rows {
	*next++
	return r.after(*next - firstSession)
}

// after returns the same records, measured after those of the cases before: no two
// sessions were driven at the same time, and the rollups of one are not made
// anew because of the next.
func (r rows) after(cases int) rows {
	by := time.Duration(cases) * time.Duration(len(r.times)) * 20 * time.Millisecond
	times := make([]time.Time, len(r.times))
	for i, t := range r.times {
		times[i] = t.Add(by)
	}
	return rows{times, r.values}
}

const benchTime = "2006-01-02T15:04:05.000000+00:00"

// body writes records [from, to) in a form: json, ndjson, csv, or function.
func (r rows) body(form, session string, from, to int) []byte {
	var b []byte
	switch form {
	case "json":
		b = append(b, '[')
	case "function":
		b = append(b, `{"path":"telemetry:insertTelemetryBatch","format":"json","args":{"records":[`...)
	case "csv":
		b = append(b, "session_id,session_name,timestamp"...)
		for _, f := range benchFields {
			b = append(append(b, ','), f.name...)
		}
		b = append(b, ",message_id,data_source\n"...)
	}
	for i := from; i < to; i++ {
		if form == "csv" {
			b = append(append(b, session...), ",Bench,"...)
			b = r.times[i].AppendFormat(b, benchTime)
			for j := range benchFields {
				b = strconv.AppendFloat(append(b, ','), r.values[i][j], 'f', -1, 64)
			}
			b = strconv.AppendInt(append(b, ','), int64(i), 10)
			b = append(b, ",MOCK_NORMAL\n"...)
			continue
		}
		if i > from && form != "ndjson" {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"session_id":%q,"session_name":"Bench","timestamp":"`, session)
		b = r.times[i].AppendFormat(b, benchTime)
		b = append(b, '"')
		for j, f := range benchFields {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			b = strconv.AppendFloat(b, r.values[i][j], 'f', -1, 64)
		}
		b = fmt.Appendf(b, `,"message_id":%d,"data_source":"MOCK_NORMAL"}`, i)
		if form == "ndjson" {
			b = append(b, '\n')
		}
	}
	switch form {
	case "json":
		b = append(b, ']')
	case "function":
		b = append(b, `]}}`...)
	}
	return b
}

func columnNames() []string {
	names := []string{"time", "session", "batch", "ord", "session_name"}
	for _, f := range benchFields {
		names = append(names, f.name)
	}
	return append(names, "message_id", "data_source")
}

// copyText writes the records as text for COPY.
func (r rows) copyText(session int) []byte {
	var b []byte
	for i := range r.times {
		b = r.times[i].AppendFormat(b, "2006-01-02 15:04:05.000000+00")
		b = fmt.Appendf(b, "\t%d\t1\t%d\tBench", session, i)
		for j := range benchFields {
			b = strconv.AppendFloat(append(b, '\t'), r.values[i][j], 'f', -1, 64)
		}
		b = fmt.Appendf(b, "\t%d\tMOCK_NORMAL\n", i)
	}
	return b
}

// ingest measures every way in. Plain \copy is measured between the others, and
// each turn of a case is set against the mean of the \copy before and the one
// after it, so that a machine whose speed drifts skews no ratio. The median of
// the turns counts.
func ingest(ctx context.Context, e *Env) error {
	t := newTable(e.Out, "way in", "batch", "clients", "records/s", "x \\copy", "ms/batch p50", "p99")
	next := firstSession
	var bases []float64
	measure := func(r rows, turns int, cases []ingestCase) error {
		base, err := psqlCopy(ctx, e, r, &next)
		if err != nil {
			return err
		}
		for _, c := range cases {
			var rates, ratios []float64
			var took []time.Duration
			for range turns {
				// What the last case left to do is not this one's.
				if err := refreshed(ctx, e.Pool); err != nil {
					return err
				}
				rate, times, err := c.run(ctx, e, r, &next)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				if err := refreshed(ctx, e.Pool); err != nil {
					return err
				}
				after, err := psqlCopy(ctx, e, r, &next)
				if err != nil {
					return err
				}
				rates, ratios, took = append(rates, rate), append(ratios, rate/((base+after)/2)), append(took, times...)
				bases = append(bases, base)
				base = after
			}
			rate, ratio := median(rates), median(ratios)
			p50, p99 := any("-"), any("-")
			if len(took) > 0 {
				slices.Sort(took)
				p50, p99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
			}
			t.row(c.name, orDash(c.batch), orDash(c.clients), int(rate), ratio, p50, p99)
		}
		return nil
	}
	if err := measure(makeRows(e.Rows), 3, ingestCases()); err != nil {
		return err
	}
	// A file that is long enough for the import's start not to count.
	if err := measure(makeRows(longFile*e.Rows), 1, []ingestCase{{fmt.Sprintf("import, %d x the rows", longFile), 0, 1, importFile}}); err != nil {
		return err
	}
	t.flush()
	slices.Sort(bases)
	fmt.Fprintf(e.Out, "\npsql \\copy of text, one connection: %.0f records/s (median of %d, %.0f to %.0f)\n",
		bases[len(bases)/2], len(bases), bases[0], bases[len(bases)-1])
	fmt.Fprintf(e.Out, "peak memory of the daemon: %.0f MB\n", float64(e.Daemon.PeakMemory())/1e6)
	return nil
}

// longFile is how many times longer the long file is.
const longFile = 10

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func orDash(n int) any {
	if n == 0 {
		return "-"
	}
	return n
}

type ingestCase struct {
	name           string
	batch, clients int
	run            func(ctx context.Context, e *Env, r rows, next *int) (rate float64, took []time.Duration, err error)
}

func ingestCases() []ingestCase {
	cases := []ingestCase{{"pgx CopyFrom, binary", 0, 1, pgxCopy}, {"telemetryd import", 0, 1, importFile}}
	for _, form := range []string{"ndjson", "json", "csv"} {
		for _, batch := range []int{200, 1000, 5000} {
			for _, clients := range []int{1, 4} {
				cases = append(cases, httpCase(form, batch, clients))
			}
		}
	}
	return append(cases, httpCase("function", 200, 1), httpCase("function", 200, 4))
}

// psqlCopy is the measure of all: text, by psql, on one connection.
func psqlCopy(ctx context.Context, e *Env, r rows, next *int) (float64, error) {
	r = r.turn(next)
	begun, err := r.copyInto(ctx, e, "telemetry", *next)
	return float64(len(r.times)) / time.Since(begun).Seconds(), err
}

// copyInto has psql copy the records, and returns when it began.
func (r rows) copyInto(ctx context.Context, e *Env, table string, session int) (begun time.Time, err error) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("telemetryd-bench-%d.txt", os.Getpid()))
	if err := os.WriteFile(file, r.copyText(session), 0o600); err != nil {
		return begun, err
	}
	defer os.Remove(file)
	psql := "psql"
	if e.PGBinDir != "" {
		psql = filepath.Join(e.PGBinDir, "psql")
	}
	// The server of a private root cannot see our files: psql reads its standard input.
	cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", e.URL,
		"-c", "\\copy "+table+" ("+strings.Join(columnNames(), ", ")+") from pstdin")
	in, err := os.Open(file)
	if err != nil {
		return begun, err
	}
	defer in.Close()
	cmd.Stdin = in
	return e.run(cmd)
}

// run runs a program to its end, and returns when it began.
func (e *Env) run(cmd *exec.Cmd) (begun time.Time, err error) {
	begun = time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return begun, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, out)
	}
	e.programs += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return begun, nil
}

// pgxCopy is pgx's own CopyFrom of ready values.
func pgxCopy(ctx context.Context, e *Env, r rows, next *int) (float64, []time.Duration, error) {
	r = r.turn(next)
	session := *next
	start := time.Now()
	_, err := e.Pool.CopyFrom(ctx, pgx.Identifier{"telemetry"}, columnNames(), pgx.CopyFromSlice(len(r.times), func(i int) ([]any, error) {
		row := []any{r.times[i], session, 1, i, "Bench"}
		for _, v := range r.values[i] {
			row = append(row, v)
		}
		return append(row, i, "MOCK_NORMAL"), nil
	}))
	return float64(len(r.times)) / time.Since(start).Seconds(), nil, err
}

func importFile(ctx context.Context, e *Env, r rows, next *int) (float64, []time.Duration, error) {
	r = r.turn(next)
	begun, err := r.importAs(ctx, e, fmt.Sprintf("import-%d", *next))
	return float64(len(r.times)) / time.Since(begun).Seconds(), nil, err
}

// importAs has telemetryd import the records as a run, and returns when it began.
func (r rows) importAs(ctx context.Context, e *Env, session string) (begun time.Time, err error) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("telemetryd-bench-%d.csv", os.Getpid()))
	if err := os.WriteFile(file, r.body("csv", session, 0, len(r.times)), 0o600); err != nil {
		return begun, err
	}
	defer os.Remove(file)
	cmd := exec.CommandContext(ctx, e.Program, "import", "--quiet", file)
	cmd.Env = append(os.Environ(), "TELEMETRYD_DATABASE_URL="+e.URL)
	return e.run(cmd)
}

// httpCase posts to the daemon: each client has a session of its own and sends
// its next batch when the last one was answered. Bodies are made beforehand.
func httpCase(form string, batch, clients int) ingestCase {
	name := "POST " + form
	if form == "function" {
		name = "function endpoint"
	}
	return ingestCase{name, batch, clients, func(ctx context.Context, e *Env, r rows, next *int) (float64, []time.Duration, error) {
		r = r.turn(next)
		share := len(r.times) / clients
		bodies := make([][][]byte, clients)
		for c := range clients {
			*next++
			for from := c * share; from < (c+1)*share; from += batch {
				bodies[c] = append(bodies[c], r.body(form, fmt.Sprintf("%s-%d", form, *next), from, min(from+batch, (c+1)*share)))
			}
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
		defer client.CloseIdleConnections()
		var mu sync.Mutex
		var all []time.Duration
		var failed error
		var group sync.WaitGroup
		runtime.GC() // the bodies are ours to pay for, not the daemon's
		start := time.Now()
		for c := range clients {
			group.Go(func() {
				var took []time.Duration
				for _, body := range bodies[c] {
					sent := time.Now()
					if err := post(ctx, client, e.Daemon.URL, form, body); err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
						return
					}
					took = append(took, time.Since(sent))
				}
				mu.Lock()
				all = append(all, took...)
				mu.Unlock()
			})
		}
		group.Wait()
		return float64(share*clients) / time.Since(start).Seconds(), all, failed
	}}
}

func post(ctx context.Context, client *http.Client, base, form string, body []byte) error {
	path, kind := "/api/v1/telemetry", "application/json"
	switch form {
	case "function":
		path = "/api/mutation"
	case "ndjson":
		kind = "application/x-ndjson"
	case "csv":
		kind = "text/csv"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	authorize(r)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var got struct {
		Inserted int `json:"inserted"`
		Value    struct {
			Inserted int `json:"inserted"`
		} `json:"value"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(text, &got) != nil || got.Inserted+got.Value.Inserted == 0 {
		return fmt.Errorf("answered %s: %.300s", answer.Status, text)
	}
	return nil
}
