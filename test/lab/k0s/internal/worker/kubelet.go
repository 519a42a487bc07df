package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lifecycle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/reconcile"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/simkubelet"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Embedded is the worker in a controller. It obtains its certificate as the
// cluster's admin, and its kubelet uses the API server on this host whatever
// kubelet.conf says.
func Embedded(v *vars.Vars, api clusterconfig.API, options Options, taint bool, log *slog.Logger) lifecycle.Part {
	options.Labels = maps.Clone(options.Labels)
	if options.Labels == nil {
		options.Labels = map[string]string{}
	}
	options.Labels[reconcile.LabelNodeRole] = "control-plane"
	if taint {
		options.Taints = append(options.Taints, "node-role.kubernetes.io/control-plane:NoSchedule")
	}
	local := net.JoinHostPort("127.0.0.1", strconv.Itoa(api.Port))
	if api.OnlyBindToAddress {
		local = net.JoinHostPort(api.Address, strconv.Itoa(api.Port))
	}
	var kubelet *simkubelet.Kubelet
	return lifecycle.Part{
		Name: "simulated kubelet",
		Start: func(ctx context.Context) error {
			node, err := NodeName(options.KubeletExtraArgs)
			if err != nil {
				return err
			}
			admin := func() (*clientcmdapi.Config, error) { return clientcmd.LoadFromFile(v.AdminKubeConfigPath) }
			if err := bootstrap(ctx, v, node, admin, log); err != nil {
				return err
			}
			path, err := simkubelet.DirectConfig(v, local)
			if err != nil {
				return err
			}
			// The API server's own address is one that others reach this node by.
			if kubelet, err = newKubelet(options, node, api.Address, path, log); err != nil {
				return err
			}
			return kubelet.Start()
		},
		Stop: func() error { return kubelet.Stop() },
	}
}

// bootstrap obtains kubelet.conf unless it is there.
func bootstrap(ctx context.Context, v *vars.Vars, node string, from func() (*clientcmdapi.Config, error),
	log *slog.Logger,
) error {
	_, err := os.Stat(v.KubeletAuthConfigPath)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for kubelet.conf: %w", err)
	}
	config, err := from()
	if err != nil {
		return fmt.Errorf("failed to get bootstrap kubeconfig: %w", err)
	}
	if config == nil {
		return errors.New("neither regular nor bootstrap kubeconfig files exist and no join token given; " +
			"dunno how to make kubelet authenticate to API server")
	}
	for attempt := 1; ; attempt++ {
		err := simkubelet.Bootstrap(ctx, v, node, config)
		if err == nil {
			log.Info("obtained the node's certificate", "node", node)
			return nil
		}
		if attempt == 10 || ctx.Err() != nil {
			return fmt.Errorf("failed to bootstrap client configuration: %w", err)
		}
		log.Warn("obtaining the node's certificate", "attempt", attempt, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(attempt) * time.Second):
		}
	}
}

// newKubelet makes the kubelet of a node whose address, without a --node-ip, is
// the one given.
func newKubelet(options Options, node, address, kubeconfig string, log *slog.Logger) (*simkubelet.Kubelet, error) {
	if addresses := extraArg(options.KubeletExtraArgs, "node-ip"); addresses != "" {
		address, _, _ = strings.Cut(addresses, ",")
	}
	var taints []corev1.Taint
	for _, t := range options.Taints {
		taint, err := simkubelet.ParseTaint(t)
		if err != nil {
			return nil, err
		}
		taints = append(taints, taint)
	}
	return &simkubelet.Kubelet{
		Spec:       simkubelet.Spec{Name: node, Address: address, Labels: options.Labels, Taints: taints},
		Kubeconfig: kubeconfig, Log: log.With("component", "simulated-kubelet"),
	}, nil
}

// Probe asks the API server in kubelet.conf for its version.
func Probe(v *vars.Vars) func(context.Context) error {
	return func(ctx context.Context) error {
		config, err := clientcmd.BuildConfigFromFlags("", v.KubeletAuthConfigPath)
		if err != nil {
			return fmt.Errorf("failed to create kube-api client required for kube-api status reports, "+
				"probably kubelet failed to init: %w", err)
		}
		config.Timeout = 10 * time.Second
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		_, err = client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
		return err
	}
}

// addressTowards is this host's address on the way to a server.
func addressTowards(server string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("parsing the API server's URL: %w", err)
	}
	port := parsed.Port()
	if port == "" {
		port = "443"
	}
	// A UDP "connection" sends nothing: it asks the kernel for a route.
	connection, err := net.Dial("udp", net.JoinHostPort(parsed.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("determining this node's address: %w", err)
	}
	defer connection.Close()
	host, _, err := net.SplitHostPort(connection.LocalAddr().String())
	return host, err
}
