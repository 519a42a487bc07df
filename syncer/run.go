// Package syncer keeps the HAProxy of one or more load balancers equal to the control plane: it watches the API's
// objects, says what each HAProxy shall be, and has the helper on its host make it so.
package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	certificatesv1client "k8s.io/client-go/kubernetes/typed/certificates/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// clients are those of the API.
type clients struct {
	core    corev1client.CoreV1Interface
	leases  coordinationv1client.CoordinationV1Interface
	watched coordinationv1client.CoordinationV1Interface // of Leases, without a bound: it would cut off a watch
	objects dynamic.Interface
	signing certificatesv1client.CertificatesV1Interface
}

// requestTimeout bounds the requests for the Lease of the leader, who has to notice in time that its API server hangs, and
// for certificates.
const requestTimeout = 3 * time.Second

// Run keeps the load balancers right until ctx ends.
func Run(ctx context.Context, o Options) error {
	klog.SetSlogLogger(o.Log)
	servers := newAPIServers(o.APIPort, serviceAddress(os.Getenv), o.APIServers)
	c, err := connect(o, servers)
	if err != nil {
		return err
	}
	return run(ctx, o, c, servers, newSSHAccess(o.SSHKey, o.KnownHosts).open)
}

// serviceAddress is that of kubernetes.default, which leads through the load balancer.
func serviceAddress(env func(string) string) string {
	host, port := env("KUBERNETES_SERVICE_HOST"), env("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

func connect(o Options, servers *apiServers) (*clients, error) {
	config := &rest.Config{
		Host:            "https://" + o.APIServerName,
		BearerTokenFile: filepath.Join(o.ServiceAccount, "token"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(o.ServiceAccount, "ca.crt"), ServerName: o.APIServerName},
		UserAgent:       "ha-syncer",
		Dial:            servers.DialContext,
		// What several load balancers tell at the same time must not hold up the next change. The API server has limits.
		QPS: -1,
	}
	config.Wrap(servers.wrap)
	fail := func(err error) (*clients, error) { return nil, fmt.Errorf("making a client of the API: %w", err) }
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	quick := rest.CopyConfig(config)
	quick.Timeout = requestTimeout
	leases, err := coordinationv1client.NewForConfig(quick)
	if err != nil {
		return fail(err)
	}
	signing, err := certificatesv1client.NewForConfig(quick)
	if err != nil {
		return fail(err)
	}
	watched, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	return &clients{core: core, leases: leases, watched: watched, objects: objects, signing: signing}, nil
}

// run wires the parts and runs them.
func run(ctx context.Context, o Options, c *clients, servers *apiServers, open func(context.Context, LoadBalancer) (helper, error)) error {
	m := newMetrics()
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.core.Events("")})
	events := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "ha-syncer"})
	status := newTeller(c.core.ConfigMaps(o.Namespace), events, o)
	asked := &gate{
		port: o.APIPort, serverName: o.APIServerName,
		caFile: filepath.Join(o.ServiceAccount, "ca.crt"), tokenFile: filepath.Join(o.ServiceAccount, "token"),
	}

	// Who leads is woken by every change.
	var leader atomic.Pointer[loop]
	wake := func() {
		if l := leader.Load(); l != nil {
			l.wake()
		}
	}
	var truth *source
	truth = newSource(c.core.Nodes(), c.objects, o.Family, func() {
		if controllers, known := truth.controllers(); known {
			servers.keep(append(addressesOf(controllers), o.APIServers...))
		}
		wake()
	})
	plugin := newOperation(wake)
	controllers := func() ([]Controller, bool) {
		controllers, known := truth.controllers()
		return controllers, known && plugin.known()
	}
	shown := newPage(o, controllers)
	looks := &health{}
	lead := func(ctx context.Context) {
		l := &loop{
			options: o, open: open, controllers: controllers, held: plugin.held, ask: asked.ask, metrics: m, health: looks,
			issue: newIssuer(c.signing.CertificateSigningRequests()).issue, log: o.Log,
			tell: func(ctx context.Context, lb LoadBalancer, controllers []Controller, o outcome) {
				shown.saw(lb, o)
				status.tell(ctx, lb, controllers, o)
			},
		}
		m.watch(o.LoadBalancers)
		l.start()
		leader.Store(l)
		defer leader.Store(nil)
		l.run(ctx)
		m.forget()
		shown.forget()
		status.forget()
	}
	known := func() bool {
		_, known := controllers()
		return known
	}

	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return serve(ctx, o.Listen, shown, m.handler(), looks, known) })
	parts.Go(func() error { truth.run(ctx); return nil })
	parts.Go(func() error { plugin.run(ctx, c.watched.Leases(metav1.NamespaceSystem)); return nil })
	parts.Go(func() error { bootstrap(ctx, o, open, servers, known); return nil })
	parts.Go(func() error {
		return newLeadership(c.leases, o, func(leading bool) {
			m.leader.Set(map[bool]float64{true: 1}[leading])
		}, shown.leads).run(ctx, lead)
	})
	if err := parts.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func addressesOf(controllers []Controller) []netip.Addr {
	addresses := make([]netip.Addr, len(controllers))
	for i, c := range controllers {
		addresses[i] = c.Address
	}
	return addresses
}

// bootstrapInterval is between two attempts to learn API servers from HAProxy.
const bootstrapInterval = 5 * time.Second

// bootstrap learns API servers from the load balancers for as long as the API was not reached: what HAProxy leads to, or
// led to before it broke.
func bootstrap(ctx context.Context, o Options, open func(context.Context, LoadBalancer) (helper, error), servers *apiServers, known func() bool) {
	for !known() {
		var asked sync.WaitGroup
		for _, lb := range o.LoadBalancers {
			asked.Go(func() {
				addresses, err := servedBy(ctx, open, lb)
				if err != nil {
					o.Log.Info("no API server is learned from a load balancer", "loadBalancer", lb.Address, "err", err)
				}
				servers.learn(addresses...)
			})
		}
		asked.Wait()
		timer := time.NewTimer(bootstrapInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// servedBy lists the controllers that a load balancer has, in its file or in its process.
func servedBy(ctx context.Context, open func(context.Context, LoadBalancer) (helper, error), lb LoadBalancer) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapInterval)
	defer cancel()
	session, err := open(ctx, lb)
	if err != nil {
		return nil, err
	}
	defer func() { _ = session.Close() }() // all is said
	report, err := session.State(ctx)
	if err != nil {
		return nil, err
	}
	var addresses []netip.Addr
	for _, slot := range report.Slots {
		if slot.Address.IsValid() && slot.Enabled {
			addresses = append(addresses, slot.Address)
		}
	}
	for _, s := range report.Servers {
		if !s.Unused && !slices.Contains(addresses, s.Address) {
			addresses = append(addresses, s.Address)
		}
	}
	return addresses, nil
}

// serve answers people, probes and Prometheus until ctx ends.
func serve(ctx context.Context, listen string, page, metrics http.Handler, looks *health, ready func() bool) error {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := looks.alive(time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "the control plane is not known yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
