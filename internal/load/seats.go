package load

import (
	"container/list"
	"sync"
)

// Seats are a bounded number of connections that stay open. Where all are taken,
// whoever has the most loses the one of his that he took first, to whoever comes:
// with a flood of sockets one drives out one's own. An account or a key keeps a
// sixteenth of the seats, whatever others take.
type Seats struct {
	places, kept int

	mu    sync.Mutex
	taken int
	rows  map[string]*list.List // of *Seat by caller, the first one taken first
}

// Seat is one that is taken.
type Seat struct {
	seats  *Seats
	caller string
	oust   func()
	at     *list.Element // nil once it is given up or lost
}

// NewSeats has room for so many connections.
func NewSeats(places int) *Seats {
	return &Seats{places: places, kept: max(places/16, 4), rows: map[string]*list.List{}}
}

// Take takes a seat as the caller; oust is called when it is lost to another. It
// returns nil where nobody has one to lose. Call Leave.
func (s *Seats) Take(caller string, oust func()) *Seat {
	t := &Seat{seats: s, oust: oust}
	s.mu.Lock()
	var lost *Seat
	if s.taken >= s.places {
		if lost = s.spare(); lost == nil {
			s.mu.Unlock()
			return nil
		}
		lost.leave()
	}
	s.taken++
	t.sit(caller)
	s.mu.Unlock()
	if lost != nil {
		lost.oust()
	}
	return t
}

// As counts the seat as another caller's, who is known by now.
func (t *Seat) As(caller string) {
	t.seats.mu.Lock()
	defer t.seats.mu.Unlock()
	if t.at == nil || caller == t.caller {
		return
	}
	t.leave()
	t.seats.taken++
	t.sit(caller)
}

// Leave gives the seat up. It may have been lost before.
func (t *Seat) Leave() {
	t.seats.mu.Lock()
	defer t.seats.mu.Unlock()
	t.leave()
}

// Taken returns how many seats are.
func (s *Seats) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// spare finds the seat to be lost.
func (s *Seats) spare() *Seat {
	var longest *list.List
	for caller, row := range s.rows {
		if (stranger(caller) || row.Len() > s.kept) && (longest == nil || row.Len() > longest.Len()) {
			longest = row
		}
	}
	if longest == nil {
		return nil
	}
	return longest.Front().Value.(*Seat)
}

func (t *Seat) sit(caller string) {
	row := t.seats.rows[caller]
	if row == nil {
		row = list.New()
		t.seats.rows[caller] = row
	}
	t.caller, t.at = caller, row.PushBack(t)
}

func (t *Seat) leave() {
	if t.at == nil {
		return
	}
	row := t.seats.rows[t.caller]
	if row.Remove(t.at); row.Len() == 0 {
		delete(t.seats.rows, t.caller)
	}
	t.at = nil
	t.seats.taken--
}
