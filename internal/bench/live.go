package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ecovolt/telemetryd/internal/simulate"
)

// The live suite drives one 50 Hz car, a commit for each record, which is the
// hardest case there is. Load generator, daemons and database share the machine.
const (
	liveRate    = 50
	liveWindow  = 8 * time.Second
	idleSockets = 2000
)

// live measures the live stream: how long a record takes to every screen, what
// screens cost the database, the daemon's memory and the ingest.
func live(ctx context.Context, e *Env) error {
	other, err := startDaemon(ctx, e.Program, e.URL)
	if err != nil {
		return err
	}
	defer other.Stop()
	if err := liveMemory(ctx, e, other); err != nil {
		return err
	}
	t := newTable(e.Out, "subscribers", "on", "messages/s", "upload p50 ms", "p99", "upload to socket p50 ms", "p99", "max", "hub queries/s", "daemon cores")
	defer t.flush()
	for _, on := range []struct {
		name string
		at   *Process
	}{{"same instance", e.Daemon}, {"another instance", other}} {
		for _, n := range []int{1, 100, 1000} {
			r, err := liveCase(ctx, e, on.at, n, 0)
			if err != nil {
				return err
			}
			t.row(n, on.name, r.perSecond, r.upload(0.5), r.upload(0.99), r.socket(0.5), r.socket(0.99), r.socket(1), r.queries, r.cores)
		}
	}
	r, err := liveCase(ctx, e, e.Daemon, 1000, 1)
	if err != nil {
		return err
	}
	t.row("999 and 1 stalled", "same instance", r.perSecond, r.upload(0.5), r.upload(0.99), r.socket(0.5), r.socket(0.99), r.socket(1), r.queries, r.cores)
	t.flush()
	return liveIngest(ctx, e)
}

// liveResult is what one case measured. Times are in ms.
type liveResult struct {
	uploads, sockets   []float64
	perSecond, queries float64
	cores              float64 // that the daemon was busy
}

func (r *liveResult) upload(q float64) float64 { return quantile(r.uploads, q) }
func (r *liveResult) socket(q float64) float64 { return quantile(r.sockets, q) }

// quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// liveCase opens n sockets and drives the car for a while. stalled of the
// sockets never read.
func liveCase(ctx context.Context, e *Env, at *Process, n, stalled int) (*liveResult, error) {
	car := newLiveCar(e)
	if err := car.upload(ctx); err != nil { // so that the session exists
		return nil, err
	}
	sockets := make([]*liveSocket, 0, n)
	defer func() {
		for _, s := range sockets {
			s.conn.Close()
		}
	}()
	for range n {
		s, err := dialLive(at.URL, car.session())
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, s)
	}
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var measuring, final atomic.Int64 // records with these message_ids, and those between, count
	for _, s := range sockets[stalled:] {
		readers.Go(func() { s.read(ctx, car, &measuring, &final) })
	}
	for waiting := true; waiting; {
		if err := car.drive(ctx, time.Second, nil); err != nil {
			return nil, err
		}
		waiting = false
		for _, s := range sockets[stalled:] {
			waiting = waiting || !s.live.Load()
		}
	}
	r := &liveResult{}
	before := metric(ctx, at, "telemetryd_hub_polls_total")
	measuring.Store(int64(len(car.sent)) + 1)
	begun, cpu := time.Now(), at.CPU()
	if err := car.drive(ctx, liveWindow, &r.uploads); err != nil {
		return nil, err
	}
	seconds := time.Since(begun).Seconds()
	after := metric(ctx, at, "telemetryd_hub_polls_total")
	r.cores = (at.CPU() - cpu).Seconds() / seconds
	// A machine that is too busy delivers late; that is to be measured, not lost.
	final.Store(int64(len(car.sent)))
	if err := car.upload(ctx); err != nil {
		return nil, err
	}
	arrived := make(chan struct{})
	go func() { readers.Wait(); close(arrived) }()
	select {
	case <-arrived:
	case <-time.After(30 * time.Second):
	}
	cancel()
	for _, s := range sockets {
		s.conn.Close()
	}
	readers.Wait()
	for _, s := range sockets {
		r.sockets = append(r.sockets, s.latencies...)
	}
	want := len(r.uploads) * (n - stalled)
	if got := len(r.sockets); got != want {
		return nil, fmt.Errorf("%d records arrived on %d sockets, want %d", got, n-stalled, want)
	}
	r.perSecond, r.queries = float64(len(r.sockets))/seconds, (after-before)/seconds
	slices.Sort(r.uploads)
	slices.Sort(r.sockets)
	return r, nil
}

