//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0sbin"
)

// startKubeProxy runs Kubernetes' own kube-proxy on a host, so that Services lead where their EndpointSlices say: no
// k0s in the lab can pull its image. It asks the API server of the controller, not the load balancer.
func (s *site) startKubeProxy(name, controller string) {
	s.t.Helper()
	path, err := k0sbin.KubeProxy(s.t.Context(), testWriter{s.t})
	if err != nil {
		s.t.Fatal(err)
	}
	executable, err := os.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer executable.Close()
	h := s.host(name)
	if _, err := h.Exec(s.t.Context(), "cat >/usr/local/bin/kube-proxy && chmod 755 /usr/local/bin/kube-proxy", executable); err != nil {
		s.t.Fatal(err)
	}
	kubeconfig, err := s.directKubeconfig(controller)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := h.WriteFile(s.t.Context(), "/root/kube-proxy.conf", kubeconfig, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.sh(name, "systemd-run -q --unit=kube-proxy kube-proxy --kubeconfig=/root/kube-proxy.conf --hostname-override="+name+
		" --proxy-mode=iptables --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0")
}

// askFromInside asks kubernetes.default for its version as a pod on the host's network does: by the Service's cluster
// IP, with the cluster's CA and the token of a ServiceAccount.
func (s *site) askFromInside(name, controller string) {
	s.t.Helper()
	cluster, err := s.direct(controller)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := cluster.Client.CoreV1().ServiceAccounts("default").CreateToken(s.t.Context(), "default",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	ca, err := cluster.Client.CoreV1().ConfigMaps("default").Get(s.t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	service, err := cluster.Client.CoreV1().Services("default").Get(s.t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	h := s.host(name)
	for file, data := range map[string]string{"ca.crt": ca.Data[corev1.ServiceAccountRootCAKey], "token": "header = \"Authorization: Bearer " + token.Status.Token + `"`} {
		if err := h.WriteFile(s.t.Context(), "/root/inside/"+file, []byte(data), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.eventually("kubernetes.default answers on "+name, func(ctx context.Context) error {
		out, err := h.Exec(ctx, "curl -sS -m 3 --cacert /root/inside/ca.crt -K /root/inside/token "+
			"--resolve kubernetes.default.svc:443:"+service.Spec.ClusterIP+" https://kubernetes.default.svc/version 2>&1", nil)
		if err == nil && !strings.Contains(out, "gitVersion") {
			err = fmt.Errorf("it answers %s", out)
		}
		return err
	})
}

// leadsTo is where kube-proxy on the host sends connections to kubernetes.default.
func (s *site) leadsTo(name string) string {
	s.t.Helper()
	return s.sh(name, "iptables-save -t nat | grep default/kubernetes:https | grep -o 'to-destination [^ ]*' | cut -d ' ' -f 2 | sort -u")
}
