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
)

func randomBytes(n int) []byte {
	random := rand.New(rand.NewPCG(51, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
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
				s := newSpool(iotest.HalfReader(bytes.NewReader(body)), 1<<30, dir, memory, func() {})
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
		return newSpool(src, limit, t.TempDir(), semaphore.NewWeighted(spoolMemory), func() {})
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
		s := newSpool(body, 1<<30, t.TempDir(), semaphore.NewWeighted(spoolMemory), stop)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.arrived(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("arrived: %v", err)
		}
		s.Close() // or the test hangs

		body, client := io.Pipe()
		s = newSpool(body, 1<<30, filepath.Join(t.TempDir(), "none"), semaphore.NewWeighted(0), func() { body.Close() })
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
	s := newSpool(body, 1<<30, t.TempDir(), semaphore.NewWeighted(spoolMemory), func() { body.Close() })
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
