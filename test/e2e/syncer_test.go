//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
	"github.com/kubectl-ha/kubectl-ha/syncer"
)

// The built programs; `make e2e` builds them first.
const (
	haSyncer   = "../../bin/ha-syncer"
	haLBHelper = "../../bin/ha-lb-helper"
)

// helperPath is where the helper lies on the load balancer.
const helperPath = "/usr/local/lib/kubectl-ha/ha-lb-helper"

// syncerKey installs the helper on the load balancer, bound to a key of its own, and returns that key.
func (s *site) syncerKey() ssh.Signer {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	signer, err := ssh.NewSignerFromKey(private)
	s.must(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	s.must(err)
	s.must(os.WriteFile(s.path("ssh-privatekey"), pem.EncodeToMemory(block), 0o600))

	program, err := os.ReadFile(absolute(s.t, haLBHelper))
	s.must(err)
	policy, err := json.Marshal(lbhelper.Policy{
		Name: "control-plane", Ports: lbhelper.Ports{KubeAPI: 6443, Konnectivity: 8132, ControllerJoin: 9443},
		Check: haproxy.CheckReadyz, StatsListen: haproxy.DefaultStatsListen, Spares: 4,
		CAFile: haproxy.DefaultCAFile, ClientFile: haproxy.DefaultClientFile, Networks: []netip.Prefix{s.Subnet().Masked()},
		MaxServers: lbhelper.DefaultMaxServers, MaxRemovals: lbhelper.DefaultMaxRemovals,
	})
	s.must(err)
	s.sh(loadBalancer, "mkdir -p "+filepath.Dir(helperPath)+" "+filepath.Dir(lbhelper.DefaultPolicyPath))
	h := s.host(loadBalancer)
	s.must(h.WriteFile(s.t.Context(), helperPath, program, 0o755))
	s.must(h.WriteFile(s.t.Context(), lbhelper.DefaultPolicyPath, policy, 0o644))
	line := fmt.Sprintf("restrict,command=%q %s", helperPath, ssh.MarshalAuthorizedKey(signer.PublicKey()))
	_, err = h.Exec(s.t.Context(), "cat >>/root/.ssh/authorized_keys", strings.NewReader(line))
	s.must(err)
	s.sh(loadBalancer, helperPath+" -check")
	return signer
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// login connects to the load balancer by the key.
func (s *site) login(key ssh.Signer) *ssh.Client {
	s.t.Helper()
	check, err := knownhosts.New(s.KnownHosts())
	s.must(err)
	client, err := ssh.Dial("tcp", netip.AddrPortFrom(s.host(loadBalancer).Address(), 22).String(), &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second,
	})
	s.must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// checkKey sees what the syncer's key can not do.
func (s *site) checkKey(key ssh.Signer) {
	client := s.login(key)
	for name, start := range map[string]func(*ssh.Session) error{
		"a shell":          (*ssh.Session).Shell,
		"a command":        func(session *ssh.Session) error { return session.Start("id; cat /etc/shadow; touch /run/owned") },
		"a subsystem":      func(session *ssh.Session) error { return session.RequestSubsystem("sftp") },
		"an upload by scp": func(session *ssh.Session) error { return session.Start("scp -t /run/owned") },
	} {
		session, err := client.NewSession()
		s.must(err)
		var stdout bytes.Buffer
		session.Stdout, session.Stdin = &stdout, strings.NewReader("id\ncat /etc/shadow\n")
		if err := start(session); err != nil {
			continue // refused by sshd
		}
		done := make(chan error, 1)
		go func() { done <- session.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			s.t.Errorf("%s hangs", name)
		}
		session.Close()
		if said := stdout.String(); strings.Contains(said, "uid=") || strings.Contains(said, "root:") {
			s.t.Errorf("%s was given: %s", name, said)
		}
	}
	if out := s.sh(loadBalancer, "ls /run/owned 2>/dev/null || true"); out != "" {
		s.t.Errorf("a file was made: %s", out)
	}
	session, err := client.NewSession()
	s.must(err)
	if err := session.RequestPty("xterm", 24, 80, nil); err == nil {
		s.t.Error("a terminal was given")
	}
	if err := session.Setenv("LD_PRELOAD", "/tmp/x.so"); err == nil {
		s.t.Error("the environment can be set")
	}
	for what, address := range map[string]string{"tcp": s.host(guide[0]).Address().String() + ":6443", "unix": haproxy.DefaultSocketPath} {
		if conn, err := client.Dial(what, address); err == nil {
			conn.Close()
			s.t.Errorf("%s was forwarded", address)
		}
	}
	if listener, err := client.Listen("tcp", "127.0.0.1:7777"); err == nil {
		listener.Close()
		s.t.Error("a port of the host was opened")
	}
}

// checkHelper sees what the helper refuses, and that it changes nothing then.
func (s *site) checkHelper(key ssh.Signer) {
	before := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg")
	session, err := s.login(key).NewSession()
	s.must(err)
	in, err := session.StdinPipe()
	s.must(err)
	out, err := session.StdoutPipe()
	s.must(err)
	s.must(session.Start("ignored"))
	defer session.Close()
	lines := wire.NewLineReader(out, wire.MaxResponse)
	ask := func(line string) (r wire.Response) {
		_, err := io.WriteString(in, line+"\n")
		s.must(err)
		answer, err := lines.Next()
		s.must(err)
		s.must(json.Unmarshal(answer, &r))
		return r
	}
	if r := ask(`{"id":1,"hello":{"protocol":1}}`); r.Hello == nil {
		s.t.Fatalf("%+v", r.Error)
	}
	address := s.host(guide[0]).Address()
	for name, c := range map[string]struct {
		line string
		kind wire.Kind
	}{
		"a line in a name": {fmt.Sprintf(`{"id":2,"apply":{"servers":[{"name":"a\n    server b 192.0.2.1:1","address":"%s","active":true}]}}`, address), wire.Malformed},
		"a port":           {fmt.Sprintf(`{"id":2,"apply":{"servers":[{"name":"a","address":"%s","port":22,"active":true}]}}`, address), wire.Malformed},
		"another network":  {`{"id":2,"apply":{"servers":[{"name":"a","address":"192.0.2.1","active":true}]}}`, wire.Refused},
		"nobody":           {`{"id":2,"apply":{"servers":[]}}`, wire.Refused},
		"a file":           {`{"id":2,"read":{"path":"/etc/shadow"}}`, wire.Malformed},
	} {
		if r := ask(c.line); r.Error == nil || r.Error.Kind != c.kind {
			s.t.Errorf("%s: %+v", name, r)
		}
	}
	if after := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg"); after != before {
		s.t.Error("the file was changed")
	}
}

// serviceAccount applies the shipped manifests, all but what runs pods, and returns a folder as a pod has it.
func (s *site) serviceAccount() string {
	s.t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../manifests/base")
	s.must(err)
	rbac := schema.GroupVersion{Group: "rbac.authorization.k8s.io", Version: "v1"}
	core := schema.GroupVersion{Version: "v1"}
	resources := map[string]schema.GroupVersionResource{
		"Namespace": core.WithResource("namespaces"), "ServiceAccount": core.WithResource("serviceaccounts"), "ConfigMap": core.WithResource("configmaps"),
		"ClusterRole": rbac.WithResource("clusterroles"), "ClusterRoleBinding": rbac.WithResource("clusterrolebindings"),
		"Role": rbac.WithResource("roles"), "RoleBinding": rbac.WithResource("rolebindings"),
	}
	cluster := s.api()
	for _, r := range built.Resources() {
		resource, ok := resources[r.GetKind()]
		if !ok {
			continue
		}
		text, err := r.MarshalJSON()
		s.must(err)
		object := &unstructured.Unstructured{}
		s.must(object.UnmarshalJSON(text))
		_, err = cluster.Dynamic.Resource(resource).Namespace(object.GetNamespace()).Create(s.t.Context(), object, metav1.CreateOptions{})
		s.must(err)
	}
	token, err := cluster.Client.CoreV1().ServiceAccounts("kubectl-ha").CreateToken(s.t.Context(), "ha-syncer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	s.must(err)
	kubeconfig, err := clientcmd.LoadFromFile(s.path("kubeconfig"))
	s.must(err)
	folder := s.path("serviceaccount")
	s.must(os.MkdirAll(folder, 0o700))
	for name, content := range map[string][]byte{
		"token": []byte(token.Status.Token), "namespace": []byte("kubectl-ha"),
		"ca.crt": kubeconfig.Clusters[kubeconfig.Contexts[kubeconfig.CurrentContext].Cluster].CertificateAuthorityData,
	} {
		s.must(os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	return folder
}

// log is what a process says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// process is a running syncer.
type process struct {
	said *log
	url  string
	// stop ends it in order, kill at once.
	stop, kill func()
}

// startSyncer runs the syncer as a process under its own ServiceAccount, until stop or the test ends it. Further flags
// override those that it has.
func (s *site) startSyncer(folder, identity string, flags ...string) *process {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	listen := listener.Addr().String()
	s.must(listener.Close())
	p := &process{said: &log{}, url: "http://" + listen}
	command := exec.Command(absolute(s.t, haSyncer), append([]string{"--load-balancers=root@" + s.lbAddress(), "--service-account=" + folder,
		"--ssh-key=" + s.path("ssh-privatekey"), "--known-hosts=" + s.KnownHosts(), "--identity=" + identity, "--listen=" + listen, "--resync=3s"}, flags...)...)
	command.Stderr = p.said
	s.must(command.Start())
	var killed bool
	p.stop = sync.OnceFunc(func() {
		_ = command.Process.Signal(os.Interrupt)
		if err := command.Wait(); err != nil && !killed {
			s.t.Errorf("the syncer ended: %v", err)
		}
	})
	p.kill = func() {
		killed = true
		_ = command.Process.Kill()
		p.stop()
	}
	s.t.Cleanup(func() {
		p.stop()
		if s.t.Failed() {
			s.t.Logf("the syncer %s said:\n%s", identity, p.said)
		}
	})
	return p
}

// syncs is how often the syncer has found all to be well, or made it so.
func (s *site) syncs(ctx context.Context, p *process) (count int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/metrics", nil)
	s.must(err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "ha_syncer_syncs_total") && strings.Contains(line, `result="success"`) {
			return strconv.Atoi(strings.Fields(line)[1])
		}
	}
	return 0, nil
}

// awaitSyncs waits until the syncer has looked twice since.
func (s *site) awaitSyncs(p *process) {
	s.t.Helper()
	before, err := s.syncs(s.t.Context(), p)
	s.must(err)
	s.eventually("it has looked again", func(ctx context.Context) error {
		now, err := s.syncs(ctx, p)
		if err == nil && now < before+2 {
			err = fmt.Errorf("%d times, before %d", now, before)
		}
		return err
	})
}

// states is what HAProxy's runtime API says of a host's servers in the API's backend.
func (s *site) stateOf(name string) string {
	for _, fields := range s.stats(loadBalancer, "kubeAPI_backend") {
		if fields["addr"] == net.JoinHostPort(s.host(name).Address().String(), "6443") {
			return fields["status"]
		}
	}
	return "absent"
}

func (s *site) awaitState(name, want string) time.Duration {
	s.t.Helper()
	start := time.Now()
	s.eventually(name+" is "+want, func(context.Context) error {
		if got := s.stateOf(name); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	return time.Since(start)
}

func (s *site) annotate(name, value string) {
	s.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, syncer.DrainAnnotation, value)
	_, err := s.api().Client.CoreV1().Nodes().Patch(s.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	s.must(err)
}

// TestSyncer runs the syncer against a control plane of two, by exactly the shipped permissions.
func TestSyncer(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], "haproxy:haproxy")
	s.write(clusterFile{members: controllerWorker(guide[0], guide[1])})
	s.mustInit()
	s.eventually("both are members", func(ctx context.Context) error {
		nodes, err := s.api().Nodes(ctx)
		if err == nil && len(nodes) != 2 {
			err = fmt.Errorf("%d Nodes", len(nodes))
		}
		return err
	})
	key := s.syncerKey()
	t.Run("its key can do nothing else", func(t *testing.T) {
		s.in(t).checkKey(key)
		s.in(t).checkHelper(key)
	})

	folder := s.serviceAccount()
	running := s.startSyncer(folder, "one")
	s.eventually("it is in step", func(ctx context.Context) error {
		configMap, err := s.api().Client.CoreV1().ConfigMaps("kubectl-ha").Get(ctx, syncer.StatusConfigMap, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var status syncer.Status
		for _, text := range configMap.Data {
			if err := json.Unmarshal([]byte(text), &status); err != nil {
				return err
			}
		}
		if status.Result != "success" || len(status.Servers) != 2 {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	before := s.sh(loadBalancer, "systemctl show -p MainPID haproxy")

	t.Run("an annotation takes a controller out and lets it in", func(t *testing.T) {
		s := s.in(t)
		s.annotate(guide[1], `"true"`)
		t.Logf("out after %v", s.awaitState(guide[1], "MAINT"))
		s.annotate(guide[1], "null")
		t.Logf("in after %v", s.awaitState(guide[1], "UP"))
	})
	t.Run("what is changed by hand is put right", func(t *testing.T) {
		s := s.in(t)
		s.sh(loadBalancer, "for b in kubeAPI_backend kubeAPI_open; do echo \"set server $b/"+guide[1]+" state maint\" | socat - UNIX:"+haproxy.DefaultSocketPath+"; done")
		s.awaitState(guide[1], "UP")
	})
	t.Run("cordon alone changes nothing", func(t *testing.T) {
		s := s.in(t)
		_, err := s.api().Client.CoreV1().Nodes().Patch(t.Context(), guide[1], types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
		s.must(err)
		file := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg")
		s.awaitSyncs(running)
		if s.stateOf(guide[1]) != "UP" || s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg") != file {
			t.Error("it was taken out")
		}
	})
	if after := s.sh(loadBalancer, "systemctl show -p MainPID haproxy"); after != before {
		t.Errorf("HAProxy was restarted: %s, before %s", after, before)
	}
	t.Run("a load balancer whose servers are all wrong is healed while it is broken", func(t *testing.T) {
		s := s.in(t)
		replace := "sed -i"
		for i, name := range []string{guide[0], guide[1]} {
			replace += fmt.Sprintf(" -e 's/ %s:/ %s:/'", s.host(name).Address(), wrongAddress(s.Subnet(), i))
		}
		s.sh(loadBalancer, replace+" /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
		s.awaitState(guide[0], "UP")
		s.awaitState(guide[1], "UP")
		s.checkServers(loadBalancer, guide[0], guide[1])
	})
	running.stop()
	if strings.Contains(strings.ToLower(running.said.String()), "forbidden") {
		t.Errorf("something that it does is not allowed by its manifests:\n%s", running.said)
	}
	events, err := s.api().Client.CoreV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + guide[1]})
	s.must(err)
	drained := false
	for _, e := range events.Items {
		drained = drained || e.Reason == "LoadBalancerDrained"
	}
	if !drained {
		t.Errorf("no Event on the Node tells of it: %d others", len(events.Items))
	}
}

// wrongAddress is one of the lab's network where nobody is.
func wrongAddress(network netip.Prefix, n int) netip.Addr {
	address := network.Masked().Addr().As4()
	address[2], address[3] = 250, byte(10+n)
	return netip.AddrFrom4(address)
}
