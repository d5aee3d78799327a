package number

import (
	"math/rand/v2"
	"testing"
)

// A plain number has the form that any cell like it has.
func TestPlainForm(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 9))
	const letters = "0012345..--,eE+ "
	for range 200_000 {
		cell := make([]byte, random.IntN(9))
		for i := range cell {
			cell[i] = letters[random.IntN(len(letters))]
		}
		form := PlainForm(cell)
		if want, sign := FormOf(cell); form != None && (form != want || (form == Decimal || form == OneGroup) && Signs[sign] != '.') {
			t.Fatalf("%q: %d, not %d with the sign %c", cell, form, want, Signs[sign])
		}
		if Plain(cell) && !Is(cell) {
			t.Fatalf("%q is plain, and no number", cell)
		}
	}
}