// liveCar uploads records one by one and remembers when.
type liveCar struct {
	url    string
	car    *simulate.Car
	client *http.Client
	mu     sync.Mutex
	sent   []time.Time // by message_id, from 1
}

func newLiveCar(e *Env) *liveCar {
	start := time.Now()
	return &liveCar{
		url:    e.Daemon.URL,
		client: &http.Client{Timeout: 30 * time.Second},
		car:    simulate.New(simulate.Options{Seed: 1, Rate: liveRate, Start: start, SessionID: fmt.Sprintf("live-%d", start.UnixNano())}),
	}
}

func (c *liveCar) session() string { return c.car.SessionID() }

// upload sends one record.
func (c *liveCar) upload(ctx context.Context) error {
	body := c.car.Next().AppendJSON(nil)
	c.mu.Lock()
	c.sent = append(c.sent, time.Now())
	c.mu.Unlock()
	return uploadTo(ctx, c.client, c.url, body)
}

func (c *liveCar) sentAt(id int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[id-1]
}

// drive uploads for a while at the car's rate.
func (c *liveCar) drive(ctx context.Context, length time.Duration, took *[]float64) error {
	ticker := time.NewTicker(time.Second / liveRate)
	defer ticker.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		begun := time.Now()
		if err := c.upload(ctx); err != nil {
			return err
		}
		if took != nil {
			*took = append(*took, time.Since(begun).Seconds()*1000)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

func uploadTo(ctx context.Context, client *http.Client, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/telemetry", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	Authorize(request)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("upload: %s: %.200s", answer.Status, text)
	}
	return err
}

// metric reads one of the daemon's metrics.
func metric(ctx context.Context, at *Process, name string) float64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.URL+"/metrics", nil)
	if err != nil {
		return 0
	}
	Authorize(request)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(rest, 64)
			return v
		}
	}
	return 0
}

// liveSocket is a websocket client that does as little as it can: the machine
// is to be spent on the daemon. It reads frames and looks for message_id.
type liveSocket struct {
	conn      net.Conn
	live      atomic.Bool // it gets records as they come
	latencies []float64
}

func dialLive(url, session string) (*liveSocket, error) {
	address := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /api/v1/live?session=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Convex %s\r\n\r\n", session, address, benchKey)
	if err != nil {
		conn.Close()
		return nil, err
	}
	// Byte by byte: what follows the header is left for the reader.
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := conn.Read(one); err != nil {
			conn.Close()
			return nil, err
		}
		head = append(head, one[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		conn.Close()
		return nil, fmt.Errorf("no websocket: %.60s", head)
	}
	return &liveSocket{conn: conn}, nil
}

var idMember = []byte(`"message_id":`)

func (s *liveSocket) read(ctx context.Context, car *liveCar, measuring, final *atomic.Int64) {
	r := bufio.NewReaderSize(s.conn, 8<<10)
	var payload []byte
	last := 0
	for ctx.Err() == nil {
		opcode, body, err := readFrame(r, payload[:0])
		if err != nil {
			return
		}
		payload = body
		now := time.Now()
		if opcode != 1 || !bytes.HasPrefix(body, []byte(`{"type":"records"`)) {
			continue
		}
		if !s.live.Load() && !bytes.HasSuffix(body, []byte(`"replay":true}`)) {
			s.live.Store(true)
		}
		for rest := body; ; {
			i := bytes.Index(rest, idMember)
			if i < 0 {
				break
			}
			rest = rest[i+len(idMember):]
			id := 0
			for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
				id, rest = id*10+int(rest[0]-'0'), rest[1:]
			}
			if last != 0 && id != last+1 {
				return // a gap shows in the count
			}
			last = id
			if to := int(final.Load()); to > 0 && id > to {
				return
			}
			if from := int(measuring.Load()); from > 0 && id >= from {
				s.latencies = append(s.latencies, now.Sub(car.sentAt(id)).Seconds()*1000)
			}
		}
	}
}

