package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

// An upload of many records is stored in one transaction, which holds its
// sessions. A client that sends slowly must not hold them for as long as it
// sends: the bridge posts to the same session. So a body is received whole
// before the transaction begins; what does not fit into a little memory goes
// to a temporary file, when it is its turn: callers share the folder. Decoding
// begins at once all the same.

const (
	slabBytes = 128 << 10
	// spoolSlabs is how much of one body is kept in memory.
	spoolSlabs = 32
	// spoolMemory is how much of all bodies is kept in memory.
	spoolMemory = 8 << 20
	// spoolFiles is how many bodies go to files at once, and spoolPatience how long
	// one waits for that, in front of what it has sent.
	spoolFiles    = 8
	spoolPatience = 30 * time.Second
	// lastPieces is how long a body is received that is not wanted any more.
	lastPieces = 100 * time.Millisecond
	// lockedPatience is how long, in sum, a client may keep an upload waiting
	// that holds its sessions. Only where no temporary file can be made.
	lockedPatience = 5 * time.Second
)

// spool receives a body in the background and gives it to one reader.
type spool struct {
	ctx    context.Context // whose caller takes the space
	giveUp func()          // ends ctx
	src    io.Reader
	limit  int64
	space  spoolSpace
	stop   func() // makes a pending read of src return
	done   chan struct{}

	mu       sync.Mutex
	changed  *sync.Cond
	slabs    [][]byte // received and not yet read, in front of the file
	at       int      // how much of slabs[0] was read
	held     int64    // bytes taken of memory
	inMemory int64    // how much of the body went to slabs
	file     *os.File
	onDisk   int64 // bytes taken of the folder
	size     int64 // received
	read     int64 // given to the reader
	err      error // why receiving ended; io.EOF at the end of the body
	direct   bool  // there is no file: what is not read is not received
	locked   bool  // the reader holds its sessions
	starved  time.Duration
	closed   bool
}

var slabPool = sync.Pool{New: func() any { return new([slabBytes]byte) }}

// spoolSpace is where bodies go, all of them together.
type spoolSpace struct {
	dir    string
	memory *semaphore.Weighted
	// turns are the bodies that go to files at once, and disk the bytes of those.
	turns *load.Queue
	disk  *load.Budget
}

// newSpoolSpace takes the most bytes that the files in a folder may have.
func newSpoolSpace(dir string, disk int64) spoolSpace {
	return spoolSpace{
		dir: dir, memory: semaphore.NewWeighted(spoolMemory), turns: load.NewQueue(spoolFiles, spoolFiles/2-1, spoolPatience), disk: load.NewBudget(disk),
	}
}

// newSpool begins to receive a body, on behalf of the context's caller. stop must
// make reads of src return.
func newSpool(ctx context.Context, src io.Reader, limit int64, space spoolSpace, stop func()) *spool {
	s := &spool{src: src, limit: limit, space: space, stop: stop, done: make(chan struct{})}
	s.ctx, s.giveUp = context.WithCancel(ctx)
	s.changed = sync.NewCond(&s.mu)
	go func() {
		defer close(s.done)
		err := s.receive()
		s.mu.Lock()
		s.err = err
		s.changed.Broadcast()
		s.mu.Unlock()
	}()
	return s
}

func (s *spool) receive() error {
	for {
		into, err := s.room()
		if err != nil {
			return err
		}
		n, err := s.src.Read(into)
		if n > 0 && s.file != nil {
			if !s.space.disk.Take(load.Caller(s.ctx), int64(n)) {
				return noRoom(nil)
			}
			s.onDisk += int64(n)
			if _, writeErr := s.file.Write(into[:n]); writeErr != nil {
				return noRoom(writeErr)
			}
		}
		s.mu.Lock()
		s.size += int64(n)
		if s.file == nil {
			s.inMemory += int64(n)
			last := len(s.slabs) - 1
			s.slabs[last] = s.slabs[last][:len(s.slabs[last])+n]
		}
		tooLong := s.size > s.limit
		s.changed.Broadcast()
		s.mu.Unlock()
		switch {
		case tooLong:
			return fault.New(fault.TooLarge, "the body is longer than %d bytes", s.limit)
		case err == io.EOF:
			return err
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fault.New(fault.Invalid, "the body came slower than %d bytes/s for %v", slowest, grace)
		case err != nil:
			return err
		}
	}
}

func noRoom(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Message: "there is no room for the upload; try again later", RetryAfter: 10 * time.Second, Err: err}
}

