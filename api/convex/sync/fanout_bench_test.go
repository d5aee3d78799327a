package sync

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// plainSocket is a client that costs little: it reads frames and no more, so
// that what is measured is the server.
type plainSocket struct {
	conn net.Conn
	r    *bufio.Reader
}

func openPlain(tb testing.TB, b *server, session string, readBuffer int) *plainSocket {
	tb.Helper()
	address := strings.TrimPrefix(b.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	s := &plainSocket{conn, bufio.NewReaderSize(conn, readBuffer)}
	fmt.Fprintf(conn, "GET /api/1.48.0/sync HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", address)
	response, err := http.ReadResponse(s.r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("upgrade: %v, %v", response, err)
	}
	s.send(tb, fmt.Sprintf(`{"type":"Connect","sessionId":%q,"connectionCount":0,"lastCloseReason":null}`, session))
	s.send(tb, `{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"notes:list","args":[{}]}]}`)
	return s
}

// send writes a masked text frame; a mask of zeros changes nothing.
func (s *plainSocket) send(tb testing.TB, text string) {
	tb.Helper()
	frame := []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	if _, err := s.conn.Write(append(frame, text...)); err != nil {
		tb.Fatal(err)
	}
}

// next reads one frame and says whether it is a text.
func (s *plainSocket) next() (text bool, err error) {
	var head [10]byte
	if _, err := io.ReadFull(s.r, head[:2]); err != nil {
		return false, err
	}
	size := int(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(s.r, head[2:4])
		size = int(head[2])<<8 | int(head[3])
	case 127:
		_, err = io.ReadFull(s.r, head[2:10])
		size = 0
		for _, c := range head[2:10] {
			size = size<<8 | int(c)
		}
	}
	if err == nil {
		_, err = s.r.Discard(size)
	}
	return head[0]&0x0f == websocket.TextMessage, err
}

// BenchmarkFanOut measures the time from before a commit until a query's new
// result has reached the sockets that watch it: the median and 99th percentile
// over all sockets and commits.
func BenchmarkFanOut(b *testing.B) {
	for _, sockets := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint("sockets=", sockets), func(b *testing.B) {
			s := newServer(b)
			arrivals := make(chan time.Time, sockets)
			var readers sync.WaitGroup
			for i := range sockets {
				plain := openPlain(b, s, fmt.Sprint("s", i), 4096)
				readers.Go(func() {
					for {
						text, err := plain.next()
						if err != nil {
							return
						}
						if text {
							arrivals <- time.Now()
						}
					}
				})
			}
			wait := func() []time.Time {
				all := make([]time.Time, sockets)
				for i := range all {
					all[i] = <-arrivals
				}
				return all
			}
			wait()
			var delays []time.Duration
			b.ResetTimer()
			for b.Loop() {
				start := time.Now()
				if err := s.Add(b.Context(), "x"); err != nil {
					b.Fatal(err)
				}
				s.hub.WakeAll()
				for _, at := range wait() {
					delays = append(delays, at.Sub(start))
				}
			}
			b.StopTimer()
			slices.Sort(delays)
			b.ReportMetric(delays[len(delays)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(delays[len(delays)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

// BenchmarkIdleSocket measures what an idle socket with one watched query
// holds, in bytes of the heap and of stacks, its share of the client included.
// Run it with -benchtime 1000x: each round opens one socket.
func BenchmarkIdleSocket(b *testing.B) {
	s := newServer(b)
	open := func(session string) {
		plain := openPlain(b, s, session, 512)
		for text := false; !text; {
			var err error
			if text, err = plain.next(); err != nil {
				b.Fatal(err)
			}
		}
	}
	held := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	open("first")
	before, sockets := held(), 0
	for b.Loop() {
		sockets++
		open(fmt.Sprint("s", sockets))
	}
	b.ReportMetric((held()-before)/float64(sockets), "bytes/socket")
}
