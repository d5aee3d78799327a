package httpx_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecovolt/telemetryd/internal/httpx"
)

// pipes is a listener whose connections hold nothing: what is written has been
// read.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// exchange sends a request to a protected handler, and drives the connection as
// a client does.
func exchange(t *testing.T, handler http.HandlerFunc, header string, client func(net.Conn)) {
	t.Helper()
	listener := make(pipes)
	server := &http.Server{Handler: httpx.Protect(handler)}
	go server.Serve(listener)
	ours, theirs := net.Pipe()
	listener <- theirs
	fmt.Fprintf(ours, "%s\r\nHost: x\r\nConnection: close\r\n\r\n", header)
	client(ours)
	ours.Close()
	close(listener)
	server.Close()
	synctest.Wait()
}

// slowly reads or writes by that many bytes a second until it fails, and returns
// how many there were and how long it took.
func slowly(move func([]byte) (int, error), rate int) (n int, took time.Duration) {
	piece, begun := make([]byte, rate), time.Now()
	for {
		m, err := move(piece)
		n += m
		if err != nil {
			return n, time.Since(begun)
		}
		time.Sleep(time.Duration(m) * time.Second / time.Duration(rate))
	}
}

// An answer that nobody reads, or too slowly, ends; one that is read at 2 kB/s
// takes as long as it takes where the route is unhurried, and 5 min else.
func TestSlowReaders(t *testing.T) {
	const size = 1 << 20
	for _, test := range []struct {
		name           string
		rate           int
		unhurried      bool
		least, longest time.Duration
		whole          bool
	}{
		{"deaf", 0, true, 20 * time.Second, 40 * time.Second, false},
		{"500 bytes/s", 500, true, 20 * time.Second, 2 * time.Minute, false},
		{"2 kB/s", 2000, true, size / 2000 * time.Second, size/2000*time.Second + time.Minute, true},
		{"2 kB/s, of an ordinary answer", 2000, false, 5 * time.Minute, 5*time.Minute + time.Second, false},
		{"fast", 1 << 20, false, 0, 5 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var err error
				var took time.Duration
				handler := func(w http.ResponseWriter, _ *http.Request) {
					if test.unhurried {
						httpx.Unhurried(w)
					}
					begun := time.Now()
					_, err = w.Write(make([]byte, size))
					took = time.Since(begun)
				}
				exchange(t, handler, "GET / HTTP/1.1", func(conn net.Conn) {
					if test.rate == 0 {
						time.Sleep(time.Hour)
						return
					}
					slowly(conn.Read, test.rate)
				})
				if whole := err == nil; whole != test.whole || !whole && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the answer ended with %v", err)
				}
				if took < test.least-time.Second || took > test.longest {
					t.Errorf("the answer took %v, want %v to %v", took, test.least, test.longest)
				}
			})
		})
	}
}

// Work that takes long is not held against the client.
func TestSlowWorkIsNotTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		exchange(t, func(w http.ResponseWriter, _ *http.Request) {
			httpx.Unhurried(w)
			for range 10 {
				time.Sleep(time.Minute)
				if _, err := w.Write(make([]byte, 5000)); err != nil {
					t.Error(err)
				}
			}
		}, "GET / HTTP/1.1", func(conn net.Conn) {
			n, _ := io.Copy(io.Discard, conn)
			got = int(n)
		})
		if got < 50_000 {
			t.Errorf("%d bytes arrived", got)
		}
	})
}

// A body that comes byte by byte ends, however long it goes on; one that comes
// at 2 kB/s is received.
func TestSlowWriters(t *testing.T) {
	for _, test := range []struct {
		rate  int
		whole bool
	}{{1, false}, {900, false}, {2000, true}} {
		t.Run(fmt.Sprint(test.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 300_000
				var n int64
				var err error
				var took time.Duration
				handler := func(w http.ResponseWriter, r *http.Request) {
					begun := time.Now()
					n, err = io.Copy(io.Discard, httpx.NewBody(w, r))
					took = time.Since(begun)
				}
				exchange(t, handler, fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d", size), func(conn net.Conn) {
					go io.Copy(io.Discard, conn)
					left := size
					slowly(func(piece []byte) (int, error) {
						piece = piece[:min(left, len(piece))]
						if left -= len(piece); len(piece) == 0 {
							return 0, io.EOF
						}
						return conn.Write(piece)
					}, test.rate)
				})
				if whole := err == nil && n == size; whole != test.whole {
					t.Errorf("%d bytes came in %v: %v", n, took, err)
				}
				if !test.whole && (took > 5*time.Minute || !errors.Is(err, os.ErrDeadlineExceeded)) {
					t.Errorf("it ended after %v with %v", took, err)
				}
			})
		})
	}
}
