package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table collects rows and writes them aligned.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, columns ...any) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.row(columns...)
	return t
}

func (t *table) row(cells ...any) {
	for _, c := range cells {
		switch v := c.(type) {
		case float64:
			fmt.Fprintf(t.w, "%.2f\t", v)
		default:
			fmt.Fprintf(t.w, "%v\t", v)
		}
	}
	fmt.Fprintln(t.w)
}

func (t *table) flush() { _ = t.w.Flush() }
