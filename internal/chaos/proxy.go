package chaos

import (
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

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

type target struct{ network, address string }

// held keeps bytes back until the fault is over.
const held = -1

func newProxy(network, address string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, conns: map[net.Conn]struct{}{}}
	p.aim(network, address)
	go p.accept()
	return p, nil
}

// aim tells where connections go from now on.
func (p *proxy) aim(network, address string) { p.to.Store(&target{network, address}) }

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
			p.mu.Lock()
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
			p.mu.Unlock()
			go p.carry(server, client, &p.there)
			p.carry(client, server, &p.back)
		}()
	}
}

// carry copies one direction, and ends both with it.
func (p *proxy) carry(to, from net.Conn, disturbed *atomic.Int64) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			for disturbed.Load() == held && p.knows(from) {
				time.Sleep(time.Millisecond)
			}
			if pause := disturbed.Load(); pause > 0 {
				time.Sleep(time.Duration(pause))
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) knows(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.conns[conn]
	return ok
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
	}
	clear(p.conns)
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut()
}
