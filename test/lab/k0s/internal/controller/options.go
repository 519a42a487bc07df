// Package controller runs a controller: "k0s controller".
package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/worker"
)

// Options are the flags of "k0s controller".
type Options struct {
	Token             func() (string, error)
	EnableWorker      bool
	Single            bool
	NoTaints          bool
	DisableComponents []string
	Worker            worker.Options
	Args              []string
}

// Workloads reports whether this controller is a node too.
func (o *Options) Workloads() bool { return o.EnableWorker || o.Single }

// components are the names that --disable-components knows. Those that the
// stand-in does not have may be disabled all the same.
func components() []string {
	return []string{
		"applier-manager", "autopilot", "control-api", "coredns", "csr-approver", "endpoint-reconciler", "helm",
		"konnectivity-server", "kube-controller-manager", "kube-proxy", "kube-scheduler", "metrics-server",
		"network-provider", "node-role", "system-rbac", "update-prober", "windows-node", "worker-config",
	}
}

// Validate refuses components that k0s does not know.
func (o *Options) Validate() error {
	for _, name := range o.DisableComponents {
		if !slices.Contains(components(), name) {
			return fmt.Errorf("unknown component %s", name)
		}
	}
	return nil
}

// ComponentNames lists what --disable-components knows.
func ComponentNames() string { return strings.Join(components(), ",") }

func (o *Options) enabled(component string) bool {
	return !slices.Contains(o.DisableComponents, component)
}
