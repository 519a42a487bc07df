package syncer

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

func scrape(m *metrics) string {
	recorder := httptest.NewRecorder()
	m.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return recorder.Body.String()
}

func TestMetricsOfALoadBalancerThatWasNeverReached(t *testing.T) {
	m := newMetrics()
	m.watch([]LoadBalancer{{Address: "lb1:22"}})
	const never = `ha_syncer_last_success_timestamp_seconds{load_balancer="lb1:22"} 0`
	if got := scrape(m); !strings.Contains(got, never) {
		t.Errorf("%s is not in\n%s", never, got)
	}
	m.saw("lb1:22", haproxyWith(map[int]string{1: "up"}))
	if got := scrape(m); !strings.Contains(got, "ha_syncer_backend_servers{") {
		t.Errorf("no servers are in\n%s", got)
	}
	m.saw("lb1:22", nil)
	if got := scrape(m); strings.Contains(got, "ha_syncer_backend_servers{") {
		t.Errorf("servers that nobody sees are in\n%s", got)
	}
}

// full is what a syncer serves that has seen everything.
func full() string {
	m := newMetrics()
	const lb = "10.10.4.10:22"
	for _, r := range []result{success, refused} {
		m.synced(lb, outcome{result: r}, 0, time.Now())
	}
	m.saw(lb, haproxyWith(map[int]string{1: "up"}))
	m.certified(lb, &wire.Certificate{})
	m.knows(members(1))
	m.restarts.WithLabelValues(lb).Inc()
	return scrape(m)
}

// TestAlertsAndDashboardAskForMetricsThatThereAre holds what reads the metrics to their names.
func TestAlertsAndDashboardAskForMetricsThatThereAre(t *testing.T) {
	have := full()
	for _, file := range []string{"prometheusrule/prometheusrule.yaml", "dashboard/ha-syncer.json"} {
		text, err := os.ReadFile("../manifests/components/" + file)
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`ha_syncer_[a-z_]+`).FindAllString(string(text), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range asked {
			if !strings.Contains(have, "\n"+name+"{") && !strings.Contains(have, "\n"+name+" ") {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
	}
}

// TestAlertsAreTestedWithSeriesThatThereAre holds the series of manifests/testdata/alerts.yaml to those that a syncer serves,
// but for the pod's name, which Prometheus adds, and for which load balancer it is.
func TestAlertsAreTestedWithSeriesThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../manifests/testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	have := full()
	series := regexp.MustCompile(`series: '(.*?),?pod="[ab]"\}'`).FindAllStringSubmatch(string(text), -1)
	if len(series) == 0 || len(series) != strings.Count(string(text), "{series:") {
		t.Fatalf("%d series are with a pod's name", len(series))
	}
	for _, match := range series {
		want := strings.TrimSuffix(match[1]+"}", "{}")
		if want = strings.ReplaceAll(want, "10.10.4.11", "10.10.4.10"); !strings.Contains(have, "\n"+want+" ") {
			t.Errorf("%s is not in\n%s", want, have)
		}
	}
}

// TestMetricsAreDocumented holds docs/operations.md to every metric and its labels, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(ha_syncer_[a-z_]+)` \\| (.*?) ?\\|").FindAllStringSubmatch(string(page), -1) {
		described[row[1]] = strings.NewReplacer("`", "", " ", "").Replace(row[2])
	}
	there := map[string]string{}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		newMetrics().registry.Describe(descriptions)
		close(descriptions)
	}()
	for d := range descriptions {
		if match := regexp.MustCompile(`fqName: "(ha_syncer_[a-z_]+)".*variableLabels: \{(.*)\}\}`).FindStringSubmatch(d.String()); match != nil {
			there[match[1]] = match[2]
		}
	}
	if len(there) == 0 || !maps.Equal(described, there) {
		t.Errorf("the page describes\n%v, there are\n%v", described, there)
	}
}
