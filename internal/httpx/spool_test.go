package httpx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

func randomBytes(n int) []byte {
	random := rand.New(rand.NewPCG(51, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func spaceIn(dir string, memory *semaphore.Weighted) spoolSpace {
	space := newSpoolSpace(dir, 1<<30)
	space.memory = memory
	return space
}

// A body comes out as it went in, whether it fits into memory, goes to a file,
// or has no file to go to; and nothing is left of it.
func TestSpool(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, slabBytes - 1, slabBytes, slabBytes + 1, spoolSlabs*slabBytes - 1, spoolSlabs * slabBytes, spoolSlabs*slabBytes + 1, 3*spoolSlabs*slabBytes + 77} {
		for name, budget := range map[string]int64{"memory": spoolMemory, "hardly any memory": slabBytes} {
			for place, dir := range map[string]string{"a folder": t.TempDir(), "no folder": filepath.Join(t.TempDir(), "none")} {
				body := randomBytes(size)
				memory := semaphore.NewWeighted(budget)
				s := newSpool(t.Context(), iotest.HalfReader(bytes.NewReader(body)), 1<<30, spaceIn(dir, memory), func() {})
				head := make([]byte, size/3)
				if _, err := io.ReadFull(s, head); err != nil {
					t.Fatal(err)
				}
				if err := s.arrived(t.Context()); err != nil {
					t.Errorf("%d bytes, %s, %s: %v", size, name, place, err)
				}
				rest, err := io.ReadAll(s)
				if err != nil || !bytes.Equal(append(head, rest...), body) || s.received() != int64(size) {
					t.Errorf("%d bytes, %s, %s: another body came out, %v", size, name, place, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if !memory.TryAcquire(budget) {
					t.Errorf("%d bytes, %s, %s: memory was not given back", size, name, place)
				}
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("%d files are left", len(left))
				}
			}
		}
	}
}

// A failure of the client's is told to whoever waits or reads.
func TestSpoolOfBrokenBody(t *testing.T) {
	t.Parallel()
	spoolOf := func(src io.Reader, limit int64) *spool {
		return newSpool(t.Context(), src, limit, newSpoolSpace(t.TempDir(), 1<<30), func() {})
	}
	broken := errors.New("broken")
	s := spoolOf(io.MultiReader(bytes.NewReader(randomBytes(10)), iotest.ErrReader(broken)), 100)
	if err := s.arrived(t.Context()); !errors.Is(err, errClientGone) || !errors.Is(err, broken) {
		t.Errorf("arrived: %v", err)
	}
	if got, err := io.ReadAll(s); len(got) != 10 || !errors.Is(err, errClientGone) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	s.Close()
	s = spoolOf(bytes.NewReader(randomBytes(101)), 100)
	if err := s.arrived(t.Context()); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too long: %v", err)
	}
	s.Close()
}

// Closing and giving up do not wait for a silent client, nor does a reader that
// holds sessions wait for long.
func TestSpoolOfSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, _ := io.Pipe()
		stop := func() { body.CloseWithError(os.ErrDeadlineExceeded) }
		s := newSpool(t.Context(), body, 1<<30, newSpoolSpace(t.TempDir(), 1<<30), stop)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.arrived(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("arrived: %v", err)
		}
		s.Close() // or the test hangs

		body, client := io.Pipe()
		s = newSpool(t.Context(), body, 1<<30, spaceIn(filepath.Join(t.TempDir(), "none"), semaphore.NewWeighted(0)), func() { body.Close() })
		go client.Write(make([]byte, slabBytes+1)) // of which there is room for one less
		if err := s.arrived(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if n, err := io.ReadAll(s); len(n) != slabBytes+1 || !fault.Is(err, fault.Unavailable) {
			t.Errorf("read %d bytes, %v", len(n), err)
		}
		if waited := time.Since(begun); waited != lockedPatience {
			t.Errorf("waited %v, want %v", waited, lockedPatience)
		}
		s.Close()
	})
}

// Giving up is noticed whenever it comes, even just before the wait for the body.
func TestSpoolIsGivenUpAtAnyTime(t *testing.T) {
	t.Parallel()
	body, client := io.Pipe()
	defer client.Close()
	s := newSpool(t.Context(), body, 1<<30, newSpoolSpace(t.TempDir(), 1<<30), func() { body.Close() })
	defer s.Close()
	for i := range 20_000 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range i % 512 {
				runtime.Gosched()
			}
			cancel()
		}()
		if err := s.arrived(ctx); !errors.Is(err, context.Canceled) { // or the test hangs
			t.Fatalf("arrived: %v", err)
		}
	}
}

// Who waits for a file, reads all that came meanwhile and then learns that there is
// none receives the rest all the same.
func TestSpoolThatWasReadBeforeItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := spaceIn(filepath.Join(t.TempDir(), "none"), semaphore.NewWeighted(0))
		space.turns = load.NewQueue(1, 1, spoolPatience)
		if err := space.turns.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		body := randomBytes(3*slabBytes + 1)
		s := newSpool(t.Context(), bytes.NewReader(body), 1<<30, space, func() {})
		head := make([]byte, slabBytes)
		if _, err := io.ReadFull(s, head); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		space.turns.Leave(load.Caller(t.Context()))
		rest, err := io.ReadAll(s) // or the test hangs
		if err != nil || !bytes.Equal(append(head, rest...), body) {
			t.Errorf("another body came out: %d bytes, %v", len(head)+len(rest), err)
		}
		s.Close()
	})
}

// However many bodies one caller sends, it has few files at once, and half of
// their bytes at most: another's upload is received meanwhile. All of it is given
// back.
func TestSpoolIsShared(t *testing.T) {
	t.Parallel()
	space := newSpoolSpace(t.TempDir(), 32<<20)
	space.memory = semaphore.NewWeighted(0) // all of a body but a slab goes to a file
	flood, bridge := load.WithCaller(t.Context(), "flood"), load.WithCaller(t.Context(), "bridge")
	receive := func(ctx context.Context, size int64) *spool {
		return newSpool(ctx, io.LimitReader(zeros{}, size), 1<<30, space, func() {})
	}
	var floods []*spool
	for range 20 {
		floods = append(floods, receive(flood, 10<<20))
	}
	// Three have files; of ten megabytes each, one of them fits into half.
	for refused := 0; refused < 2; runtime.Gosched() {
		refused = 0
		for _, s := range floods {
			s.mu.Lock()
			if fault.Is(s.err, fault.Unavailable) {
				refused++
			}
			s.mu.Unlock()
		}
	}
	files := 0
	for _, s := range floods {
		s.mu.Lock()
		if s.file != nil {
			files++
		}
		s.mu.Unlock()
	}
	if files > 3 {
		t.Errorf("one caller has %d files", files)
	}
	for range 3 {
		s := receive(bridge, 12<<20)
		if err := s.arrived(bridge); err != nil {
			t.Errorf("another's upload: %v", err)
		}
		s.Close()
	}
	for _, s := range floods {
		s.Close()
	}
	whole := receive(flood, 14<<20)
	if err := whole.arrived(flood); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	whole.Close()
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
