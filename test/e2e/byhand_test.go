//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// What people do by hand, or with other tools, before they know kubectl-ha.

// startByHand starts a controller from a configuration, with a join token or as the first one, and waits until it is
// ready.
func (s *site) startByHand(name, externalAddress, token string) {
	s.t.Helper()
	address := s.host(name).Address()
	var config strings.Builder
	fmt.Fprintf(&config, "# written by hand\nspec:\n  api:\n    address: %s\n", address)
	if externalAddress != "" {
		fmt.Fprintf(&config, "    externalAddress: %[1]s\n    sans: [%[1]s]\n", externalAddress)
	}
	fmt.Fprintf(&config, "  storage:\n    etcd:\n      peerAddress: %s\n", address)
	for _, line := range k0sConfig() {
		fmt.Fprintf(&config, "  %s\n", line)
	}
	h := s.host(name)
	if err := h.WriteFile(s.t.Context(), "/etc/k0s/k0s.yaml", []byte(config.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	install := "k0s install controller --enable-worker --no-taints -c /etc/k0s/k0s.yaml " +
		strings.Join(installFlags(member{name: name, role: "controller+worker"}), " ")
	if token != "" {
		if err := h.WriteFile(s.t.Context(), "/etc/k0s/token", []byte(token), 0o600); err != nil {
			s.t.Fatal(err)
		}
		install += " --token-file /etc/k0s/token"
	}
	s.sh(name, install+" && k0s start")
	s.eventually(name+" is ready", func(ctx context.Context) error {
		cluster, err := s.direct(name)
		if err != nil {
			return err
		}
		if err := cluster.Ready(ctx); err != nil {
			return err
		}
		_, err = h.Exec(ctx, "k0s status", nil) // which answers later
		return err
	})
}

// direct is the API of one controller, not through the load balancer.
func (s *site) direct(name string) (*kube.Cluster, error) {
	kubeconfig, err := s.directKubeconfig(name)
	if err != nil {
		return nil, err
	}
	return kube.Connect(kubeconfig, nil)
}

func (s *site) directKubeconfig(name string) ([]byte, error) {
	kubeconfig, err := s.host(name).ReadFile(s.t.Context(), "/var/lib/k0s/pki/admin.conf")
	if err != nil {
		return nil, err
	}
	return []byte(strings.Replace(string(kubeconfig), "localhost", s.host(name).Address().String(), 1)), nil
}

// workerByHand joins a worker with a token of the controller.
func (s *site) workerByHand(name, controller string) {
	s.t.Helper()
	token := s.sh(controller, "k0s token create --role worker --expiry 10m")
	if err := s.host(name).WriteFile(s.t.Context(), "/etc/k0s/token", []byte(token), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.sh(name, "k0s install worker --token-file /etc/k0s/token "+
		strings.Join(installFlags(member{name: name, role: "worker"}), " ")+" && k0s start")
	s.eventually(name+" has joined", func(ctx context.Context) error {
		cluster, err := s.direct(controller)
		if err != nil {
			return err
		}
		nodes, err := cluster.Nodes(ctx)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if n.Name == name {
				return nil
			}
		}
		return fmt.Errorf("there is no Node %s", name)
	})
}

// guideHAProxy sets HAProxy up as the guide says, for the site's controllers.
func (s *site) guideHAProxy() string {
	s.t.Helper()
	cfg, err := os.ReadFile("testdata/guide-haproxy.cfg")
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(cfg)
	for octets, name := range map[string]string{"0.2": guide[0], "1.2": guide[1], "2.2": guide[2]} {
		text = strings.ReplaceAll(text, " 10.10."+octets+":", " "+s.host(name).Address().String()+":")
	}
	if err := s.host(loadBalancer).WriteFile(s.t.Context(), "/etc/haproxy/haproxy.cfg", []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.sh(loadBalancer, "systemctl restart haproxy")
	return text
}

// load makes new connections at a steady rate until it is stopped.
type load struct {
	stop   chan struct{}
	done   sync.WaitGroup
	mu     sync.Mutex
	tried  int
	failed []string
}

// newLoad asks something of the control plane 20 times a second, each time on a new connection.
func newLoad(t *testing.T, ask func(ctx context.Context) error) *load {
	l := &load{stop: make(chan struct{})}
	ticker := time.NewTicker(50 * time.Millisecond)
	l.done.Go(func() {
		defer ticker.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
				l.done.Go(func() {
					ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
					defer cancel()
					err := ask(ctx)
					l.mu.Lock()
					defer l.mu.Unlock()
					l.tried++
					if err != nil {
						l.failed = append(l.failed, time.Now().Format("15:04:05.000 ")+err.Error())
					}
				})
			}
		}
	})
	return l
}

// end stops the load and waits for what is under way.
func (l *load) end() (tried int, failed []string) {
	close(l.stop)
	l.done.Wait()
	return l.tried, l.failed
}
