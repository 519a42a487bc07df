//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/manifests"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
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

// askForSyncer are the lines of a cluster file that ask for the syncer, of an image that was built here.
func (s *site) askForSyncer(more string) string {
	s.t.Helper()
	archive := s.path("ha-syncer.tar")
	command := exec.Command("go", "run", "../../manifests/image", "-o", archive, "-name", "kubectl-ha/ha-syncer:e2e", "linux/"+runtime.GOARCH+"="+haSyncer)
	if out, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("making the image: %v\n%s", err, out)
	}
	return fmt.Sprintf("syncer: {enabled: true, imageArchive: %s%s}", archive, more)
}

// syncerKey is the key that ha-init has made for the syncer. What else is in the Secret lies beside it as files.
func (s *site) syncerKey() ssh.Signer {
	s.t.Helper()
	secret, err := s.api().Client.CoreV1().Secrets(manifests.Namespace).Get(s.t.Context(), manifests.Secret, metav1.GetOptions{})
	s.must(err)
	for name, content := range secret.Data {
		s.must(os.WriteFile(s.path(name), content, 0o600))
	}
	signer, err := ssh.ParsePrivateKey(secret.Data[manifests.SecretKey])
	s.must(err)
	return signer
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// login connects to the load balancer by the key, and knows it by what is in the Secret.
func (s *site) login(user string, key ssh.Signer) *ssh.Client {
	s.t.Helper()
	check, err := knownhosts.New(s.path(manifests.SecretKnownHosts))
	s.must(err)
	client, err := ssh.Dial("tcp", netip.AddrPortFrom(s.host(loadBalancer).Address(), 22).String(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second,
	})
	s.must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// checkKey sees what the syncer's key can not do.
func (s *site) checkKey(user string, key ssh.Signer) {
	client := s.login(user, key)
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
	for what, address := range map[string]string{"tcp": "127.0.0.1:7777", "unix": "/run/owned.sock"} {
		if listener, err := client.Listen(what, address); err == nil {
			listener.Close()
			s.t.Errorf("%s was opened on the host", address)
		}
	}
	x11 := struct {
		Single           bool
		Protocol, Cookie string
		Screen           uint32
	}{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: strings.Repeat("0", 32)}
	for request, payload := range map[string][]byte{"auth-agent-req@openssh.com": nil, "x11-req": ssh.Marshal(x11)} {
		if given, err := session.SendRequest(request, true, payload); err == nil && given {
			s.t.Errorf("%s was given", request)
		}
	}
	tunnel := ssh.Marshal(struct{ Mode, Unit uint32 }{1, 0x7fffffff}) // point to point, any device
	if channel, _, err := client.OpenChannel("tun@openssh.com", tunnel); err == nil {
		channel.Close()
		s.t.Error("a tunnel was opened")
	}
}

// checkHelper sees what the helper refuses, and that it changes nothing then.
func (s *site) checkHelper(user string, key ssh.Signer) {
	before := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg")
	session, err := s.login(user, key).NewSession()
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
		"HAProxy itself":   {fmt.Sprintf(`{"id":2,"apply":{"servers":[{"name":"a","address":"127.0.0.1","active":true},{"name":"b","address":"%s","active":true}]}}`, address), wire.Refused},
		"nobody":           {`{"id":2,"apply":{"servers":[]}}`, wire.Refused},
		"a certificate":    {`{"id":2,"renew":{"certificate":"listen evil","key":"bind :22"}}`, wire.Refused},
		"a file":           {`{"id":2,"read":{"path":"/etc/shadow"}}`, wire.Malformed},
	} {
		var r wire.Response
		s.eventually("nobody else changes HAProxy, as the syncer's pods may do", func(context.Context) error {
			if r = ask(c.line); r.Error != nil && r.Error.Kind == wire.Busy {
				return r.Error
			}
			return nil
		})
		if r.Error == nil || r.Error.Kind != c.kind {
			s.t.Errorf("%s: %+v", name, r)
		}
	}
	if after := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg"); after != before {
		s.t.Error("the file was changed")
	}
}

