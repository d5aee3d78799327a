package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// help returns what the program says of each of its commands, by the command.
var help = struct {
	once sync.Once
	all  map[string]string
	text string
}{}

func helpOf(t *testing.T) (map[string]string, string) {
	t.Helper()
	help.once.Do(func() {
		help.all = map[string]string{}
		var ask func(words ...string)
		ask = func(words ...string) {
			out, err := exec.Command(program(t), append(words, "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%v --help: %v\n%s", words, err, out)
			}
			help.all[strings.Join(words, " ")] = string(out)
			help.text += string(out)
			_, list, _ := strings.Cut(string(out), "\nCommands:\n")
			for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z -]*?)(?:  | [\[<(]|$)`).FindAllStringSubmatch(list, -1) {
				next := strings.Fields(m[1])
				if key := strings.Join(next, " "); key != "" && help.all[key] == "" && len(next) > len(words) {
					ask(next...)
				}
			}
		}
		ask()
		help.all["healthcheck"], _ = func() (string, error) { // hidden from the list
			out, err := exec.Command(program(t), "healthcheck", "--help").CombinedOutput()
			return string(out), err
		}()
		help.text += help.all["healthcheck"]
	})
	return help.all, help.text
}

// TestDocumentedNames holds every command, flag and variable that a document or
// a file of deploy names in passing to the program.
func TestDocumentedNames(t *testing.T) {
	t.Parallel()
	commands, all := helpOf(t)
	if len(commands) < 20 {
		t.Fatalf("only %d commands found", len(commands))
	}
	scripts := readFile(t, "scripts/db.sh") + readFile(t, "scripts/test.sh") + readFile(t, "Makefile") + readFile(t, "docker-compose.yml") +
		readFile(t, "test/browser/browser_test.go") + readFile(t, "internal/dbtest/server.go")
	files := documents(t)
	for _, name := range []string{"docker-compose.yml", "Dockerfile", "deploy/telemetryd.service", "Makefile"} {
		files[name] = readFile(t, name)
	}
	variables := regexp.MustCompile(`TELEMETRYD_[A-Z_]*[A-Z]`)
	inline := regexp.MustCompile("`([^`\n]+)`")
	called := regexp.MustCompile(`^(?:\$ )?(?:\S+=\S+ )*(?:bin/)?telemetryd ((?:[a-z-]+ ?)+)?(.*)$`)
	flags := regexp.MustCompile(`(?:^| )(--[a-z][a-z-]*)`)
	for name, text := range files {
		for _, variable := range variables.FindAllString(text, -1) {
			if !strings.Contains(all, "$"+variable) && !strings.Contains(scripts, `"`+variable+`"`) && !strings.Contains(scripts, "${"+variable) {
				t.Errorf("%s names %s, which nothing reads", name, variable)
			}
		}
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			code := m[1]
			call := called.FindStringSubmatch(code)
			known := all
			if call != nil {
				words := strings.Fields(call[1])
				for len(words) > 0 && commands[strings.Join(words, " ")] == "" {
					words = words[:len(words)-1] // what follows is an argument
				}
				if len(words) == 0 && call[1] != "" {
					t.Errorf("%s: there is no command %q", name, code)
					continue
				}
				known = commands[strings.Join(words, " ")]
			} else if !strings.HasPrefix(code, "--") {
				continue
			}
			for _, flag := range flags.FindAllStringSubmatch(code, -1) {
				if !regexp.MustCompile(regexp.QuoteMeta(flag[1]) + `\b`).MatchString(known) {
					t.Errorf("%s: %q: there is no flag %s", name, code, flag[1])
				}
			}
		}
	}
}

// TestDocumentedLinks follows the links between the documents.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	slug := func(title string) string {
		title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(title), "")
		return strings.ReplaceAll(title, " ", "-")
	}
	for name, text := range texts {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			file, anchor, hasAnchor := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
				t.Errorf("%s: %s is not there", name, m[1])
				continue
			}
			if !hasAnchor {
				continue
			}
			titles := regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(texts[target], -1)
			if !slices.ContainsFunc(titles, func(title []string) bool { return slug(title[1]) == anchor }) {
				t.Errorf("%s: %s has no headline #%s", name, target, anchor)
			}
		}
	}
}

