package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/jointoken"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lifecycle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/simkubelet"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/status"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Run runs a worker until ctx ends. Its kubelet uses the API server that
// kubelet.conf names, which at first is the one in the join token; a changed
// kubelet.conf counts from the next start.
func Run(ctx context.Context, v *vars.Vars, options Options, log *slog.Logger) error {
	for _, dir := range []string{v.DataDir, v.RunDir, v.BinDir, v.KubeletRootDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("creating k0s's directories: %w", err)
		}
	}
	hold, err := vars.Hold(v, nil)
	if err != nil {
		return fmt.Errorf("failed to initialize runtime config: %w", err)
	}
	defer func() { _ = hold.Release() }()
	node, err := NodeName(options.KubeletExtraArgs)
	if err != nil {
		return err
	}
	var kubelet *simkubelet.Kubelet
	server := &status.Server{
		Info:  status.Info{Version: vars.Version, Pid: os.Getpid(), Role: "worker", Workloads: true, Args: options.Args, K0sVars: v},
		Probe: Probe(v),
	}
	return lifecycle.Run(ctx, log, []lifecycle.Part{
		{
			Name: "simulated kubelet",
			Start: func(ctx context.Context) error {
				if err := bootstrap(ctx, v, node, fromToken(options), log); err != nil {
					return fmt.Errorf("failed to bootstrap kubelet client configuration: %w", err)
				}
				config, err := clientcmd.BuildConfigFromFlags("", v.KubeletAuthConfigPath)
				if err != nil {
					return fmt.Errorf("reading kubelet.conf: %w", err)
				}
				address, err := addressTowards(config.Host)
				if err != nil {
					return err
				}
				if kubelet, err = newKubelet(options, node, address, v.KubeletAuthConfigPath, log); err != nil {
					return err
				}
				return kubelet.Start()
			},
			Stop: func() error { return kubelet.Stop() },
		},
		{
			Name:  "status socket",
			Start: func(context.Context) error { return server.Start() },
			Stop:  server.Stop,
		},
	})
}

func fromToken(options Options) func() (*clientcmdapi.Config, error) {
	return func() (*clientcmdapi.Config, error) {
		token, err := options.Token()
		if err != nil || token == "" {
			return nil, err
		}
		return jointoken.Decode(token, jointoken.RoleWorker)
	}
}