// serviceAccount returns a folder as a pod has it, for the ServiceAccount that ha-init has made.
func (s *site) serviceAccount() string {
	s.t.Helper()
	cluster := s.api()
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
	pid  int
	// stop ends it in order, kill at once.
	stop, kill func()
}

// startSyncer runs the syncer as a process under its own ServiceAccount, until stop or the test ends it. Further flags
// prevail.
func (s *site) startSyncer(folder, identity string, flags ...string) *process {
	s.t.Helper()
	return s.startProgram(haSyncer, folder, identity, flags...)
}

func (s *site) startProgram(program, folder, identity string, flags ...string) *process {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	listen := listener.Addr().String()
	s.must(listener.Close())
	p := &process{said: &log{}, url: "http://" + listen}
	command := exec.Command(absolute(s.t, program), append([]string{"--load-balancers=root@" + s.lbAddress(), "--service-account=" + folder,
		"--ssh-key=" + s.path("ssh-privatekey"), "--known-hosts=" + s.KnownHosts(), "--identity=" + identity, "--listen=" + listen, "--resync=3s"}, flags...)...)
	command.Stderr = p.said
	s.must(command.Start())
	p.pid = command.Process.Pid
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
			s.keepLog("syncer-"+identity, p.said.String())
		}
	})
	return p
}

