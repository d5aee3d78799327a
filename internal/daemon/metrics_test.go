package daemon

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDashboardsNameRealMetrics holds Grafana's operations dashboard, the alerts
// and the operators' handbook to the metrics that the daemon shows.
func TestDashboardsNameRealMetrics(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../../deploy/grafana/dashboards/operations.json", "../../deploy/prometheus/alerts.yml", "../../docs/operations.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`telemetryd_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) < 5 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range names {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
			if !strings.Contains(string(source), `"`+name+`"`) {
				t.Errorf("%s names %s, which there is not", file, name)
			}
		}
	}
}
