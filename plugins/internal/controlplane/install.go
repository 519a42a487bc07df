package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// newConfig is the k0s.yaml of a controller that joins: the running cluster's where there is one, since all
// controllers must agree, else the file's.
func (c *Cluster) newConfig(m *machine) config.Object {
	base := c.file.Cluster.K0s.Config
	if c.exists() && c.seed.config != nil {
		base = c.seed.config
	}
	object, _ := c.withAddresses(base, m)
	return object
}

// withAddresses gives a configuration the addresses of the machine and of the load balancer, and says in words what
// changed.
func (c *Cluster) withAddresses(base config.Object, m *machine) (config.Object, []string) {
	lb := c.file.LoadBalancer
	sans := []string{lb.Address}
	for _, b := range lb.Hosts {
		if b.PrivateAddress != "" && !slices.Contains(sans, b.PrivateAddress) {
			sans = append(sans, b.PrivateAddress)
		}
	}
	return base.ForController(m.address.String(), lb.Address, sans)
}

// install writes the host's configuration and its k0s service. It is done again on a host that was left half-way.
func (c *Cluster) install(ctx context.Context, m *machine, tokenFile string) error {
	h := m.host
	if h.IsController() {
		text, err := c.newConfig(m).YAML()
		if err != nil {
			return fmt.Errorf("writing %s: %w", k0s.ConfigPath, err)
		}
		if err := m.replaceConfig(ctx, text); err != nil {
			return err
		}
	}
	if err := m.noteHooks(ctx); err != nil {
		return err
	}
	flags := slices.Clone(h.InstallFlags)
	if c.file.Cluster.K0s.DynamicConfig && h.IsController() && !slices.Contains(flags, "--enable-dynamic-config") {
		flags = append(flags, "--enable-dynamic-config")
	}
	return m.node.Install(ctx, k0s.Install{
		Controller:     h.IsController(),
		EnableWorker:   h.Role == config.RoleControllerWorker,
		NoTaints:       h.NoTaints,
		TokenFile:      tokenFile,
		KubeletRootDir: h.KubeletRootDir,
		Flags:          flags,
		Environment:    h.Environment,
	})
}

// detailConfig says what is done on the host, and shows what becomes of its k0s.yaml.
func (m *machine) detailConfig(ctx context.Context, object config.Object, what string) ([]string, error) {
	before, err := m.conn.ReadFile(ctx, k0s.ConfigPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, at(m.host.Conn, err)
	}
	after, err := object.YAML()
	if err != nil {
		return nil, err
	}
	return append([]string{m.name() + ": " + what}, diffLines(k0s.ConfigPath, before, after)...), nil
}

// backupSuffix marks the copy of a k0s.yaml from before this command changed it for the first time.
const backupSuffix = ".kubectl-ha-backup"

// replaceConfig writes k0s.yaml and keeps the first one that was not this command's.
func (m *machine) replaceConfig(ctx context.Context, text []byte) error {
	old, err := m.conn.ReadFile(ctx, k0s.ConfigPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case string(old) == string(text):
		return nil
	default:
		// An earlier copy is closer to what the user wrote.
		backup := k0s.ConfigPath + backupSuffix
		if _, err := m.conn.Output(ctx, "[ -e "+backup+" ] || cp -p "+k0s.ConfigPath+" "+backup, nil); err != nil {
			return fmt.Errorf("keeping a copy of %s: %w", k0s.ConfigPath, err)
		}
	}
	if _, err := m.conn.Output(ctx, "mkdir -p /etc/k0s", nil); err != nil {
		return fmt.Errorf("writing %s: %w", k0s.ConfigPath, err)
	}
	if err := m.conn.WriteFile(ctx, k0s.ConfigPath, text, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", k0s.ConfigPath, err)
	}
	return nil
}
