package controlplane

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/plugins/internal/cli"
)

// withCA is an API of the cluster whose CA is the one given.
func withCA(ca string) *kube.Cluster {
	return &kube.Cluster{Client: fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": ca},
	})}
}

func TestTheKubeconfigHasToBeTheHostsClusters(t *testing.T) {
	for name, c := range map[string]struct {
		api  *kube.Cluster
		code int
	}{
		"none":       {nil, cli.ExitDone},
		"the same":   {withCA(testCA), cli.ExitDone},
		"another":    {withCA(otherCA), cli.ExitRefused},
		"unreadable": {&kube.Cluster{Client: fake.NewClientset()}, cli.ExitError},
	} {
		_, cluster, _ := joinWorld(t)
		cluster.settings.UserAPI = c.api
		if err := cluster.checkKubeconfigsCluster(t.Context()); cli.ExitCode(err) != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheTokenIsMadeByTheKubeconfigWhereItsUserMay(t *testing.T) {
	for name, c := range map[string]struct {
		refuse error
		bySSH  bool
		fails  bool
	}{
		"he may":         {nil, false, false},
		"he may not":     {apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no")), true, false},
		"the API is out": {errBroken, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, cluster, _ := joinWorld(t)
			user := withCA(testCA)
			if c.refuse != nil {
				user.Client.(*fake.Clientset).PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, c.refuse
				})
			}
			cluster.settings.UserAPI = user
			token, err := cluster.createToken(t.Context(), time.Minute)
			if c.fails {
				if !errors.Is(err, errBroken) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || (token.ID() == "abc123") != c.bySSH {
				t.Fatalf("got %v, %v", token, err)
			}
			tokens := func() int {
				list, err := user.Client.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return len(list.Items)
			}
			if made := tokens() == 1; made == c.bySSH {
				t.Errorf("it is in the cluster: %v", made)
			}
			if c.bySSH {
				user.Client.(*fake.Clientset).PrependReactor("delete", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, c.refuse
				})
			}
			if err := cluster.invalidateToken(t.Context(), token); err != nil || tokens() != 0 {
				t.Errorf("it is left: %v", err)
			}
			if used := strings.Contains(w.hosts["10.10.0.2"].did(), "token invalidate"); used != c.bySSH {
				t.Errorf("on the seed: %s", w.hosts["10.10.0.2"].did())
			}
		})
	}
}

// apiServer answers like the API server of a controller; a seed in memory reaches it wherever it dials.
func apiServer(t *testing.T, seed *fakeHost, ready, version string) {
	t.Helper()
	var authority []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/configmaps/kube-root-ca.crt"):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"ConfigMap","data":{"ca.crt":%q}}`, authority)
		case r.URL.Path == "/version":
			fmt.Fprintf(w, `{"gitVersion":%q}`, version)
		case r.URL.Path == "/readyz" && ready == "ok":
			fmt.Fprint(w, ready)
		case r.URL.Path == "/readyz":
			http.Error(w, ready, http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	seed.files["/var/lib/k0s/pki/admin.conf"] = fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: %s}}]
