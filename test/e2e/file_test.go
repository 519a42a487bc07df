//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"strings"
)

// member is a host in a cluster file.
type member struct {
	name string // in the lab
	role string
	user string   // root when empty
	key  string   // path of the private key; the lab's when empty
	more []string // further lines of the host's entry
}

func controllerWorker(names ...string) []member { return members("controller+worker", names...) }

func controller(names ...string) []member { return members("controller", names...) }

func worker(names ...string) []member { return members("worker", names...) }

func members(role string, names ...string) []member {
	list := make([]member, len(names))
	for i, n := range names {
		list[i] = member{name: n, role: role}
	}
	return list
}

// clusterFile is what a test's cluster.yaml says.
type clusterFile struct {
	members   []member
	balancers []string // hosts of the lab; the guide's one when nil
	more      []string // further lines of the LoadBalancer's spec
	noK0s     bool     // the hosts have their k0s already
}

// write writes cluster.yaml.
func (s *site) write(f clusterFile) {
	s.t.Helper()
	if f.balancers == nil {
		f.balancers = []string{loadBalancer}
	}
	if err := os.WriteFile(s.path("cluster.yaml"), []byte(s.text(f)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) text(f clusterFile) string {
	s.t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("apiVersion: k0sctl.k0sproject.io/v1beta1")
	line("kind: Cluster")
	line("metadata: {name: lab}")
	line("spec:")
	line("  hosts:")
	for _, m := range f.members {
		user := cmp.Or(m.user, "root")
		line("    - role: %s", m.role)
		line("      ssh: {address: %s, user: %s, keyPath: %s}", s.host(m.name).Address(), user, cmp.Or(m.key, s.KeyPath()))
		if m.role == "controller+worker" {
			line("      noTaints: true")
		}
		if !f.noK0s {
			line("      uploadBinary: true")
			line("      k0sBinaryPath: %s", k0sExecutable)
		}
		if flags := installFlags(m); len(flags) > 0 {
			line(`      installFlags: ["%s"]`, strings.Join(flags, `", "`))
		}
		for _, more := range m.more {
			line("      %s", more)
		}
	}
	line("  k0s:")
	line("    config:")
	line("      spec:")
	line("        api: {externalAddress: %[1]s, sans: [%[1]s]}", s.host(f.balancers[0]).Address())
	for _, more := range k0sConfig() {
		line("        %s", more)
	}
	line("---")
	line("apiVersion: kubectl-ha.io/v1alpha1")
	line("kind: LoadBalancer")
	line("metadata: {name: control-plane}")
	line("spec:")
	line("  hosts:")
	for _, name := range f.balancers {
		line("    - ssh: {address: %s, user: root, keyPath: %s}", s.host(name).Address(), s.KeyPath())
	}
	for _, more := range f.more {
		line("  %s", more)
	}
	return b.String()
}
