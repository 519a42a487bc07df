package k0s

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Status is the part of `k0s status -o json` that this project reads.
type Status struct {
	Version    string
	Role       string // "controller", "worker", ...
	Workloads  bool   // a controller that runs a kubelet, too
	SingleNode bool
	Args       []string // the command line of the process
	// Vars are the places that the process works with.
	Vars struct {
		DataDir           string
		StartupConfigPath string // of its k0s.yaml
	} `json:"K0sVars"`
	// ClusterConfig is the configuration that the process started with; absent from a worker's answer.
	ClusterConfig struct {
		Spec struct {
			API struct {
				ExternalAddress string `json:"externalAddress"`
			} `json:"api"`
		} `json:"spec"`
	}
}

// ExternalAddress is the spec.api.externalAddress that the process started with.
func (s *Status) ExternalAddress() string { return s.ClusterConfig.Spec.API.ExternalAddress }

// Disables tells whether the process was started without one of k0s's components.
func (s *Status) Disables(component string) bool {
	const flag = "--disable-components"
	for i, arg := range s.Args {
		list, found := strings.CutPrefix(arg, flag+"=")
		if !found && arg == flag && i+1 < len(s.Args) {
			list, found = s.Args[i+1], true
		}
		if found && slices.Contains(strings.Split(list, ","), component) {
			return true
		}
	}
	return false
}

// Status asks the running k0s. It fails when k0s does not run.
func (n *Node) Status(ctx context.Context) (*Status, error) {
	out, err := n.run(ctx, "status", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("asking k0s for its status: %w", err)
	}
	var status Status
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return nil, fmt.Errorf("reading the answer of k0s status: %w", err)
	}
	return &status, nil
}
