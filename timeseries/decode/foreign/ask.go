package foreign

import (
	"slices"
	"strings"
)

// options are the names of Options as parameters of a request have them.
var options = []string{"start", "decimal", "day_first", "timezone", "time_column", "map", "profile"}

// Option returns the command-line option of a parameter, if it is one of Options.
func Option(parameter string) (option string, ok bool) {
	return "--" + strings.ReplaceAll(parameter, "_", "-"), slices.Contains(options, parameter)
}

// ask returns an option, and a value of it or "", as the person who reads it
// would give it: --day-first or day_first=true.
func (p *plan) ask(parameter, value string) string {
	if p.opt.Parameters {
		if value == "" {
			return parameter
		}
		return parameter + "=" + value
	}
	option, _ := Option(parameter)
	switch {
	case value == "false":
		return strings.Replace(option, "--", "--no-", 1)
	case value == "" || value == "true":
		return option
	case strings.ContainsAny(value, "= [("):
		return option + " '" + value + "'"
	}
	return option + " " + value
}
