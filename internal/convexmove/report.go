package convexmove

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Count says what became of one sort of things in the snapshot.
type Count struct {
	Found   int // in the snapshot
	Added   int // stored now
	Present int // there already
	Failed  int // that could not be moved; the problems say why
}

func (c *Count) add(d Count) {
	c.Found += d.Found
	c.Added += d.Added
	c.Present += d.Present
	c.Failed += d.Failed
}

// Report says what a move did, or would do.
type Report struct {
	DryRun bool
	// What there is to move. Sessions counts runs with records.
	Accounts, Sessions, Records, Notifications    Count
	Preferences, Views, Widgets, Acknowledgements Count
	LiveState                                     Count

	// Problems are what could not be moved or checked, each in a sentence.
	Problems []string
	// MoreProblems is how many further ones are not listed.
	MoreProblems int
	// Left are tables that were not moved, with the reason.
	Left []string
}

// maxReported bounds the problems that are listed.
const maxReported = 200

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == maxReported {
		r.MoreProblems++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// OK reports whether all that is in the snapshot is in the database now.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// WriteTo writes the report for people.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	counting := &countingWriter{w: w}
	table := tabwriter.NewWriter(counting, 0, 0, 2, ' ', tabwriter.AlignRight)
	if r.DryRun {
		fmt.Fprintf(table, "\tin snapshot\tunusable\t\n")
	} else {
		fmt.Fprintf(table, "\tin snapshot\tstored now\tstored before\tunusable\t\n")
	}
	for _, row := range []struct {
		name string
		Count
	}{
		{"accounts", r.Accounts}, {"sessions", r.Sessions}, {"records", r.Records}, {"driver notifications", r.Notifications},
		{"live state", r.LiveState}, {"dashboard preferences", r.Preferences}, {"dashboard views", r.Views},
		{"dashboard widgets", r.Widgets}, {"acknowledged alerts", r.Acknowledgements},
	} {
		if r.DryRun {
			fmt.Fprintf(table, "%s\t%d\t%d\t\n", row.name, row.Found, row.Failed)
		} else {
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", row.name, row.Found, row.Added, row.Present, row.Failed)
		}
	}
	if err := table.Flush(); err != nil {
		return counting.n, err
	}
	for _, left := range r.Left {
		fmt.Fprintf(counting, "not moved: %s\n", left)
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(counting, "problem: %s\n", problem)
	}
	if r.MoreProblems > 0 {
		fmt.Fprintf(counting, "and %d more problems\n", r.MoreProblems)
	}
	return counting.n, counting.err
}

type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}
