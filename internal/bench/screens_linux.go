package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// poller is the thread that reads from all screens: one wait and one read for
// what arrived, where goroutines would need a wake-up for each.
type poller struct {
	epoll   int
	stopped atomic.Bool
	done    chan struct{}
}

// openScreens opens n screens of the car's session, spread over instances. The
// last of them, stalled in number, never read.
func openScreens(urls []string, car *liveCar, n, stalled int) (*screens, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch sockets: %w", err)
	}
	s := &screens{car: car, poller: poller{epoll: epoll, done: make(chan struct{})}}
	byFD := map[int32]*screen{}
	for i := range n {
		one, err := openScreen(urls[i%len(urls)], car.session())
		if err == nil {
			s.all = append(s.all, one)
			byFD[int32(one.fd)] = one
			if i < n-stalled {
				err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, one.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(one.fd)})
			}
		}
		if err != nil {
			close(s.done)
			s.Close()
			return nil, fmt.Errorf("open screen %d: %w", i+1, err)
		}
	}
	go s.run(byFD)
	return s, nil
}

// openScreen connects and upgrades to a websocket.
func openScreen(url, session string) (*screen, error) {
	address, request := upgrade(url, session)
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	one := &screen{fd: fd}
	fail := func(err error) (*screen, error) {
		_ = syscall.Close(fd)
		return nil, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return fail(err)
	}
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return fail(err)
	}
	for {
		if err := one.receive(); err != nil {
			return fail(err)
		}
		head, rest, whole := bytes.Cut(one.buf, []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
			return fail(fmt.Errorf("no websocket: %.60s", head))
		}
		one.buf = slices.Clone(rest)
		return one, nil
	}
}

// receive reads once.
func (one *screen) receive() error {
	one.buf = slices.Grow(one.buf, 4<<10)
	for {
		n, err := syscall.Read(one.fd, one.buf[len(one.buf):cap(one.buf)])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = net.ErrClosed
		}
		if err != nil {
			return err
		}
		one.buf = one.buf[:len(one.buf)+n]
		return nil
	}
}

func (s *screens) run(byFD map[int32]*screen) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	events := make([]syscall.EpollEvent, 256)
	for !s.stopped.Load() {
		n, err := syscall.EpollWait(s.epoll, events, 50)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		for _, event := range events[:max(n, 0)] {
			one := byFD[event.Fd]
			err := one.receive()
			if err == nil {
				err = s.take(one, time.Now())
			}
			if err != nil { // it shows in the count
				_ = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, one.fd, nil)
			}
		}
	}
}

// Close ends them all. It may be called twice.
func (s *screens) Close() {
	if s.stopped.Swap(true) {
		return
	}
	<-s.done
	for _, one := range s.all {
		_ = syscall.Close(one.fd)
	}
	_ = syscall.Close(s.epoll)
}