// readFrame reads one frame of a server.
func readFrame(r *bufio.Reader, into []byte) (opcode byte, body []byte, err error) {
	var head [10]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, into, err
	}
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		if _, err := io.ReadFull(r, head[2:4]); err != nil {
			return 0, into, err
		}
		length = uint64(binary.BigEndian.Uint16(head[2:4]))
	case 127:
		if _, err := io.ReadFull(r, head[2:10]); err != nil {
			return 0, into, err
		}
		length = binary.BigEndian.Uint64(head[2:10])
	}
	if length > 1<<24 {
		return 0, into, errors.New("a frame is too long")
	}
	into = slices.Grow(into, int(length))[:length]
	_, err = io.ReadFull(r, into)
	return head[0] & 0x0f, into, err
}

// liveMemory measures what an idle socket costs the daemon.
func liveMemory(ctx context.Context, e *Env, at *Process) error {
	car := newLiveCar(e)
	if err := car.upload(ctx); err != nil {
		return err
	}
	open := func(n int) (func(), error) {
		var sockets []*liveSocket
		closeAll := func() {
			for _, s := range sockets {
				s.conn.Close()
			}
		}
		for range n {
			s, err := dialLive(at.URL, car.session())
			if err != nil {
				closeAll()
				return nil, err
			}
			sockets = append(sockets, s)
		}
		return closeAll, nil
	}
	warm, err := open(50) // what the first ones need is not theirs
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	before := at.Memory()
	closeAll, err := open(idleSockets)
	if err != nil {
		warm()
		return err
	}
	time.Sleep(5 * time.Second)
	after := at.Memory()
	closeAll()
	warm()
	fmt.Fprintf(e.Out, "%d idle sockets: %.1f KB each (resident memory of the daemon, garbage included)\n\n",
		idleSockets, float64(after-before)/idleSockets/1000)
	return nil
}

// liveIngest compares bulk ingest with and without screens that watch a car.
func liveIngest(ctx context.Context, e *Env) error {
	rate := func(screens int) (float64, error) {
		car := newLiveCar(e)
		if err := car.upload(ctx); err != nil {
			return 0, err
		}
		ctx, cancel := context.WithCancel(ctx)
		var background sync.WaitGroup
		defer background.Wait()
		defer cancel()
		var never atomic.Int64
		for range screens {
			s, err := dialLive(e.Daemon.URL, car.session())
			if err != nil {
				return 0, err
			}
			background.Go(func() { s.read(ctx, car, &never, &never) })
			defer s.conn.Close()
		}
		background.Go(func() { _ = car.drive(ctx, time.Hour, nil) }) // until cancelled
		load := simulate.New(simulate.Options{Seed: 2, Rate: liveRate, SessionID: fmt.Sprintf("load-%d", time.Now().UnixNano())})
		const records = 200
		client := &http.Client{Timeout: 30 * time.Second}
		sent, begun := 0, time.Now()
		for time.Since(begun) < liveWindow {
			var body bytes.Buffer
			if err := load.WriteNDJSON(&body, records); err != nil {
				return 0, err
			}
			if err := uploadTo(ctx, client, e.Daemon.URL, body.Bytes()); err != nil {
				return 0, err
			}
			sent += records
		}
		return float64(sent) / time.Since(begun).Seconds(), nil
	}
	none, err := rate(0)
	if err != nil {
		return err
	}
	many, err := rate(1000)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Out, "\ningest in uploads of 200 records, beside a 50 Hz car: %.0f records/s; with 1000 screens on the car %.0f (%.2fx)\n",
		none, many, many/none)
	return err
}