// samples are those of a metric of the syncer with that label, by all their labels.
func (s *site) samples(ctx context.Context, p *process, metric, label string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/metrics", nil)
	s.must(err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	samples := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		labels, found := strings.CutPrefix(line, metric+"{")
		labels, value, ok := strings.Cut(labels, "} ")
		if !found || !ok || !strings.Contains(labels, label) {
			continue
		}
		if samples[labels], err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// syncs is how often the syncer has found all to be well, or made it so.
func (s *site) syncs(ctx context.Context, p *process) (count float64, err error) {
	samples, err := s.samples(ctx, p, "ha_syncer_syncs_total", `result="success"`)
	for _, n := range samples {
		count += n
	}
	return count, err
}

// awaitSyncs waits until the syncer has looked twice since.
func (s *site) awaitSyncs(p *process) {
	s.t.Helper()
	before, err := s.syncs(s.t.Context(), p)
	s.must(err)
	s.eventually("it has looked again", func(ctx context.Context) error {
		now, err := s.syncs(ctx, p)
		if err == nil && now < before+2 {
			err = fmt.Errorf("%v times, before %v", now, before)
		}
		return err
	})
}

// syncerStatus is what the syncer says of the load balancer.
func (s *site) syncerStatus(ctx context.Context) (status syncer.Status, err error) {
	configMap, err := s.api().Client.CoreV1().ConfigMaps("kubectl-ha").Get(ctx, syncer.StatusConfigMap, metav1.GetOptions{})
	if err != nil {
		return status, err
	}
	for _, text := range configMap.Data {
		err = json.Unmarshal([]byte(text), &status)
	}
	return status, err
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

// needsContainers skips what only pods can show: Nodes of the stand-in for k0s only say that they run any, and a process under
// the syncer's ServiceAccount is tried alone.
func (s *site) needsContainers() {
	nodes, err := s.api().Client.CoreV1().Nodes().List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	if strings.HasPrefix(nodes.Items[0].Status.NodeInfo.ContainerRuntimeVersion, "simulated:") {
		s.t.Skip("the stand-in for k0s runs no containers")
	}
}

// checkPods sees the pods of the syncer put right what was changed by hand, and takes them out of the way.
func (s *site) checkPods() {
	s.needsContainers()
	pods, err := s.api().Client.CoreV1().Pods(manifests.Namespace).List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			s.t.Logf("%s on %s: ready %v, restarts %d, %s", pod.Name, pod.Spec.NodeName, status.Ready, status.RestartCount, status.ImageID)
			if !status.Ready {
				s.t.Errorf("%s does not run", pod.Name)
			}
		}
	}
	s.setMaintenance(guide[1])
	s.t.Logf("healed after %v", s.awaitState(guide[1], "UP"))
	s.checkAllWrong()
	s.checkPodOfLeader()
	s.checkPortForward()
	scale := []byte(`{"spec":{"replicas":0}}`)
	_, err = s.api().Client.AppsV1().Deployments(manifests.Namespace).Patch(s.t.Context(), manifests.Deployment, types.MergePatchType, scale, metav1.PatchOptions{})
	s.must(err)
	s.eventually("no pod is left", func(ctx context.Context) error {
		pods, err := s.api().Client.CoreV1().Pods(manifests.Namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods", len(pods.Items))
		}
		return err
	})
}

// checkPodOfLeader deletes the pod that leads, and sees that another one goes on.
func (s *site) checkPodOfLeader() {
	leader := func(ctx context.Context) (string, error) {
		lease, err := s.api().Client.CoordinationV1().Leases(manifests.Namespace).Get(ctx, syncer.LeaderLease, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return "", err
		}
		return *lease.Spec.HolderIdentity, nil
	}
	before, err := leader(s.t.Context())
	s.must(err)
	s.must(s.api().Client.CoreV1().Pods(manifests.Namespace).Delete(s.t.Context(), before, metav1.DeleteOptions{}))
	start := time.Now()
	s.eventually("another pod leads", func(ctx context.Context) error {
		now, err := leader(ctx)
		if err == nil && (now == "" || now == before) {
			err = fmt.Errorf("the leader is %q", now)
		}
		return err
	})
	s.t.Logf("another pod leads after %v", time.Since(start))
	s.setMaintenance(guide[1])
	s.t.Logf("healed after %v", s.awaitState(guide[1], "UP"))
}

// checkOverlay installs it anew by kubectl apply -k, as people do who do without ha-init.
func (s *site) checkOverlay(user string) {
	s.needsContainers()
	folder, err := filepath.EvalSymlinks(filepath.Dir(s.path("overlay")))
	s.must(err)
	folder = filepath.Join(folder, "overlay")
	s.must(os.MkdirAll(folder, 0o700))
	up, err := filepath.Rel(folder, absolute(s.t, "../../manifests"))
	s.must(err)
	overlay := fmt.Sprintf("resources: [%[1]s/base]\ncomponents: [%[1]s/components/certificates, %[1]s/components/networkpolicy]\n"+
		"images: [{name: kubectl-ha/ha-syncer, newTag: e2e}]\nconfigMapGenerator:\n- name: ha-syncer-config\n  namespace: %[2]s\n"+
		"  behavior: merge\n  literals: [loadBalancers=%[3]s@%[4]s]\n", up, manifests.Namespace, user, s.lbAddress())
	s.must(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(overlay), 0o600))
	deployments := s.api().Client.AppsV1().Deployments(manifests.Namespace)
	s.must(deployments.Delete(s.t.Context(), manifests.Deployment, metav1.DeleteOptions{}))
	out, err := exec.CommandContext(s.t.Context(), k0sExecutable, "kubectl", "--kubeconfig", s.path("kubeconfig"), "apply", "-k", folder).CombinedOutput()
	if err != nil {
		s.t.Fatalf("kubectl apply -k: %v\n%s", err, out)
	}
	s.eventually("its pods are ready", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, manifests.Deployment, metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas != 2 {
			err = fmt.Errorf("%d are", d.Status.ReadyReplicas)
		}
		return err
	})
	s.setMaintenance(guide[1])
	s.t.Logf("healed after %v", s.awaitState(guide[1], "UP"))
}

// checkPortForward looks at the page of a pod as people do, by the kubectl that is in k0s. Konnectivity's agents, which lead the
// API server to Nodes, need some moments before they know every controller.
func (s *site) checkPortForward() {
	start := time.Now()
	s.eventually("kubectl port-forward shows the page", s.pageByPortForward)
	s.t.Logf("kubectl port-forward shows the page after %s", time.Since(start).Round(100*time.Millisecond))
}

