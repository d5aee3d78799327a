package kept_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ecovolt/telemetryd/timeseries/kept"
)

// Whatever is put and asked for, no more is kept than may be, the value of a key is
// the last that was put, and what was asked for last stays.
func TestValuesAreBounded(t *testing.T) {
	t.Parallel()
	const most = 1000
	k := kept.New[int](most)
	rng := rand.New(rand.NewPCG(6, 13))
	last, size := map[string]int{}, map[string]int{}
	for i := range 5000 {
		key, bytes := fmt.Sprintf("key %02d", rng.IntN(40)), rng.IntN(200)
		k.Put(key, i, bytes)
		if bytes += len(key); bytes <= most/8 {
			last[key], size[key] = i, bytes
			if v, ok := k.Get(key); !ok || v != i {
				t.Fatalf("%s was put and is %d, %v", key, v, ok)
			}
		}
		held := 0
		for key := range last {
			v, ok := k.Get(key)
			if ok && v != last[key] {
				t.Fatalf("%s is %d, want %d", key, v, last[key])
			}
			if ok {
				held += size[key]
			}
		}
		if held > most {
			t.Fatalf("%d bytes are kept", held)
		}
	}
}

func TestWhatIsAskedForStays(t *testing.T) {
	t.Parallel()
	k := kept.New[int](1000)
	k.Put("asked", 1, 95)
	for i := range 100 {
		k.Put(fmt.Sprintf("other%02d", i), i, 93)
		if _, ok := k.Get("asked"); !ok {
			t.Fatalf("it is gone after %d others", i+1)
		}
	}
	if _, ok := k.Get("other00"); ok {
		t.Error("what nobody asked for is kept")
	}
}
