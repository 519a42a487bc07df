package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// chooseVersion settles which k0s the new hosts are to run: the running cluster's, else the file's, else the newest of
// the file's channel. It is empty when the file names none and every new host has its executable, or gets it from a
// file of the user's: then that one decides.
func (c *Cluster) chooseVersion(ctx context.Context) (string, error) {
	wanted := c.file.Cluster.K0s.Version
	if running := c.seed.facts.K0sVersion; c.exists() && running != "" {
		if wanted != "" && !sameVersion(wanted, running) {
			return "", fmt.Errorf("the cluster runs k0s %s, the file says %s: correct spec.k0s.version (to upgrade, use k0s's "+
				"autopilot)", running, wanted)
		}
		return running, nil
	}
	if wanted != "" {
		v, err := k0s.ParseVersion(wanted)
		if err != nil {
			return "", fmt.Errorf("spec.k0s.version: %w", err)
		}
		return v.String(), nil
	}
	for _, m := range c.fresh() {
		if m.host.K0sBinaryPath == "" && m.facts.K0sVersion == "" {
			return latestVersion(ctx, c.settings.Web, c.file.Cluster.K0s.VersionChannel)
		}
	}
	return "", nil
}

func sameVersion(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }

// channelURL names the newest release of a channel; k0sctl asks the same file.
const channelURL = "https://docs.k0sproject.io/%s.txt"

func latestVersion(ctx context.Context, web *http.Client, channel string) (string, error) {
	if channel == "" {
		channel = "stable"
	}
	text, err := get(ctx, web, fmt.Sprintf(channelURL, channel))
	if err == nil {
		var version k0s.Version
		if version, err = k0s.ParseVersion(strings.TrimSpace(text)); err == nil {
			return version.String(), nil
		}
	}
	return "", fmt.Errorf("finding out the %s version of k0s: %w: set spec.k0s.version, or k0sBinaryPath on the hosts",
		channel, err)
}