func (s *site) pageByPortForward(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, k0sExecutable, "kubectl", "--kubeconfig", s.path("kubeconfig"), "-n", manifests.Namespace,
		"port-forward", "deployment/"+manifests.Deployment, ":8080")
	out, err := command.StdoutPipe()
	s.must(err)
	said := &log{}
	command.Stderr = said
	s.must(command.Start())
	defer func() {
		cancel()
		_ = command.Wait() // it was killed
	}()
	var address string
	if _, err := fmt.Fscanf(out, "Forwarding from %s -> 8080", &address); err != nil {
		return fmt.Errorf("%w; kubectl said: %s", err, said)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	s.must(err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w; kubectl said: %s", err, said)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err == nil && !strings.Contains(string(page), s.host(guide[0]).Address().String()) {
		err = fmt.Errorf("%s: %s", response.Status, page)
	}
	return err
}

// setMaintenance takes a controller out by hand, at run time.
func (s *site) setMaintenance(name string) {
	s.sh(loadBalancer, "for b in kubeAPI_backend kubeAPI_open; do echo \"set server $b/"+name+" state maint\" | socat - UNIX:"+haproxy.DefaultSocketPath+"; done")
}

// syncerFingerprint is all of the syncer that a run that changes nothing must leave as it is.
func (s *site) syncerFingerprint() string {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(s.sh(loadBalancer, "stat -c '%n %U %a %Y %i' /root/.ssh/authorized_keys /etc/kubectl-ha/* "+helperPath+" && sha256sum /root/.ssh/authorized_keys"))
	for _, name := range guide[:2] {
		b.WriteString(s.sh(name, "stat -c '%n %Y %i' /var/lib/k0s/images/ha-syncer.tar"))
	}
	client := s.api().Client
	secret, err := client.CoreV1().Secrets(manifests.Namespace).Get(s.t.Context(), manifests.Secret, metav1.GetOptions{})
	s.must(err)
	deployment, err := client.AppsV1().Deployments(manifests.Namespace).Get(s.t.Context(), manifests.Deployment, metav1.GetOptions{})
	s.must(err)
	fmt.Fprintln(&b, secret.ResourceVersion, deployment.Generation)
	return b.String()
}

