package syncer

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// metrics are what Prometheus reads.
type metrics struct {
	registry    *prometheus.Registry
	syncs       *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	lastSuccess *prometheus.GaugeVec
	servers     *prometheus.GaugeVec
	controllers *prometheus.GaugeVec
	restarts    *prometheus.CounterVec
	certificate *prometheus.GaugeVec
	leader      prometheus.Gauge
}

func newMetrics() *metrics {
	const namespace, balancer = "ha_syncer", "load_balancer"
	m := &metrics{
		registry: prometheus.NewRegistry(),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "syncs_total", Help: "How often a load balancer was looked at and put right, by result.",
		}, []string{balancer, "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "sync_duration_seconds", Help: "How long that took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{balancer}),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "last_success_timestamp_seconds", Help: "When the load balancer was last known to be as desired; 0 while it was not.",
		}, []string{balancer}),
		servers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "backend_servers", Help: "Servers of a backend by state: up, down, drain or maint.",
		}, []string{balancer, "backend", "state"}),
		controllers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "controllers", Help: "Controllers that the API's objects tell of, by state: serving or leaving.",
		}, []string{"state"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "haproxy_restarts_total", Help: "How often HAProxy was seen to have been restarted or reloaded.",
		}, []string{balancer}),
		certificate: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "client_certificate_expiry_timestamp_seconds",
			Help: "When the client certificate of the load balancer's health checks ends; 0 when there is none.",
		}, []string{balancer}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "leader", Help: "1 while this replica is the one that changes load balancers.",
		}),
	}
	m.registry.MustRegister(m.syncs, m.duration, m.lastSuccess, m.servers, m.controllers, m.restarts, m.certificate, m.leader,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// watch begins to count for load balancers: of one that is never as desired, Prometheus is to know that, too.
func (m *metrics) watch(balancers []LoadBalancer) {
	for _, lb := range balancers {
		m.lastSuccess.WithLabelValues(lb.Address)
	}
}

func (m *metrics) synced(lb string, o outcome, took time.Duration, now time.Time) {
	m.syncs.WithLabelValues(lb, string(o.result)).Inc()
	m.duration.WithLabelValues(lb).Observe(took.Seconds())
	if o.result == success {
		m.lastSuccess.WithLabelValues(lb).Set(float64(now.UnixMilli()) / 1000)
	}
}

// saw takes note of what HAProxy is like; nil when that is not known.
func (m *metrics) saw(lb string, report *wire.Report) {
	m.servers.DeletePartialMatch(prometheus.Labels{"load_balancer": lb})
	if report == nil {
		return
	}
	m.certified(lb, report.Certificate)
	counts := map[string]map[string]int{}
	for _, s := range report.Servers {
		if counts[s.Backend] == nil {
			counts[s.Backend] = map[string]int{"up": 0, "down": 0, "drain": 0, "maint": 0}
		}
		if !s.Unused {
			counts[s.Backend][stateOf(s)]++
		}
	}
	for backend, states := range counts {
		for state, count := range states {
			m.servers.WithLabelValues(lb, backend, state).Set(float64(count))
		}
	}
}

// certified takes note of the certificate that a load balancer's health checks show.
func (m *metrics) certified(lb string, c *wire.Certificate) {
	switch {
	case c == nil:
		m.certificate.DeleteLabelValues(lb)
	case c.NotAfter.IsZero():
		m.certificate.WithLabelValues(lb).Set(0)
	default:
		m.certificate.WithLabelValues(lb).Set(float64(c.NotAfter.Unix()))
	}
}

func stateOf(s wire.ServerState) string {
	switch {
	case s.Up:
		return "up"
	case s.Admin == "ready":
		return "down"
	}
	return s.Admin
}

func (m *metrics) knows(controllers []Controller) {
	leaving := 0
	for _, c := range controllers {
		if c.Leaving {
			leaving++
		}
	}
	m.controllers.WithLabelValues("leaving").Set(float64(leaving))
	m.controllers.WithLabelValues("serving").Set(float64(len(controllers) - leaving))
}

// forget takes back what only who leads knows.
func (m *metrics) forget() {
	m.servers.Reset()
	m.certificate.Reset()
	m.controllers.Reset()
}
