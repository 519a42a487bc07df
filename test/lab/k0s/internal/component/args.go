// Package component holds the command lines of the processes that k0s
// supervises, as pure functions of the paths and the config.
package component

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/member"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Names of the component executables.
const (
	EtcdName              = "etcd"
	APIServerName         = "kube-apiserver"
	ControllerManagerName = "kube-controller-manager"
	SchedulerName         = "kube-scheduler"
)

// APIServerStop is how long the API server may take to end its requests and
// watches.
const APIServerStop = 20 * time.Second

// Etcd returns etcd's arguments. initialCluster is what the join API answered,
// empty for a first or an existing member.
func Etcd(v *vars.Vars, config *clusterconfig.Config, name string, initialCluster []string) []string {
	etcd := config.Spec.Storage.Etcd
	args := map[string]string{
		"data-dir":                    v.EtcdDataDir,
		"listen-client-urls":          member.Endpoint,
		"advertise-client-urls":       member.Endpoint,
		"client-cert-auth":            "true",
		"listen-peer-urls":            etcd.PeerURL(),
		"initial-advertise-peer-urls": etcd.PeerURL(),
		"name":                        name,
		"tls-min-version":             "TLS1.2",
		"trusted-ca-file":             v.Cert("etcd/ca"),
		"cert-file":                   v.Cert("etcd/server"),
		"key-file":                    v.Key("etcd/server"),
		"peer-trusted-ca-file":        v.Cert("etcd/ca"),
		"peer-cert-file":              v.Cert("etcd/peer"),
		"peer-key-file":               v.Key("etcd/peer"),
		"peer-client-cert-auth":       "true",
		"log-level":                   "info",
		"enable-pprof":                "false",
		"auth-token": "jwt,pub-key=" + filepath.Join(v.EtcdCertDir, "jwt.pub") +
			",priv-key=" + filepath.Join(v.EtcdCertDir, "jwt.key") + ",sign-method=RS512,ttl=10m",
	}
	if len(initialCluster) > 0 {
		args["initial-cluster"] = strings.Join(initialCluster, ",")
		args["initial-cluster-state"] = "existing"
	} else {
		args["initial-cluster"] = name + "=" + etcd.PeerURL()
	}
	return render(args, etcd.ExtraArgs, etcd.RawArgs)
}

// APIServer returns kube-apiserver's arguments. reconcileEndpoints says
// whether it keeps the Endpoints of default/kubernetes itself, which it must
// not where k0s does so with the external address.
func APIServer(v *vars.Vars, config *clusterconfig.Config, reconcileEndpoints bool) []string {
	api := config.Spec.API
	args := map[string]string{
		"advertise-address":                       api.Address,
		"secure-port":                             itoa(api.Port),
		"allow-privileged":                        "true",
		"anonymous-auth":                          "false",
		"authorization-mode":                      "Node,RBAC",
		"client-ca-file":                          v.Cert("ca"),
		"enable-admission-plugins":                "NodeRestriction",
		"enable-bootstrap-token-auth":             "true",
		"etcd-servers":                            member.Endpoint,
		"etcd-cafile":                             v.Cert("etcd/ca"),
		"etcd-certfile":                           v.Cert("apiserver-etcd-client"),
		"etcd-keyfile":                            v.Key("apiserver-etcd-client"),
		"kubelet-certificate-authority":           v.Cert("ca"),
		"kubelet-client-certificate":              v.Cert("apiserver-kubelet-client"),
		"kubelet-client-key":                      v.Key("apiserver-kubelet-client"),
		"kubelet-preferred-address-types":         "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file":                  v.Cert("front-proxy-client"),
		"proxy-client-key-file":                   v.Key("front-proxy-client"),
		"requestheader-allowed-names":             "front-proxy-client",
		"requestheader-client-ca-file":            v.Cert("front-proxy-ca"),
		"requestheader-extra-headers-prefix":      "X-Remote-Extra-",
		"requestheader-group-headers":             "X-Remote-Group",
		"requestheader-username-headers":          "X-Remote-User",
		"service-account-issuer":                  "https://kubernetes.default.svc",
		"service-account-jwks-uri":                "https://kubernetes.default.svc/openid/v1/jwks",
		"service-account-key-file":                filepath.Join(v.CertRootDir, "sa.pub"),
		"service-account-signing-key-file":        v.Key("sa"),
		"service-cluster-ip-range":                config.Spec.Network.ServiceCIDR,
		"api-audiences":                           "https://kubernetes.default.svc",
		"tls-min-version":                         "VersionTLS12",
		"tls-cert-file":                           v.Cert("server"),
		"tls-private-key-file":                    v.Key("server"),
		"profiling":                               "false",
		"v":                                       "0",
		"shutdown-watch-termination-grace-period": (APIServerStop - 2*time.Second).String(),
	}
	if api.OnlyBindToAddress {
		args["bind-address"] = api.Address
	}
	extra := maps.Clone(api.ExtraArgs)
	if !reconcileEndpoints {
		if extra == nil {
			extra = map[string]string{}
		}
		extra["endpoint-reconciler-type"] = "none"
	}
	return render(args, extra, api.RawArgs)
}

