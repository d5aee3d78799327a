package foreign

import (
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Cells are cut as encoding/csv cuts them, wherever the buffer ends.
func FuzzCells(f *testing.F) {
	for _, text := range []string{
		"a,b\nc,d\n", "a,\"b\"\"c\",\n", "\"a\nb\",c\r\nd,e", "\"a\r\",\n", "a\r\n", "\"a\"\r", "a,b\r", "\"\",\"\"", "\n\na\n", "\"x\"y\n", "\"x", "a\"b,c\n", "\r", "\"\"\r\r\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := func(step int) (all [][]string, err error) {
			d := lines{src: strings.NewReader(text), step: step, sep: ','}
			for {
				err := d.next()
				if err == io.EOF {
					return all, nil
				}
				if err != nil {
					return all, err
				}
				var cells []string
				for _, cell := range d.cells {
					cells = append(cells, string(cell))
				}
				if len(cells) > 1 || cells[0] != "" {
					all = append(all, cells)
				}
			}
		}
		got, err := read(0)
		for step := 1; step < 8; step++ {
			if again, err2 := read(step); (err == nil) != (err2 == nil) || !cmp.Equal(got, again) {
				t.Fatalf("%q by %d bytes: %q, %v; whole: %q, %v", text, step, again, err2, got, err)
			}
		}
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		want, wantErr := r.ReadAll()
		if wantErr != nil {
			return // we take quotes in the middle of a cell as they are
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		// encoding/csv turns CR LF inside quotes into LF, and a cell "" on a line of its own is none of ours.
		var expect [][]string
		for _, cells := range want {
			if len(cells) > 1 || cells[0] != "" {
				expect = append(expect, cells)
			}
		}
		for _, cells := range got {
			for i := range cells {
				cells[i] = strings.ReplaceAll(cells[i], "\r\n", "\n")
			}
		}
		if diff := cmp.Diff(expect, got); diff != "" {
			t.Fatalf("%q: (-want +got)\n%s", text, diff)
		}
	})
}
