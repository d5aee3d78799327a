package load_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
)

func TestAtOnceFollowsTheUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u load.InFlight
		want := func(what string, want float64) {
			t.Helper()
			if got := u.AtOnce(); math.Abs(got-want) > 0.01 {
				t.Errorf("%s: %.3f at once, want %.3f", what, got, want)
			}
		}
		want("before the first", 0)
		end, other := u.Begin(), u.Begin()
		want("two just begun", 0)
		time.Sleep(3 * time.Second)
		want("two for long", 2)
		other()
		time.Sleep(300 * time.Millisecond)
		want("one less for 300 ms", 1+math.Exp(-1))
		end()
		time.Sleep(3 * time.Second)
		want("none for long", 0)

		// One upload of 10 ms in every 20 ms is half of an upload, however often
		// anybody looks.
		for i := range 300 {
			end := u.Begin()
			time.Sleep(10 * time.Millisecond)
			end()
			time.Sleep(10 * time.Millisecond)
			if i%7 == 0 {
				u.AtOnce()
			}
		}
		want("half of the time", 0.49)
	})
}

func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u load.InFlight
		took := func(ctx context.Context, patience time.Duration) time.Duration {
			begun := time.Now()
			u.Yield(ctx, patience)
			return time.Since(begun)
		}
		if d := took(t.Context(), time.Minute); d != 0 {
			t.Errorf("with no upload it waited %v", d)
		}
		end := u.Begin()
		time.Sleep(time.Second)
		if d := took(t.Context(), 2*time.Second); d != 2*time.Second {
			t.Errorf("beside an upload without an end it waited %v, want its patience of 2 s", d)
		}
		if d := took(t.Context(), -time.Second); d != 0 {
			t.Errorf("without patience it waited %v", d)
		}
		time.AfterFunc(time.Second, end)
		if d := took(t.Context(), time.Minute); d < time.Second || d > 1600*time.Millisecond {
			t.Errorf("for an upload of 1 s more it waited %v", d)
		}
		defer u.Begin()()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		if d := took(ctx, time.Minute); d != 250*time.Millisecond {
			t.Errorf("stopped after 250 ms it went on after %v", d)
		}
	})
}

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u load.InFlight
		if d := u.Rest(time.Second); d != 0 {
			t.Errorf("with no upload it rests %v", d)
		}
		defer u.Begin()()
		time.Sleep(10 * time.Second)
		if d := u.Rest(10 * time.Millisecond).Round(time.Microsecond); d != 60*time.Millisecond {
			t.Errorf("beside one upload work of 10 ms rests %v, want 60 ms", d)
		}
		defer u.Begin()()
		time.Sleep(10 * time.Second)
		if d := u.Rest(10 * time.Millisecond); d != 100*time.Millisecond {
			t.Errorf("beside two uploads work of 10 ms rests %v, want the most, 100 ms", d)
		}
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := load.NewGate(2, 100)
		enter := func(bytes int64) func() {
			t.Helper()
			leave, err := g.Enter(t.Context(), bytes)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		refused := func(why string, bytes int64) {
			t.Helper()
			begun := time.Now()
			_, err := g.Enter(t.Context(), bytes)
			f := fault.As(err)
			if f == nil || f.Kind != fault.Unavailable || f.RetryAfter != time.Second {
				t.Errorf("%s: %v, want Unavailable and when to try again", why, err)
			}
			if waited := time.Since(begun); waited != 10*time.Second {
				t.Errorf("%s: it was turned away after %v, want 10 s", why, waited)
			}
		}
		first := enter(70)
		refused("not enough memory", 31)
		second := enter(30) // what was turned away left nothing taken
		refused("no place", 0)
		second()
		time.AfterFunc(time.Second, first)
		enter(1000)() // larger than the gate: waits until it is alone

		defer enter(100)()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Enter(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gave up got %v", err)
		}
	})
}

// Large uploads of others keep neither the memory nor the places that the bridge
// needs, and one caller's large ones do not keep another's out.
func TestGateIsFairByCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mb = 1 << 20
		g := load.NewGate(8, 96*mb)
		as := func(caller string) context.Context { return load.WithCaller(t.Context(), caller) }
		var leave []func()
		inside := map[string]int{}
		enter := func(caller string, bytes int64) {
			go func() {
				out, err := g.Enter(as(caller), bytes)
				if err != nil {
					t.Error(err)
					return
				}
				inside[caller]++
				leave = append(leave, out)
			}()
			synctest.Wait()
		}
		for range 4 {
			enter("first", 24*mb)
		}
		if inside["first"] != 2 {
			t.Errorf("one caller has %d large uploads in, want half of the memory", inside["first"])
		}
		for range 4 {
			enter("second", 24*mb)
		}
		if inside["second"] != 2 {
			t.Errorf("another one has %d in, want the other half", inside["second"])
		}
		for range 4 {
			enter("bridge", mb)
		}
		if inside["bridge"] != 4 {
			t.Errorf("%d of the bridge's uploads are in, want all 4", inside["bridge"])
		}
		for len(leave) > 0 {
			out := leave[0]
			leave = leave[1:]
			out()
			synctest.Wait()
		}
		if inside["first"] != 4 || inside["second"] != 4 {
			t.Errorf("%v are through, want all", inside)
		}
	})
}
