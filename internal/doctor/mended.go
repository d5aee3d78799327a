package doctor

import (
	"fmt"
	"strings"
)

// mended are wrong results that a version of TimescaleDB mended, by its changelog,
// from the oldest version on that works here. Which version brought them it does
// not say.
var mended = []struct {
	in        string // the version
	community bool   // only of what the Apache edition has not
	what      string
}{
	{"2.18.2", true, "aggregates by group in descending order"},
	{"2.19.0", true, "missing values that read as a column's default"},
	{"2.26.0", false, "time compared with a value of another type"},
	{"2.26.2", false, "time compared with what changes meanwhile"},
	{"2.27.2", true, "aggregates by a column that is not selected"},
	{"2.28.0", false, "a date compared with a time"},
	{"2.28.3", true, "deletions with NULL in a list, functions that return NULL, stddev beside avg"},
	{"2.29.2", true, "IS NULL, and DISTINCT over days that are half in the columnstore"},
}

// mends warns of a version after which wrong results were mended.
func (f facts) mends() Finding {
	var what []string
	newest := ""
	for _, m := range mended {
		if f.extension != "" && !versionAtLeast(f.extension, m.in) && (f.license == "timescale" || !m.community) {
			what = append(what, fmt.Sprintf("%s (%s)", m.what, m.in))
			newest = m.in
		}
	}
	if newest == "" {
		return Finding{}
	}
	return Finding{
		Subject: "Wrong results", Level: Warning, Found: "queries that later versions of TimescaleDB mended: " + strings.Join(what, "; "),
		Advice: "Install TimescaleDB " + newest + " or newer; before, check what analysts find by such queries",
	}
}
