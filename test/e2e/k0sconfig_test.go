//go:build e2e

package e2e

import (
	"os"
	"sync"
)

// What k0s needs in the lab, whose hosts share a kernel and reach no image registry.

// installFlags are the host's further flags for `k0s install`. The one pre-flight check that fails is about cgroup v1,
// on machines that have it; images of add-ons cannot be pulled.
func installFlags(m member) []string {
	flags := []string{"--ignore-pre-flight-checks"}
	if m.role != "worker" {
		flags = append(flags, "--disable-components=coredns,metrics-server,update-prober")
	}
	return flags
}

// k0sConfig are further lines of spec.k0s.config.spec: the lab brings its own pod network, and its kubelets run on
// cgroup v1, too.
func k0sConfig() []string {
	return []string{
		"network: {provider: custom, kubeProxy: {disabled: true}}",
		"telemetry: {enabled: false}",
		"workerProfiles: [{name: default, values: {failCgroupV1: false}}]",
	}
}

// containerdConfig lets containerd run pods on hosts that may not lower what the kernel thinks of killing them.
const containerdConfig = `version = 3
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
`

// putHostFiles unpacks the archive that $LAB_HOST_FILES names on every host: what a real k0s needs there beyond the
// lab's image: bundles of the images of pods, among them pause and that of konnectivity's agent.
func (s *site) putHostFiles() {
	s.t.Helper()
	archive := os.Getenv("LAB_HOST_FILES")
	if archive == "" {
		return
	}
	var unpacking sync.WaitGroup
	for _, h := range s.Hosts() {
		unpacking.Go(func() {
			files, err := os.Open(archive)
			if err != nil {
				s.t.Error(err)
				return
			}
			defer files.Close()
			_, err = h.Exec(s.t.Context(), "tar -x -C / && systemctl daemon-reload", files)
			if err == nil {
				err = h.WriteFile(s.t.Context(), "/etc/k0s/containerd.d/lab.toml", []byte(containerdConfig), 0o644)
			}
			if err != nil {
				s.t.Errorf("%s: %v", h.Name(), err)
			}
		})
	}
	unpacking.Wait()
}
