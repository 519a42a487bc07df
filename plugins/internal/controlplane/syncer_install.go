package controlplane

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-ha/kubectl-ha/manifests"
	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
)

// syncerWork is what the cluster lacks of the syncer.
type syncerWork struct {
	key     ssh.Signer
	access  map[*balancer]*access
	objects []*unstructured.Unstructured // all of them; the namespace and the Secret come first
	stale   []*unstructured.Unstructured // those of them that are to be made or changed
	hosts   []*machine                   // that lack its image
	lines   []string
}

// syncerWork looks at what is there. It changes nothing; a key that there is none of yet is another one each time.
func (c *Cluster) syncerWork(ctx context.Context) (w *syncerWork, err error) {
	w = &syncerWork{access: map[*balancer]*access{}}
	for _, b := range c.balancers {
		if w.access[b], err = c.lookAtAccess(ctx, b); err != nil {
			return nil, at(b.host.Conn, err)
		}
	}
	private, err := c.syncerKey(ctx)
	if err != nil {
		return nil, err
	}
	if w.key, err = ssh.ParsePrivateKey(private); err != nil {
		return nil, fmt.Errorf("the Secret %s/%s holds no private key of SSH's: %w: delete it, and a new one is made",
			manifests.Namespace, manifests.Secret, err)
	}
	for _, b := range c.balancers {
		w.lines = append(w.lines, w.access[b].lines(b.conn.Name(), w.key.PublicKey())...)
	}
	if c.file.LoadBalancer.Syncer.ImageArchive != "" {
		if w.hosts, err = c.without(ctx, c.machines(), c.archive.upload.digest); err != nil {
			return nil, err
		}
		for _, m := range w.hosts {
			w.lines = append(w.lines, fmt.Sprintf("%s: the image %s, to %s", m.name(), c.archive.image, m.imagePath()))
		}
	}
	if w.objects, err = c.syncerObjects(w, private); err != nil {
		return nil, err
	}
	w.stale = w.objects
	if c.api != nil {
		if w.stale, err = c.api.kube.Stale(ctx, w.objects...); err != nil {
			return nil, err
		}
	}
	for _, object := range w.stale {
		name := strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
		w.lines = append(w.lines, fmt.Sprintf("in the cluster: %s %s", object.GetKind(), name))
	}
	return w, nil
}

// syncerKey is the syncer's private key: the one in the Secret, or a new one, which is nowhere but in memory until it is
// in the Secret.
func (c *Cluster) syncerKey(ctx context.Context) ([]byte, error) {
	if c.api != nil {
		data, err := c.api.kube.SecretData(ctx, manifests.Namespace, manifests.Secret)
		if err != nil || len(data[manifests.SecretKey]) > 0 {
			return data[manifests.SecretKey], err
		}
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the syncer's key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("making the syncer's key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// syncerObjects are all objects of the syncer, the Secret among them.
func (c *Cluster) syncerObjects(w *syncerWork, private []byte) ([]*unstructured.Unstructured, error) {
	var known strings.Builder
	s := manifests.Settings{Image: c.file.LoadBalancer.Syncer.Image, Annotations: map[string]string{}}
	if c.file.LoadBalancer.Syncer.ImageArchive != "" {
		s.Image = c.archive.image
		s.Annotations["kubectl-ha.io/image"] = c.archive.digest // another image of the same name
	}
	for _, b := range c.balancers {
		s.LoadBalancers = append(s.LoadBalancers, w.access[b].target())
		known.WriteString(w.access[b].knownHosts())
	}
	if c.file.LoadBalancer.Check == config.CheckReadyz {
		s.Certificates = true
		if c.api != nil {
			var err error
			if s.Certificates, err = c.api.kube.ServesAdmissionPolicies(); err != nil {
				return nil, err
			}
		}
	}
	servers := c.servers(c.all)
	for _, server := range servers {
		s.APIServers = append(s.APIServers, server.Address.String())
	}
	slices.Sort(s.APIServers)
	s.Flags = syncerFlags(c.file.LoadBalancer.Ports, servers)
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat(s.LoadBalancers, s.APIServers), " ")))
	s.Annotations["kubectl-ha.io/config"] = hex.EncodeToString(sum[:]) // the pods read it when they start
	objects, err := manifests.Objects(s)
	if err != nil {
		return nil, err
	}
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": manifests.Secret, "namespace": manifests.Namespace},
		"data": map[string]any{
			manifests.SecretKey:        base64.StdEncoding.EncodeToString(private),
			manifests.SecretKnownHosts: base64.StdEncoding.EncodeToString([]byte(known.String())),
		},
	}}
	secret.SetLabels(manifests.Labels())
	return slices.Insert(objects, 1, secret), nil
}

