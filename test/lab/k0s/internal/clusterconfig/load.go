package clusterconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Load reads the config of a host. Like k0s it uses defaults alone where the
// default file does not exist.
func Load(v *vars.Vars) (*Config, error) {
	data, err := os.ReadFile(v.StartupConfigPath)
	if errors.Is(err, fs.ErrNotExist) && v.StartupConfigPath == vars.DefaultConfigPath {
		return withStorage(Default(), v.DefaultStorageType), nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to load node config: %w", err)
	}
	config, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("failed to load node config: %w", err)
	}
	return withStorage(config, v.DefaultStorageType), nil
}

// withStorage applies --single, which is kine in k0s unless the file says etcd.
func withStorage(c *Config, defaultType string) *Config {
	if c.Spec.Storage.Type == "" {
		c.Spec.Storage.Type = defaultType
	}
	if c.Spec.Storage.Type == "etcd" {
		c.Spec.Storage.Etcd = withEtcdDefaults(c.Spec.Storage.Etcd)
	}
	return c
}

// Parse reads a k0s.yaml and fills in defaults. Unknown fields are errors, as
// in k0s.
func Parse(data []byte) (*Config, error) {
	config := &Config{}
	if err := yaml.UnmarshalStrict(data, config); err != nil {
		return nil, err
	}
	fillDefaults(config)
	return config, nil
}