// ControllerManager returns kube-controller-manager's arguments.
func ControllerManager(v *vars.Vars, config *clusterconfig.Config, leaderElect bool) []string {
	kubeconfig := filepath.Join(v.CertRootDir, "ccm.conf")
	args := map[string]string{
		"authentication-kubeconfig":        kubeconfig,
		"authorization-kubeconfig":         kubeconfig,
		"kubeconfig":                       kubeconfig,
		"client-ca-file":                   v.Cert("ca"),
		"cluster-signing-cert-file":        v.Cert("ca"),
		"cluster-signing-key-file":         v.Key("ca"),
		"requestheader-client-ca-file":     v.Cert("front-proxy-ca"),
		"root-ca-file":                     v.Cert("ca"),
		"service-account-private-key-file": v.Key("sa"),
		"allocate-node-cidrs":              "true",
		"cluster-cidr":                     config.Spec.Network.PodCIDR,
		"service-cluster-ip-range":         config.Spec.Network.ServiceCIDR,
		"node-cidr-mask-size":              nodeMask(config.Spec.Network.PodCIDR),
		"bind-address":                     "127.0.0.1",
		"cluster-name":                     "k0s",
		"controllers":                      "*,bootstrapsigner,tokencleaner",
		"leader-elect":                     boolean(leaderElect),
		"use-service-account-credentials":  "true",
		"terminated-pod-gc-threshold":      "12500",
		"profiling":                        "false",
		"v":                                "0",
	}
	spec := config.Spec.ControllerManager
	return render(args, spec.ExtraArgs, spec.RawArgs)
}

// Scheduler returns kube-scheduler's arguments.
func Scheduler(v *vars.Vars, config *clusterconfig.Config, leaderElect bool) []string {
	kubeconfig := filepath.Join(v.CertRootDir, "scheduler.conf")
	args := map[string]string{
		"authentication-kubeconfig": kubeconfig,
		"authorization-kubeconfig":  kubeconfig,
		"kubeconfig":                kubeconfig,
		"bind-address":              "127.0.0.1",
		"leader-elect":              boolean(leaderElect),
		"profiling":                 "false",
		"v":                         "0",
	}
	spec := config.Spec.Scheduler
	return render(args, spec.ExtraArgs, spec.RawArgs)
}

// render writes flags in a fixed order. extra overrides, raw is added as it is.
func render(args, extra map[string]string, raw []string) []string {
	maps.Copy(args, extra)
	out := make([]string, 0, len(args)+len(raw))
	for _, name := range slices.Sorted(maps.Keys(args)) {
		out = append(out, "--"+name+"="+args[name])
	}
	return append(out, raw...)
}
