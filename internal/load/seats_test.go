package load_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ecovolt/telemetryd/internal/load"
)

// A flood of sockets drives out its own.
func TestSeats(t *testing.T) {
	seats := load.NewSeats(100)
	lost := map[string]int{}
	take := func(caller string) *load.Seat {
		var seat *load.Seat
		seat = seats.Take(caller, func() { lost[caller]++; seat.Leave() }) // as a connection does that ends
		return seat
	}
	var crew []*load.Seat
	for i := range 10 {
		take(load.Stranger(fmt.Sprint("visitor ", i)))
		seat := take(load.Stranger("pit")) // who it is shows later
		seat.As("account crew")
		crew = append(crew, seat)
	}
	for range 1000 {
		if take(load.Stranger("pit")) == nil {
			t.Fatal("turned away")
		}
	}
	// One that comes in the middle of it has the time to sign in.
	seat := take(load.Stranger("pit"))
	for range 70 {
		take(load.Stranger("pit"))
	}
	seat.As("account driver")
	for range 200 {
		take(load.Stranger("pit"))
		take("key of the bridge").Leave()
	}
	if len(lost) != 1 || seats.Taken() != 99 { // the bridge has left
		t.Errorf("lost %v, %d are taken", lost, seats.Taken())
	}
	// Nor does one account keep others out.
	for range 300 {
		take("account greedy")
	}
	if lost["account crew"]+lost["account driver"] != 0 || lost["account greedy"] < 200 {
		t.Errorf("lost %v", lost)
	}
	for _, seat := range append(crew, seat) {
		seat.Leave()
		seat.Leave()
	}
	if n := seats.Taken(); n < 88 || n > 89 {
		t.Errorf("%d are taken", n)
	}
	full := load.NewSeats(2)
	full.Take("account a", nil)
	full.Take("account b", nil)
	if full.Take("account c", nil) != nil {
		t.Error("took what others keep")
	}
}

// Whatever is done, no more are taken than there are, and each is lost once at most.
func TestSeatsAreBounded(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		places := 1 + rng.IntN(40)
		seats := load.NewSeats(places)
		callers := []string{load.Stranger("a"), load.Stranger("b"), "account a", "key b", ""}
		var open []*load.Seat
		for range 500 {
			caller := callers[rng.IntN(len(callers))]
			switch {
			case rng.IntN(3) > 0 || len(open) == 0:
				var seat *load.Seat
				if seat = seats.Take(caller, func() {
					i := slices.Index(open, seat)
					if i < 0 {
						t.Fatal("lost twice, or after it was given up")
					}
					open = slices.Delete(open, i, i+1)
				}); seat != nil {
					open = append(open, seat)
				} else if seats.Taken() < places {
					t.Fatal("turned away although there was room")
				}
			case rng.IntN(2) == 0:
				open[rng.IntN(len(open))].As(caller)
			default:
				i := rng.IntN(len(open))
				open[i].Leave()
				open = slices.Delete(open, i, i+1)
			}
			if seats.Taken() != len(open) || len(open) > places {
				t.Fatalf("seed %d: %d are taken of %d, %d counted", seed, len(open), places, seats.Taken())
			}
		}
	}
}