contexts: [{name: k, context: {cluster: k, user: k}}]
current-context: k
users: [{name: k, user: {token: x}}]
`, base64.StdEncoding.EncodeToString(authority))
	seed.dial = func(network, address string) (net.Conn, error) {
		if err := seed.note("dial %s", address); err != nil {
			return nil, err
		}
		return net.Dial("tcp", server.Listener.Addr().String())
	}
}

func TestAMemberThatCannotBeReachedNeedsItsAPIServersWord(t *testing.T) {
	for name, c := range map[string]struct {
		members  []etcd.Member
		ready    string
		fail     error
		problems []string
		outside  int
	}{
		"it is ready":     {[]etcd.Member{member(2, "cp2", "10.10.1.2")}, "ok", nil, nil, 1},
		"it is not ready": {[]etcd.Member{member(2, "cp2", "10.10.1.2")}, "etcd failed", nil, []string{"no route to host", "nor is it known to be well otherwise"}, 0},
		"it is silent":    {[]etcd.Member{member(2, "cp2", "10.10.1.2")}, "ok", errBroken, []string{"no route to host", "nor is it known to be well otherwise"}, 0},
		"a learner":       {[]etcd.Member{learner(2, "cp2", "10.10.1.2")}, "ok", nil, []string{"no route to host"}, 0},
		"no member":       {nil, "ok", nil, []string{"no route to host"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, e := joinWorld(t, c.members...)
			seed := w.hosts["10.10.0.2"]
			apiServer(t, seed, c.ready, "v1.36.3+k0s")
			delete(w.hosts, "10.10.1.2")
			cluster := w.survey()
			k, err := kube.Connect([]byte(seed.files["/var/lib/k0s/pki/admin.conf"]), func(_ context.Context, network, address string) (net.Conn, error) {
				return seed.dial(network, address)
			})
			if err != nil {
				t.Fatal(err)
			}
			cluster.api = &api{kube: k, etcd: e}
			seed.fail["dial 10.10.1.2:6443"] = c.fail
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			cluster.acceptUnseen(ctx, e.members)
			expectProblems(t, cluster.problems, c.problems...)
			if len(c.problems) > 0 {
				return
			}
			expectProblems(t, cluster.meet(e.members))
			if len(cluster.outsiders) != c.outside || cluster.outsiders[0].Name != "cp2" {
				t.Errorf("it does not keep its place: %v", cluster.outsiders)
			}
			if said := w.err.String(); !strings.Contains(said, "connecting to root@10.10.1.2:22") || !strings.Contains(said, "is taken from its API server") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestVersionsAreCompared(t *testing.T) {
	connect := func(version string) *kube.Cluster {
		seed := newFakeHost(t, config.Connection{}, "x")
		apiServer(t, seed, "ok", version)
		k, err := kube.Connect([]byte(seed.files["/var/lib/k0s/pki/admin.conf"]), func(_ context.Context, network, address string) (net.Conn, error) {
			return seed.dial(network, address)
		})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ours := connect("v1.36.3+k0s")
	if err := sameServerVersion(t.Context(), ours, connect("v1.36.3+k0s")); err != nil {
		t.Error(err)
	}
	err := sameServerVersion(t.Context(), ours, connect("v1.35.1+k0s"))
	if err == nil || err.Error() != "its API server is v1.35.1+k0s, and others are v1.36.3+k0s: finish the upgrade first" {
		t.Errorf("got %v", err)
	}
}

func TestTheClustersNote(t *testing.T) {
	_, c, e := joinWorld(t, member(2, "cp2", "10.10.1.2"), member(4, "cp4", "10.10.3.2"))
	c.controllers = c.controllers[:2]
	file := *c.file
	file.Cluster = &config.Cluster{Hosts: []*config.Host{
		{Conn: config.Connection{SSH: &config.SSH{Address: "192.0.2.4", User: "ops", Port: 2222}}, Role: config.RoleController, PrivateAddress: "10.10.3.2"},
		{Conn: config.Connection{SSH: &config.SSH{Address: "10.10.8.2"}}, Role: config.RoleController}, // which has left
		{Conn: config.Connection{SSH: &config.SSH{Address: "10.10.0.2", User: "old"}}, Role: config.RoleController},
	}}
	before, err := config.Write(file.Portable(file.Cluster.Hosts, ""))
	if err == nil {
		err = c.api.kube.WriteNote(t.Context(), string(before))
	}
	if err != nil {
		t.Fatal(err)
	}
	noted := func() string {
		t.Helper()
		if err := c.writeNote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reason, err := c.skipNote(t.Context()); reason != "it knows already" || err != nil {
			t.Errorf("got %q, %v", reason, err)
		}
		text, err := c.api.kube.Note(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := config.LoadText("note", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, h := range f.Cluster.Hosts {
			hosts = append(hosts, h.Conn.String())
		}
		return strings.Join(hosts, " ")
	}
	if reason, err := c.skipNote(t.Context()); reason != "" || err != nil {
		t.Errorf("got %q, %v", reason, err)
	}
	if got := noted(); got != "root@10.10.0.2:22 root@10.10.1.2:22 ops@192.0.2.4:2222" {
		t.Errorf("got %s", got)
	}
	c.leaving = &leaver{member: e.members[2]}
	if got := noted(); got != "root@10.10.0.2:22 root@10.10.1.2:22" {
		t.Errorf("got %s", got)
	}
	if err := c.api.kube.WriteNote(t.Context(), "{"); err != nil {
		t.Fatal(err)
	}
	if got := noted(); got != "root@10.10.0.2:22 root@10.10.1.2:22" {
		t.Errorf("a broken one stays: %s", got)
	}
}

func TestWhatIsBorrowedFromARunningController(t *testing.T) {
	w, c, _ := joinWorld(t)
	c.settings.Fileless = true
	c.seed.status().Args = strings.Fields("k0s controller --config=/etc/k0s/k0s.yaml --disable-components=coredns")
	c.seed.config, _ = config.ParseObject([]byte("spec: {api: {externalAddress: 10.10.4.9, port: 7443}}"))
	known := &config.Host{InstallFlags: []string{"--debug"}}
	unknown := &config.Host{Conn: config.Connection{SSH: &config.SSH{Address: "10.10.5.2"}}}
	c.borrowFlags(Growth{Unwritten: []*config.Host{known, unknown}})
	if strings.Join(known.InstallFlags, " ") != "--debug" || strings.Join(unknown.InstallFlags, " ") != "--disable-components=coredns" {
		t.Errorf("got %q and %q", known.InstallFlags, unknown.InstallFlags)
	}
	if !strings.Contains(w.err.String(), "10.10.5.2 gets the flags with which k0s runs on cp1: --disable-components=coredns") {
		t.Errorf("said %q", w.err)
	}
	lb := c.file.LoadBalancer
	c.borrowAddress()
	if lb.Address != "10.10.4.10" {
		t.Error("what is noted stays")
	}
	lb.Hosts[0].Line = 0
	c.borrowAddress()
	if lb.Address != "10.10.4.9" || lb.Ports.KubeAPI != 7443 || lb.Ports.ControllerJoin != config.DefaultK0sAPIPort {
		t.Errorf("got %+v", lb)
	}
}
