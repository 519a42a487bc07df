package controlplane

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/manifests"
	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

// putArchive writes an OCI archive with this index.json.
func putArchive(t *testing.T, index string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for name, text := range map[string]string{"oci-layout": "{}", "./index.json": index} {
		if text == "" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

const oneImage = `{"manifests": [{"digest": "sha256:1", "annotations": {"org.opencontainers.image.ref.name": "x/y:1", "io.containerd.image.name": "docker.io/x/y:1"}}]}`

func TestReadArchive(t *testing.T) {
	a, err := readArchive(putArchive(t, oneImage))
	if err != nil || a.image != "docker.io/x/y:1" || a.digest != "sha256:1" || a.size == 0 || len(a.upload.digest) != 64 {
		t.Errorf("%+v, %v", a, err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		text:                                 "it is no OCI archive",
		text + "-none":                       "no such file",
		putArchive(t, ""):                    "there is no index.json in it",
		putArchive(t, "{"):                   "reading index.json",
		putArchive(t, `{"manifests": []}`):   "holds 0 images",
		putArchive(t, `{"manifests": [{}]}`): "has no name",
	} {
		if _, err := readArchive(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestFindHelper(t *testing.T) {
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arch, err := archOf(this)
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"amd64": "arm64"}[arch]
	if other == "" {
		other = "amd64"
	}
	empty, folder := t.TempDir(), t.TempDir()
	if err := os.Symlink(this, filepath.Join(folder, helperName)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		named, arch string
		folders     []string
		want        string
	}{
		"in a folder":          {"", arch, []string{empty, folder}, ""},
		"named":                {this, arch, nil, ""},
		"nowhere":              {"", arch, []string{empty}, "no ha-lb-helper for " + arch + " is beside this program or in PATH"},
		"of another machine":   {"", other, []string{folder}, "put the file ha-lb-helper-" + other},
		"named, of another":    {this, other, nil, "is for " + arch + ", but the load balancer is " + other},
		"named, not there":     {empty + "/x", arch, nil, "there is no " + empty + "/x"},
		"named, not a program": {putArchive(t, oneImage), arch, nil, "is no program for Linux"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := findHelper(c.named, c.arch, c.folders)
			if c.want == "" && err == nil && u.size > 0 || c.want != "" && err != nil && strings.Contains(err.Error(), c.want) {
				return
			}
			t.Errorf("got %+v, %v; want %q", u, err, c.want)
		})
	}
}

func TestSyncerFlags(t *testing.T) {
	v4, v6 := haproxy.Server{Address: netip.MustParseAddr("10.0.0.1")}, haproxy.Server{Address: netip.MustParseAddr("fd00::1")}
	for want, c := range map[string]struct {
		port    int
		servers []haproxy.Server
	}{
		"--address-family=ipv4":                 {6443, []haproxy.Server{v4}},
		"--address-family=ipv6":                 {6443, []haproxy.Server{v6, v6}},
		"":                                      {6443, []haproxy.Server{v4, v6}},
		"--api-port=7443 --address-family=ipv4": {7443, []haproxy.Server{v4}},
	} {
		if got := strings.Join(syncerFlags(config.Ports{KubeAPI: c.port}, c.servers), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// syncerWorld is a control plane of one whose load balancer root logs in to, with the syncer asked for.
func syncerWorld(t *testing.T) (*world, *Cluster) {
	t.Helper()
	w := newWorld(t, guideFile+"  syncer: {enabled: true, imageArchive: "+putArchive(t, oneImage)+"}\n")
	hostKey := string(ssh.MarshalAuthorizedKey(testKey(t)))
	w.hosts["10.10.4.10"].answer = func(command string) (string, error) {
		switch {
		case strings.HasPrefix(command, "echo "):
			return "root", nil
		case strings.HasPrefix(command, "eval echo "):
			return "/root", nil
		case strings.HasPrefix(command, "cat /etc/ssh/"):
			return hostKey, nil
		}
		return "", nil
	}
	c := w.withHelper()
	var err error
	if c.archive, err = readArchive(c.file.LoadBalancer.Syncer.ImageArchive); err != nil {
		t.Fatal(err)
	}
	return w, c
}

// TestDryRunOfTheSyncer shows what a first run would do.
func TestDryRunOfTheSyncer(t *testing.T) {
	_, c := syncerWorld(t)
	for _, b := range c.balancers {
		c.helpers["amd64"] = upload{path: "ha-lb-helper", digest: "1"}
		b.facts.Arch = "amd64"
	}
	helper, err := c.detailHelper(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	syncer, err := c.detailSyncer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "syncer", strings.Join(append(helper, syncer...), "\n")+"\n")
	if reason, err := c.skipSyncer(t.Context()); reason != "" || err != nil {
		t.Errorf("%q, %v", reason, err)
	}
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	_, c := syncerWorld(t)
	first, err := c.syncerWork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret := first.objects[1]
	if first.objects[0].GetKind() != "Namespace" || secret.GetKind() != "Secret" {
		t.Fatalf("the first are a %s and a %s", first.objects[0].GetKind(), secret.GetKind())
	}
	for _, line := range first.lines {
		if strings.Contains(line, "PRIVATE") {
			t.Errorf("the key is shown: %s", line)
		}
	}
	text := func(name string) []byte {
		encoded, _, err := unstructured.NestedString(secret.Object, "data", name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	private := text(manifests.SecretKey)
	if known := string(text(manifests.SecretKnownHosts)); !strings.HasPrefix(known, "10.10.4.10 ssh-ed25519 ") {
		t.Errorf("known_hosts is %q", known)
	}
	kept := func(data map[string][]byte) *Cluster {
		object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: manifests.Namespace, Name: manifests.Secret}, Data: data}
		c.api = &api{kube: &kube.Cluster{Client: fake.NewClientset(object)}}
		return c
	}
	if again, err := kept(map[string][]byte{manifests.SecretKey: private}).syncerKey(t.Context()); err != nil || string(again) != string(private) {
		t.Errorf("the key is another one: %v", err)
	}
	if other, err := kept(nil).syncerKey(t.Context()); err != nil || string(other) == string(private) {
		t.Errorf("two keys are the same: %v", err)
	}
	_, err = kept(map[string][]byte{manifests.SecretKey: []byte("secret nonsense")}).syncerWork(t.Context())
	if err == nil || !strings.Contains(err.Error(), "delete it, and a new one is made") || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
}

func TestPodsStartAnewWithAnotherImageOrOtherLoadBalancers(t *testing.T) {
	w, c := syncerWorld(t)
	template := func() string {
		t.Helper()
		work, err := c.syncerWork(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range work.objects {
			if object.GetKind() == "Deployment" {
				text, err := json.Marshal(object.Object)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
		}
		t.Fatal("no Deployment")
		return ""
	}
	first := template()
	if template() != first {
		t.Error("it is another one each time")
	}
	c.archive.digest = "sha256:2"
	second := template()
	c.balancers[0].host.PrivateAddress = "10.10.4.11"
	if third := template(); second == first || third == second {
		t.Error("it stays the same")
	}
	if hosts, err := c.without(t.Context(), c.machines(), c.archive.upload.digest); err != nil || names(hosts) != "cp1 cp2 w1" {
		t.Errorf("%s lack the image, %v", names(hosts), err)
	}
	if err := c.putImage(t.Context(), c.workers); err != nil {
		t.Fatal(err)
	}
	want := "run mkdir -p '/var/lib/k0s/images'\nupload /var/lib/k0s/images/ha-syncer.tar\nrun [ ! -S /run/k0s/containerd.sock ] || " +
		"/usr/local/bin/k0s ctr --namespace k8s.io images import '/var/lib/k0s/images/ha-syncer.tar'"
	if got := w.hosts["10.10.20.2"].did(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckSyncer(t *testing.T) {
	_, c := syncerWorld(t)
	c.file.LoadBalancer.Syncer.Helper = filepath.Join(t.TempDir(), "none")
	c.file.LoadBalancer.Syncer.ImageArchive = filepath.Join(t.TempDir(), "none")
	c.file.LoadBalancer.Syncer.Networks = []netip.Prefix{netip.MustParsePrefix("10.10.0.0/23")}
	c.balancers[0].host.Conn.SSH.Address = "lb.example"
	expectProblems(t, c.checkSyncer(t.Context()), "spec.syncer.imageArchive: open ",
		"spec.syncer.networks: the controller cp3 (10.10.2.2) is in none of them", "spec.syncer.helper: there is no ",
		"set privateAddress to the IP address that the syncer connects to")
	c.file.LoadBalancer.Syncer.Enabled = false
	expectProblems(t, c.checkSyncer(t.Context()))
}
