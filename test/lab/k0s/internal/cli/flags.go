package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/controller"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/worker"
)

// controllerFlags adds the flags of "k0s controller".
func controllerFlags(flags *pflag.FlagSet) {
	flags.Bool("enable-worker", false, "enable worker (default false)")
	flags.Bool("single", false, "enable single node (implies --enable-worker, default false)")
	flags.Bool("no-taints", false, "disable default taints for controller node")
	flags.StringSlice("disable-components", nil, "disable components (valid items: "+controller.ComponentNames()+")")
	flags.String("kube-controller-manager-extra-args", "", "has no effect in the stand-in")
	flags.Bool("enable-dynamic-config", false, "has no effect in the stand-in")
	flags.Bool("enable-metrics-scraper", false, "has no effect in the stand-in")
	flags.Bool("enable-k0s-cloud-provider", false, "has no effect in the stand-in")
	flags.String("feature-gates", "", "has no effect in the stand-in")
}

// workerFlags adds the flags of "k0s worker", which "k0s controller" has too.
func workerFlags(flags *pflag.FlagSet) {
	flags.String("token-file", "", "Path to the file containing join-token.")
	flags.StringToString("labels", nil, "Node labels, list of key=value pairs")
	flags.StringSlice("taints", nil, "Node taints, list of key=value:effect strings")
	flags.String("kubelet-extra-args", "", "extra args for kubelet: --node-ip and --hostname-override count")
	flags.String("kubelet-root-dir", "", "Kubelet root directory for k0s")
	flags.String("profile", "default", "worker profile to use on the node; has no effect in the stand-in")
	flags.String("cri-socket", "", "has no effect in the stand-in")
	flags.String("iptables-mode", "", "has no effect in the stand-in")
	flags.StringP("logging", "l", "", "has no effect in the stand-in")
	flags.Bool("enable-cloud-provider", false, "has no effect in the stand-in")
	flags.Bool("ignore-pre-flight-checks", false, "has no effect in the stand-in: it has none")
}

func workerOptions(cmd *cobra.Command, args []string) worker.Options {
	flags := cmd.Flags()
	labels, _ := flags.GetStringToString("labels")
	taints, _ := flags.GetStringSlice("taints")
	extra, _ := flags.GetString("kubelet-extra-args")
	return worker.Options{Token: tokenSource(cmd, args), Labels: labels, Taints: taints, KubeletExtraArgs: extra}
}
