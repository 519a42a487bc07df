// Package worker runs a worker: "k0s worker", and the worker in a controller.
package worker

import (
	"fmt"
	"os"
	"strings"
)

// Options are the flags of "k0s worker".
type Options struct {
	Token            func() (string, error)
	Labels           map[string]string
	Taints           []string
	KubeletExtraArgs string
	Args             []string
}

// NodeName is the name that a kubelet gives its Node: --hostname-override or
// the host's name, in lower case.
func NodeName(kubeletExtraArgs string) (string, error) {
	name := extraArg(kubeletExtraArgs, "hostname-override")
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("failed to determine node name: %w", err)
		}
	}
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
		return "", fmt.Errorf("failed to determine node name: empty hostname is invalid")
	}
	return name, nil
}

// extraArg finds --name=value or --name value in a string of flags.
func extraArg(args, name string) string {
	fields := strings.Fields(args)
	for i, field := range fields {
		if value, ok := strings.CutPrefix(field, "--"+name+"="); ok {
			return strings.Trim(value, `"'`)
		}
		if field == "--"+name && i+1 < len(fields) {
			return strings.Trim(fields[i+1], `"'`)
		}
	}
	return ""
}
