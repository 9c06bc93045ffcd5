package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The alerts do what their own tests say, by the program that Prometheus has for that.
func TestAlertsFireAndKeepQuiet(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("SKIP promtool: %v", err)
	}
	for _, args := range [][]string{{"check", "rules", "daybook.rules.yml"}, {"test", "rules", "daybook.rules.test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...) //nolint:gosec // found in PATH
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The alerts ask for metrics that there are.
func TestAlertsNameMetricsThatAreThere(t *testing.T) {
	rules, err := os.ReadFile("prometheus/daybook.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../kit/runtime/lag.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`daybook_[a-z_]+`).FindAllString(string(rules), -1)
	for _, name := range named {
		if !strings.Contains(string(code), `"`+name+`"`) {
			t.Errorf("there is no metric %s", name)
		}
	}
	if len(named) == 0 {
		t.Error("no alert asks for a metric")
	}
}
