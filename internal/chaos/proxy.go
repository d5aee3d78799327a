package chaos

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is a way from one program to another that can be disturbed.
type proxy struct {
	listener net.Listener
	to       atomic.Pointer[target]
	// Bytes to and from the target are held while these are set, in nanoseconds:
	// a time that each read waits, or held.
	there, back atomic.Int64
	// Where the target is PostgreSQL: a step of ingest and one of a refresh, at
	// which something is to happen.
	armed [2]atomic.Pointer[failpoint]

	mu    sync.Mutex
	wires map[*wire]struct{}
}

type target struct {
	network, address string
	database         bool
}

// wire is one connection through a proxy.
type wire struct {
	proxy          *proxy
	client, server net.Conn
	down           atomic.Bool
	// The next bytes from the server are the answer that gets no further.
	answer atomic.Pointer[failpoint]
}

// held keeps bytes back until the fault is over.
const held = -1

func newProxy(to target) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, wires: map[*wire]struct{}{}}
	p.aim(to)
	go p.accept()
	return p, nil
}

// aim tells where connections go from now on.
func (p *proxy) aim(to target) { p.to.Store(&to) }

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			to := p.to.Load()
			server, err := net.DialTimeout(to.network, to.address, 5*time.Second)
			if err != nil {
				client.Close()
				return
			}
			w := &wire{proxy: p, client: client, server: server}
			p.mu.Lock()
			p.wires[w] = struct{}{}
			p.mu.Unlock()
			carry := w.carry
			if to.database {
				carry = w.carryMessages
			}
			go func() {
				defer w.cut()
				_ = carry(server, disturbed{client, w, &p.there})
			}()
			defer w.cut()
			_ = w.carry(client, disturbed{server, w, &p.back})
		}()
	}
}

func (w *wire) carry(to io.Writer, from disturbed) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if from.Conn == w.server {
			if f := w.answer.Swap(nil); f != nil {
				return f.strike(w)
			}
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
}

// disturbed is one direction of a wire.
type disturbed struct {
	net.Conn
	wire  *wire
	pause *atomic.Int64
}

func (d disturbed) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	for d.pause.Load() == held && !d.wire.down.Load() {
		time.Sleep(time.Millisecond)
	}
	if pause := d.pause.Load(); pause > 0 {
		time.Sleep(time.Duration(pause))
	}
	return n, err
}

// cut resets the connection.
func (w *wire) cut() {
	if w.down.Swap(true) {
		return
	}
	w.giveBack()
	for _, conn := range []net.Conn{w.client, w.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
	w.proxy.mu.Lock()
	defer w.proxy.mu.Unlock()
	delete(w.proxy.wires, w)
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	var wires []*wire
	for w := range p.wires {
		wires = append(wires, w)
	}
	p.mu.Unlock()
	for _, w := range wires {
		w.cut()
	}
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut()
}
