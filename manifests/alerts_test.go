//go:build alerts

package manifests

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
)

const alertCases = "testdata/alerts.yaml"

// TestAlerts has Prometheus' own promtool read the alerts, and hold them to the cases of testdata/alerts.yaml.
func TestAlerts(t *testing.T) {
	rules := objects[struct{ Spec json.RawMessage }](t, build(t, "prometheusrule"), "PrometheusRule")
	if len(rules) != 1 {
		t.Fatalf("%d PrometheusRules", len(rules))
	}
	cases, err := os.ReadFile(alertCases)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string][]byte{"rules.yaml": rules[0].Spec, "alerts.yaml": cases} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules.yaml"}, {"test", "rules", "alerts.yaml"}} {
		command := exec.CommandContext(t.Context(), "promtool", args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
}

// TestEveryAlertHasItsCases wants each alert in a case in which it fires, and in one in which it does not.
func TestEveryAlertHasItsCases(t *testing.T) {
	type rule struct {
		Spec struct {
			Groups []struct{ Rules []struct{ Alert string } }
		}
	}
	var cases struct {
		Tests []struct {
			Wanted []struct {
				Alert string `json:"alertname"`
				Fires []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	text, err := os.ReadFile(alertCases)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range cases.Tests {
		for _, w := range test.Wanted {
			fires[w.Alert] = fires[w.Alert] || len(w.Fires) > 0
			quiet[w.Alert] = quiet[w.Alert] || len(w.Fires) == 0
		}
	}
	for _, group := range objects[rule](t, build(t, "prometheusrule"), "PrometheusRule")[0].Spec.Groups {
		for _, r := range group.Rules {
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s fires in a case: %t, does not in one: %t", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
		}
	}
}