// syncerFlags are those that the manifests do not have: the API's port, and the family of the controllers' addresses
// where they have one, of which a Node may have two.
func syncerFlags(ports config.Ports, servers []haproxy.Server) []string {
	var flags []string
	if ports.KubeAPI != config.DefaultAPIPort {
		flags = append(flags, fmt.Sprintf("--api-port=%d", ports.KubeAPI))
	}
	is6 := func(s haproxy.Server) bool { return s.Address.Is6() }
	switch {
	case !slices.ContainsFunc(servers, is6):
		flags = append(flags, "--address-family=ipv4")
	case !slices.ContainsFunc(servers, func(s haproxy.Server) bool { return !is6(s) }):
		flags = append(flags, "--address-family=ipv6")
	}
	return flags
}

func (c *Cluster) skipSyncer(ctx context.Context) (string, error) {
	if !c.file.LoadBalancer.Syncer.Enabled {
		return noSyncer, nil
	}
	w, err := c.syncerWork(ctx)
	if err != nil || len(w.lines) > 0 {
		return "", err
	}
	if waits, err := c.syncerWaits(ctx); err != nil || waits {
		return "it is installed, and starts when there is a Node", err
	}
	if c.api.kube.RolledOut(ctx, manifests.Namespace, manifests.Deployment) != nil {
		return "", nil // an earlier run did not see it run
	}
	return "it runs", nil
}

func (c *Cluster) detailSyncer(ctx context.Context) ([]string, error) {
	w, err := c.syncerWork(ctx)
	if err != nil {
		return nil, err
	}
	return append(w.lines, "then its pods are waited for"), nil
}

// installSyncer puts the key into the Secret before it is good for anything, and starts the pods when it is: a run that
// was cut off leaves nothing that the next one does not know of.
func (c *Cluster) installSyncer(ctx context.Context) error {
	w, err := c.syncerWork(ctx)
	if err != nil {
		return err
	}
	first := func(o *unstructured.Unstructured) bool { return slices.Contains(w.objects[:2], o) }
	for _, object := range w.stale {
		if first(object) {
			if err := c.api.kube.Apply(ctx, object); err != nil {
				return err
			}
		}
	}
	err = c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		if err := b.grant(ctx, w.access[b], w.key.PublicKey()); err != nil {
			return err
		}
		return c.try(ctx, w.access[b], w.key)
	})
	if err != nil {
		return err
	}
	if err := c.putImage(ctx, w.hosts); err != nil {
		return err
	}
	if err := c.api.kube.Apply(ctx, slices.DeleteFunc(slices.Clone(w.stale), first)...); err != nil {
		return err
	}
	return c.awaitPods(ctx)
}

// syncerWaits tells whether there is no Node that the syncer could run on.
func (c *Cluster) syncerWaits(ctx context.Context) (bool, error) {
	nodes, err := c.api.kube.Nodes(ctx)
	return len(nodes) == 0, err
}

func (c *Cluster) awaitPods(ctx context.Context) error {
	line := c.report.Host("syncer")
	waits, err := c.syncerWaits(ctx)
	if err != nil {
		return err
	}
	if waits {
		line.Done("installed; there is no Node yet that could run it")
		return nil
	}
	line.Update("waiting for its pods")
	err = c.await(ctx, "the syncer runs", func(ctx context.Context) error {
		return c.api.kube.RolledOut(ctx, manifests.Namespace, manifests.Deployment)
	})
	if err == nil {
		line.Done("it runs")
	}
	return err
}

// checkSyncer looks for what the installation needs on this machine and on the load balancers, before anything is
// changed.
func (c *Cluster) checkSyncer(ctx context.Context) []error {
	s := c.file.LoadBalancer.Syncer
	if !s.Enabled {
		return nil
	}
	var problems []error
	if s.ImageArchive != "" {
		var err error
		if c.archive, err = readArchive(s.ImageArchive); err != nil {
			problems = append(problems, fmt.Errorf("spec.syncer.imageArchive: %w", err))
		}
	}
	for _, server := range outside(policyOf(c.file.LoadBalancer, lbhelper.Policy{}, c.servers(c.all)).Networks, c.servers(c.all)) {
		problems = append(problems, fmt.Errorf("spec.syncer.networks: the controller %s (%s) is in none of them: add its network, or "+
			"leave them out", server.Name, server.Address))
	}
	c.helpers = map[string]upload{}
	for _, b := range c.balancers {
		arch := b.facts.Arch
		if _, known := c.helpers[arch]; known {
			continue
		}
		u, err := findHelper(s.Helper, arch, helperFolders())
		if err != nil {
			problems = append(problems, at(b.host.Conn, err))
		}
		c.helpers[arch] = u
	}
	return append(problems, unjoin(c.eachBalancer(ctx, func(ctx context.Context, b *balancer) error {
		_, err := c.lookAtAccess(ctx, b)
		return err
	}))...)
}