// room returns where to put the next piece.
func (s *spool) room() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return nil, errClientGone
		}
		if s.file != nil {
			return s.slabs[len(s.slabs)-1][:slabBytes], nil // the last slab is its buffer
		}
		if n := len(s.slabs); n > 0 && len(s.slabs[n-1]) < slabBytes {
			return s.slabs[n-1][len(s.slabs[n-1]):slabBytes], nil
		}
		// One slab is everybody's right.
		if len(s.slabs) == 0 {
			s.slabs = append(s.slabs, slabPool.Get().(*[slabBytes]byte)[:0])
			continue
		}
		if len(s.slabs) < spoolSlabs && s.space.memory.TryAcquire(slabBytes) {
			s.held += slabBytes
			s.slabs = append(s.slabs, slabPool.Get().(*[slabBytes]byte)[:0])
			continue
		}
		if !s.direct {
			// Until it is its turn the client waits with the rest.
			s.mu.Unlock()
			err := s.space.turns.Enter(s.ctx)
			s.mu.Lock()
			if err != nil {
				return nil, err
			}
			file, err := os.CreateTemp(s.space.dir, "telemetryd-upload-*")
			if err == nil {
				_ = os.Remove(file.Name()) // it goes with its last user
				s.file = file
				s.slabs = append(s.slabs, slabPool.Get().(*[slabBytes]byte)[:0])
				continue
			}
			s.space.turns.Leave(load.Caller(s.ctx))
			s.direct = true
			s.changed.Broadcast()
			continue // the reader may have read all of it meanwhile
		}
		s.changed.Wait() // until something was read
	}
}

// Read waits for the client where it must.
func (s *spool) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.read == s.size {
		if s.err != nil {
			return 0, s.failure()
		}
		if !s.locked {
			s.changed.Wait()
			continue
		}
		since := time.Now()
		wake := time.AfterFunc(lockedPatience-s.starved, s.wake)
		s.changed.Wait()
		wake.Stop()
		if s.starved += time.Since(since); s.starved >= lockedPatience {
			return 0, fault.Busy("the body comes too slowly for an upload of its size; send it in smaller ones")
		}
	}
	if s.read >= s.inMemory {
		most := min(int64(len(p)), s.size-s.read)
		n, err := s.file.ReadAt(p[:most], s.read-s.inMemory)
		s.read += int64(n)
		if err != nil && err != io.EOF {
			return n, fmt.Errorf("read the spooled body: %w", err)
		}
		return n, nil
	}
	n := copy(p, s.slabs[0][s.at:])
	s.at += n
	s.read += int64(n)
	if s.at == slabBytes {
		s.drop()
	}
	return n, nil
}

// drop releases the slab that was read.
func (s *spool) drop() {
	slabPool.Put((*[slabBytes]byte)(s.slabs[0][:slabBytes]))
	s.slabs, s.at = s.slabs[1:], 0
	if s.held > 0 {
		s.held -= slabBytes
		s.space.memory.Release(slabBytes)
	}
	s.changed.Broadcast()
}

// wake has whoever waits look again. Without the lock it could come after their
// look and before their Wait, and be lost.
func (s *spool) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// failure explains why receiving ended.
func (s *spool) failure() error {
	if s.err == io.EOF || fault.As(s.err) != nil {
		return s.err
	}
	return bodyFault(fmt.Errorf("%w: %w", errClientGone, s.err))
}

// arrived waits until the body is there, as far as there is a place to put it.
// From then on its reader does not wait long for the client.
func (s *spool) arrived(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.direct {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.changed.Wait()
	}
	s.locked = true
	if s.err == nil || s.err == io.EOF {
		return nil
	}
	return s.failure()
}

// received is how long the body is, as it was sent; -1 while that is not known.
func (s *spool) received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != io.EOF {
		return -1
	}
	return s.size
}

// Close ends receiving and releases everything.
func (s *spool) Close() error {
	select { // what is on its way already spares the client a broken connection
	case <-s.done:
	case <-time.After(lastPieces):
	}
	s.giveUp()
	s.mu.Lock()
	s.closed = true
	if s.err == nil {
		s.stop()
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.done
	for len(s.slabs) > 0 {
		s.drop()
	}
	if s.file == nil {
		return nil
	}
	s.space.disk.Give(load.Caller(s.ctx), s.onDisk)
	s.space.turns.Leave(load.Caller(s.ctx))
	return s.file.Close()
}