type composeService struct {
	Image       string
	Build       map[string]any
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	Profiles    []string
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

// TestComposeFile checks what a run of docker compose would: there is not
// always an engine where the tests run.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	text := readFile(t, "docker-compose.yml")
	var file struct {
		Services map[string]composeService
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	dockerfile := readFile(t, "Dockerfile")
	header, _, _ := strings.Cut(text, "\nservices:")
	_, all := helpOf(t)
	for name, s := range file.Services {
		if (s.Image == "") == (s.Build == nil) {
			t.Errorf("%s: one of image and build", name)
		}
		if s.Image != "" && !regexp.MustCompile(`^[a-z0-9/]+:v?\d+\.\d+\.\d+(-pg\d+)?$`).MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned to a version", name, s.Image)
		}
		for other, need := range s.DependsOn {
			target, ok := file.Services[other]
			if !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
			checked := len(target.Healthcheck.Test) > 0 || target.Build != nil && strings.Contains(dockerfile, "\nHEALTHCHECK ")
			if need.Condition == "service_healthy" && !checked {
				t.Errorf("%s waits for the health of %s, which nobody checks", name, other)
			}
			if len(target.Profiles) > 0 && !slices.Equal(target.Profiles, s.Profiles) {
				t.Errorf("%s depends on %s of another profile", name, other)
			}
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join("../..", source)); err != nil {
					t.Errorf("%s mounts %s, which is not there", name, source)
				}
			} else if _, ok := file.Volumes[source]; !ok {
				t.Errorf("%s mounts the volume %s, which is not declared", name, source)
			}
		}
		for _, port := range s.Ports {
			if name != "telemetryd" && !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s opens %s to the network", name, port)
			}
		}
		if s.Build != nil {
			for variable := range s.Environment {
				if variable != "PGPASSWORD" && !strings.Contains(all, "$"+variable) {
					t.Errorf("%s sets %s, which telemetryd does not read", name, variable)
				}
			}
		}
	}
	// Whatever can be set is said at the top, and has a default.
	for _, m := range regexp.MustCompile(`\$?\$\{?([A-Z_]+)(:-[^}]+)?\}?`).FindAllStringSubmatch(text[len(header):], -1) {
		if strings.HasPrefix(m[0], "$$") {
			continue // the container's own
		}
		if m[2] == "" {
			t.Errorf("%s has no default", m[1])
		}
		if !strings.Contains(header, m[1]) {
			t.Errorf("%s is not explained at the top", m[1])
		}
	}
	// The same image is the same version everywhere.
	if images := regexp.MustCompile(`timescale/timescaledb:\S+`).FindAllString(text, -1); len(slices.Compact(slices.Sorted(slices.Values(images)))) != 1 {
		t.Errorf("several versions of TimescaleDB: %v", images)
	}
	// A setting that the server does not know keeps it from starting.
	pool := dbtest.New(t)
	settings := 0
	for _, argument := range file.Services["db"].Command {
		name, _, ok := strings.Cut(strings.TrimPrefix(argument, "-c"), "=")
		if !ok {
			continue
		}
		settings++
		var known bool
		if err := pool.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_settings WHERE lower(name) = $1", name).Scan(&known); err != nil || !known {
			t.Errorf("the database has no setting %s (%v)", name, err)
		}
	}
	if settings < 5 {
		t.Errorf("only %d settings found", settings)
	}
}

// TestDockerfile checks what a build would use.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := readFile(t, "Dockerfile")
	image := regexp.MustCompile(`FROM golang:(\d+)\.(\d+)-`).FindStringSubmatch(text)
	wanted := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)`).FindStringSubmatch(readFile(t, "go.mod"))
	if image == nil || wanted == nil || image[1] != wanted[1] || fmt.Sprintf("%3s", image[2]) < fmt.Sprintf("%3s", wanted[2]) {
		t.Errorf("the image %v is too old for go.mod's %v", image, wanted)
	}
	if !strings.Contains(readFile(t, "Makefile"), "go build -trimpath -ldflags '$(LDFLAGS)'") || !strings.Contains(text, `go build -trimpath -ldflags "-s -w -X main.version=$VERSION"`) {
		t.Error("the image's program is built otherwise than that of make build")
	}
	commands, _ := helpOf(t)
	check := regexp.MustCompile(`HEALTHCHECK .*CMD \["/telemetryd", "([a-z]+)"\]`).FindStringSubmatch(text)
	if check == nil || !strings.HasPrefix(commands[check[1]], "Usage: telemetryd "+check[1]) {
		t.Errorf("the health check %v is no command", check)
	}
	// The build gets all that the program is made of, and nothing by accident.
	sent := strings.Fields(readFile(t, ".dockerignore"))
	if sent[0] != "*" {
		t.Error(".dockerignore does not begin by leaving everything out")
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}", "../../cmd/telemetryd").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		folder, _, _ := strings.Cut(strings.TrimPrefix(path, "github.com/ecovolt/telemetryd/"), "/")
		if !slices.Contains(sent, "!"+folder) {
			t.Errorf(".dockerignore leaves out %s, which holds %s", folder, path)
		}
	}
}

// TestUnit lets systemd read the unit, where it is installed.
func TestUnit(t *testing.T) {
	t.Parallel()
	text := readFile(t, "deploy/telemetryd.service")
	command := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`).FindStringSubmatch(text)
	commands, _ := helpOf(t)
	if command == nil || commands[command[2]] == "" {
		t.Fatalf("it starts %v", command)
	}
	// Its own stop must have time to drain, and its database after it.
	if !strings.Contains(text, "\nTimeoutStopSec=2min\n") {
		t.Error("the stop timeout is not as the drain needs it")
	}
	if unit, _, _ := strings.Cut(text, "\n[Service]"); !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") || !strings.Contains(text, "\nRestart=on-failure\n") {
		t.Error("systemd gives up after some failures")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not on this machine: the unit is not verified")
	}
	file := filepath.Join(t.TempDir(), "telemetryd.service")
	if err := os.WriteFile(file, []byte(strings.Replace(text, command[1], program(t), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), "telemetryd.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestAlerts checks the rules for Prometheus, and lets promtool do so where it is
// installed.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "deploy/prometheus/alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	handbook := readFile(t, "docs/operations.md")
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			if r.Alert == "" || r.Expr == "" || !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) ||
				r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s is not whole: %+v", r.Alert, r)
			}
			for _, metric := range regexp.MustCompile(`telemetryd_[a-z_]+`).FindAllString(r.Expr, -1) {
				if name := strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_count"); !strings.Contains(handbook, "`"+name+"`") {
					t.Errorf("%s: docs/operations.md does not say what %s is", r.Alert, name)
				}
			}
		}
	}
	if !strings.Contains(readFile(t, "deploy/prometheus/prometheus.yml"), "rule_files: [alerts.yml]") ||
		!strings.Contains(readFile(t, "docker-compose.yml"), ":/etc/prometheus/alerts.yml:ro") {
		t.Error("the stack's Prometheus has no alerts")
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on this machine: the rules are not tried")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
