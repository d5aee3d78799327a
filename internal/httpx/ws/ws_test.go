package ws_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/ecovolt/telemetryd/internal/httpx/ws"
)

// serve hands each connection to work.
func serve(t *testing.T, opt ws.Options, work func(*ws.Conn)) (dial func() *websocket.Conn) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.Upgrade(w, r, opt)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		work(conn)
	}))
	t.Cleanup(server.Close)
	return func() *websocket.Conn {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// Whatever the client did wrong, it finds out, though it goes on sending.
func TestClientFindsOutWhy(t *testing.T) {
	t.Parallel()
	dial := serve(t, ws.Options{Limit: 1000, WriteWait: time.Minute, Patience: time.Minute}, func(conn *ws.Conn) {
		why := ws.Close{Code: 4400, Reason: "read"}
		r, err := conn.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		switch {
		case errors.Is(err, ws.ErrBinary):
			why = ws.Close{Code: 1003, Reason: "binary"}
		case errors.Is(err, ws.ErrTooLong):
			why = ws.Close{Code: 1009, Reason: "too long"}
		}
		conn.Say(why, time.Minute)
		conn.Drain(time.Minute)
	})
	for name, test := range map[string]struct {
		kind, size, code int
	}{
		"text":     {websocket.TextMessage, 1000, 4400},
		"binary":   {websocket.BinaryMessage, 10, 1003},
		"too long": {websocket.TextMessage, 1001, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial()
			message := []byte(strings.Repeat("x", test.size))
			for range 20 {
				if conn.WriteMessage(test.kind, message) != nil {
					break
				}
			}
			_, _, err := conn.ReadMessage()
			if !websocket.IsCloseError(err, test.code) {
				t.Errorf("ended with %v, want code %d", err, test.code)
			}
			if got := ws.Reconnect(err); got {
				t.Errorf("%v lets it come back", err)
			}
		})
	}
}

// A message in pieces is one message, and so is a prepared one.
func TestWrite(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("y", 600<<10)
	dial := serve(t, ws.Options{Compression: true, CompressFrom: 10, WriteWait: time.Minute}, func(conn *ws.Conn) {
		prepared, err := ws.Prepare([]byte(large))
		if err := errors.Join(err, conn.WritePrepared(prepared), conn.Write([][]byte{[]byte("x"), []byte(large)}, false)); err != nil {
			t.Error(err)
		}
		conn.Say(ws.Close{Code: 1001, Reason: "done"}, time.Minute)
		conn.Drain(time.Minute)
	})
	conn := dial()
	for _, want := range []string{large, "x" + large} {
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if _, _, err := conn.ReadMessage(); !ws.Reconnect(err) {
		t.Errorf("%v does not let it come back", err)
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{
		1000: false, 1001: true, 1003: false, 1006: true, 1009: false, 1011: true, 1013: true,
		4400: false, 4403: false, 4407: false, 4408: true, 4409: true, 4429: true,
	} {
		if got := ws.Reconnect(fmt.Errorf("read: %w", &websocket.CloseError{Code: code})); got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
	if !ws.Reconnect(io.ErrUnexpectedEOF) {
		t.Error("not after a link that broke")
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	var q ws.Queue[int]
	for i := range 10 {
		if !q.Fits(3, 30) {
			t.Fatalf("%d does not fit", i)
		}
		q.Push(i, 3)
	}
	if q.Fits(1, 30) {
		t.Error("more fits than the limit")
	}
	if first, ok := q.Pop(); first != 0 || !ok || q.Bytes() != 27 {
		t.Errorf("%d %v, %d bytes", first, ok, q.Bytes())
	}
	q.Remove(func(i int) bool { return i%2 == 1 })
	var rest []int
	for i, ok := q.Pop(); ok; i, ok = q.Pop() {
		rest = append(rest, i)
	}
	if fmt.Sprint(rest) != "[2 4 6 8]" || q.Bytes() != 0 || q.Len() != 0 {
		t.Errorf("%v, %d bytes", rest, q.Bytes())
	}
	if !q.Fits(1000, 30) {
		t.Error("a large one does not fit into an empty queue")
	}
}
