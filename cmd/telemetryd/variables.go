package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// notFlags are variables for what runs telemetryd: docker-compose.yml, which hands
// them on to it, and the tests.
var notFlags = []string{
	"TELEMETRYD_DB_PASSWORD", "TELEMETRYD_DB_PORT", "TELEMETRYD_PORT", "TELEMETRYD_GRAFANA_PORT", "TELEMETRYD_ANALYST_PASSWORD",
	"TELEMETRYD_VERSION", "TELEMETRYD_TEST_DATABASE_URL", "TELEMETRYD_TEST_CHROMIUM", "TELEMETRYD_TEST_RUN",
}

// unknownVariable is set and read by nothing.
type unknownVariable struct{ name, perhaps string }

// unknownVariables finds those of an environment, and what may be meant by them.
func unknownVariables(environment []string) (unknown []unknownVariable) {
	known := slices.Clone(notFlags)
	_ = kong.Visit(newParser(new(cli)).Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, flag.Envs...)
		}
		return next(nil)
	})
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "TELEMETRYD_") || slices.Contains(known, name) {
			continue
		}
		unknown = append(unknown, unknownVariable{name, slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })})
	}
	return unknown
}

// distance is how many letters must be added, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // of the letters of a so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