// TestSyncer installs the syncer before a control plane of two, and runs it by exactly the permissions that it gets.
func TestSyncer(t *testing.T) {
	t.Parallel()
	s := newSite(t, guide[0], guide[1], "haproxy:haproxy")
	file := clusterFile{members: controllerWorker(guide[0], guide[1]), more: []string{s.askForSyncer("")}}
	s.write(file)
	keys := s.sh(loadBalancer, `mkdir -p /root/.ssh && printf '# of somebody\n\nssh-ed25519 AAAA anna' | tee /root/.ssh/authorized_keys; chmod 640 /root/.ssh/authorized_keys`)
	s.mustInit()
	if now := s.sh(loadBalancer, "grep -v kubectl-ha: /root/.ssh/authorized_keys; stat -c %a /root/.ssh/authorized_keys"); now != keys+"\n640" {
		t.Errorf("authorized_keys had\n%s\nand has\n%s", keys, now)
	}
	s.eventually("both are members", func(ctx context.Context) error {
		nodes, err := s.api().Nodes(ctx)
		if err == nil && len(nodes) != 2 {
			err = fmt.Errorf("%d Nodes", len(nodes))
		}
		return err
	})
	key := s.syncerKey()
	t.Run("its key can do nothing else", func(t *testing.T) {
		s.in(t).checkKey("root", key)
		s.in(t).checkHelper("root", key)
	})
	t.Run("a second run changes nothing", func(t *testing.T) {
		s := s.in(t)
		before := s.fingerprint() + s.syncerFingerprint()
		if r := s.mustInit(); !strings.Contains(r.stdout, "Nothing was changed") {
			t.Errorf("it must say so: %s", r.stdout)
		}
		if after := s.fingerprint() + s.syncerFingerprint(); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
	})
	t.Run("its pods put right what was changed by hand", func(t *testing.T) { s.in(t).checkPods() })

	folder := s.serviceAccount()
	t.Run("its permission is for its own certificates alone", func(t *testing.T) { s.in(t).checkPermission(folder) })
	s.shortenCertificate()
	running := s.startSyncer(folder, "one")
	s.eventually("it is in step", func(ctx context.Context) error {
		status, err := s.syncerStatus(ctx)
		if err != nil {
			return err
		}
		if status.Result != "success" || len(status.Servers) != 2 {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	before := s.sh(loadBalancer, "systemctl show -p MainPID haproxy")

	t.Run("a client certificate that ends soon is renewed", func(t *testing.T) { s.in(t).awaitCertificate(running) })
	t.Run("an annotation takes a controller out and lets it in", func(t *testing.T) {
		s := s.in(t)
		s.annotate(guide[1], `"true"`)
		t.Logf("out after %v", s.awaitState(guide[1], "MAINT"))
		s.annotate(guide[1], "null")
		t.Logf("in after %v", s.awaitState(guide[1], "UP"))
	})
	t.Run("what is changed by hand is put right", func(t *testing.T) {
		s := s.in(t)
		s.setMaintenance(guide[1])
		s.awaitState(guide[1], "UP")
	})
	for _, c := range []struct {
		name, patch  string
		subresources []string
	}{
		{"cordon alone changes nothing", `{"spec":{"unschedulable":true}}`, nil},
		// Until its kubelet reports again.
		{"NotReady alone changes nothing", `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Test","message":"a test"}]}}`, []string{"status"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			file := s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg")
			_, err := s.api().Client.CoreV1().Nodes().Patch(t.Context(), guide[1], types.StrategicMergePatchType, []byte(c.patch), metav1.PatchOptions{}, c.subresources...)
			s.must(err)
			s.awaitSyncs(running)
			if s.stateOf(guide[1]) != "UP" || s.sh(loadBalancer, "sha256sum /etc/haproxy/haproxy.cfg") != file {
				t.Error("it was taken out")
			}
		})
	}
	if after := s.sh(loadBalancer, "systemctl show -p MainPID haproxy"); after != before {
		t.Errorf("HAProxy was restarted: %s, before %s", after, before)
	}
	t.Run("a load balancer whose servers are all wrong is healed while it is broken", func(t *testing.T) {
		s.in(t).checkAllWrong()
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
	t.Run("its key may log in as a user who has sudo", func(t *testing.T) {
		s := s.in(t)
		file.more = []string{s.askForSyncer(", user: ops")}
		s.write(file)
		helper := s.sh(loadBalancer, "sha256sum "+helperPath)
		s.sh(loadBalancer, "printf x >>"+helperPath) // another version
		s.mustInit()
		if now := s.sh(loadBalancer, "sha256sum "+helperPath); now != helper {
			t.Errorf("the helper is %s, not %s", now, helper)
		}
		s.checkKey("ops", key)
		s.checkHelper("ops", key)
		if got := s.sh(loadBalancer, "stat -c '%U %a' ~ops/.ssh/authorized_keys && grep -c kubectl-ha: ~ops/.ssh/authorized_keys && visudo -c -q && echo sudo works"); got != "ops 600\n1\nsudo works" {
			t.Errorf("got %s", got)
		}
		t.Run("its pods, too", func(t *testing.T) { s.in(t).checkPods() })
	})
	t.Run("kubectl apply -k installs it", func(t *testing.T) { s.in(t).checkOverlay("ops") })
}

// checkAllWrong restarts HAProxy with addresses where nobody is, and sees that it gets the controllers again.
func (s *site) checkAllWrong() {
	s.t.Helper()
	replace := "sed -i"
	for i, name := range []string{guide[0], guide[1]} {
		replace += fmt.Sprintf(" -e 's/ %s:/ %s:/'", s.host(name).Address(), wrongAddress(s.Subnet(), i))
	}
	s.sh(loadBalancer, replace+" /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
	for _, name := range []string{guide[0], guide[1]} {
		s.t.Logf("%s healed after %v", name, s.awaitState(name, "UP"))
	}
	s.checkServers(loadBalancer, guide[0], guide[1])
}

// wrongAddress is one of the lab's network where nobody is.
func wrongAddress(network netip.Prefix, n int) netip.Addr {
	address := network.Masked().Addr().As4()
	address[2], address[3] = 250, byte(10+n)
	return netip.AddrFrom4(address)
}
