package signal

import (
	"fmt"
	"math"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// pieceRecords is about how many records one statement reads where somebody wants to know how
// far it has come. A quarter as many say so four times as often, and take an eighth longer in all:
// each begins workers of its own, and looks for the records in an index.
const pieceRecords = 1_000_000

// pieces are what the run's window is read in.
func (r *run) pieces(records int) []rollup.Span {
	n := max(1, int(math.Round(float64(r.within(r.window.Length()))/float64(records))))
	list := make([]rollup.Span, n)
	for i := range list {
		at := func(i int) time.Time {
			return r.window.From.Add(r.window.Length() / time.Duration(n) * time.Duration(i))
		}
		list[i] = rollup.Span{From: at(i), To: at(i + 1)}
	}
	list[n-1].To = r.window.To
	return list
}

// looked is SQL of the records of a piece of the run that are looked at, and its parameters.
func (r *run) looked(piece rollup.Span) (where string, args []any) {
	where, args = "session = $1 AND time >= $2 AND time < $3", []any{r.session, piece.From, piece.To}
	if r.spans != nil {
		var from, to []time.Time
		for _, s := range r.spans {
			if !s.Clip(piece).Empty() {
				from, to = append(from, s.From), append(to, s.To)
			}
		}
		where += " AND time < ($5::timestamptz[])[width_bucket(time, $4::timestamptz[])]"
		args = append(args, from, to)
	}
	return where, args
}

// errTooLong says that what fits by its cost took too long all the same.
func errTooLong(err error) error {
	return &fault.Error{Kind: fault.Unavailable, Message: "the window holds more than can be counted in time; ask for a shorter one, or fewer runs", RetryAfter: timeout, Err: err}
}

// pass is the reading of all that is asked for, piece by piece.
type pass struct {
	tell      func(share float64)
	piece     int     // records of each; what nobody follows is read in one
	done, all float64 // records, by guess
}

// newPass begins one of records that are each read so many times.
func newPass(req *Request, runs []run, times, piece int) *pass {
	p := &pass{tell: req.Progress, piece: math.MaxInt}
	if p.tell != nil {
		p.piece = piece
	}
	for i := range runs {
		p.all += float64(times * runs[i].within(runs[i].window.Length()))
	}
	p.read(0)
	return p
}

// read notes that so many more records were read.
func (p *pass) read(records float64) {
	if p.done += records; p.tell != nil && p.all > 0 {
		p.tell(min(1, p.done/p.all))
	}
}

// each has work done with the pieces of a run, one after the other, in bounded time.
func (p *pass) each(r *run, work func(piece rollup.Span) error) error {
	if r.window.Empty() {
		return nil
	}
	begin, pieces := time.Now(), r.pieces(p.piece)
	for i, piece := range pieces {
		if took := time.Since(begin); took > timeout {
			return errTooLong(fmt.Errorf("%d of %d pieces were read in %v", i, len(pieces), took))
		}
		if err := work(piece); err != nil {
			return err
		}
		p.read(float64(r.within(piece.Length())))
	}
	return nil
}
