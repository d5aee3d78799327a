package e2e

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	step   = regexp.MustCompile(`^(\d+)\. .*\(([^()]+)\)\.$`)
	symbol = regexp.MustCompile("`(\\w+)\\.(\\w+)`")
)

// The walks of CONTRIBUTING.md name what there is, where it is: each step a
// function or a type, declared in the file beside it. A bare file name is in the
// folder of the file before.
func TestWalks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	var folder string
	var steps []int // of each walk
	for line := range strings.Lines(string(text)) {
		m := step.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		if m[1] == "1" {
			steps = append(steps, 0)
		}
		steps[len(steps)-1]++
		var code strings.Builder
		for name := range strings.SplitSeq(m[2], ", ") {
			if !strings.Contains(name, "/") {
				name = folder + "/" + name
			}
			files := []string{name}
			if folder = path.Dir(name); path.Ext(name) == "" {
				folder = name
				files, _ = filepath.Glob("../../" + name + "/*.go") // the pattern is sound
			} else {
				files[0] = "../../" + name
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Errorf("step %s: %v", m[1], err)
				}
				code.Write(text)
			}
		}
		named := symbol.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("this step names nothing: %s", line)
		}
		for _, s := range named {
			method := regexp.MustCompile(`(?m)^func \(\w+ \*?` + s[1] + `\) ` + s[2] + `\(`)
			member := regexp.MustCompile(`(?m)^(func|type) ` + s[2] + `\b`)
			if !method.MatchString(code.String()) && !(path.Base(folder) == s[1] && member.MatchString(code.String())) {
				t.Errorf("step %s: %s is not in %s", m[1], s[0], m[2])
			}
		}
	}
	if len(steps) != 2 || steps[0] > 12 || steps[1] > 10 {
		t.Errorf("walks of %d steps, want two: at most 12 to the table, at most 10 to a browser", steps)
	}
}
