//go:build e2e

package e2e

// installFlags are what a host of the lab needs to run k0s.
func installFlags(member) []string { return nil }

// k0sConfig are further lines of spec.k0s.config.spec.
func k0sConfig() []string { return nil }
