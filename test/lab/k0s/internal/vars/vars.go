// Package vars knows where k0s keeps its files on a host.
package vars

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
)

const (
	// Version is what "k0s version" prints. It parses as a k0s version
	// (vX.Y.Z+k0s.N) and names the stand-in.
	Version = "v1.36.3+k0s.0.standin"
	// KubernetesVersion is the version the Kubernetes components report.
	KubernetesVersion = "v1.36.3+k0s"
	// EtcdVersion is the version of the etcd that is built in.
	EtcdVersion = "3.6.14"

	// DefaultDataDir is k0s's data directory when --data-dir is not given.
	DefaultDataDir = "/var/lib/k0s"
	// DefaultConfigPath is k0s's config file when --config is not given.
	DefaultConfigPath = "/etc/k0s/k0s.yaml"
	runDir            = "/run/k0s"
)

// Vars are the paths of one k0s process, under the names that the K0sVars
// field of "k0s status -o json" has in k0s.
type Vars struct {
	InvocationID               string
	AdminKubeConfigPath        string
	BinDir                     string
	CertRootDir                string
	DataDir                    string
	KubeletRootDir             string
	EtcdCertDir                string
	EtcdDataDir                string
	KineSocketPath             string
	KonnectivitySocketDir      string
	KubeletAuthConfigPath      string
	ManifestsDir               string
	RunDir                     string
	KonnectivityKubeConfigPath string
	OCIBundleDir               string
	DefaultStorageType         string
	RuntimeConfigPath          string
	StatusSocketPath           string
	StartupConfigPath          string
	HelmHome                   string
	HelmRepositoryCache        string
	HelmRepositoryConfig       string
}

// Flags are the command line flags that move files. Empty fields mean k0s's
// defaults.
type Flags struct {
	DataDir, KubeletRootDir, ConfigPath, StatusSocket string
	// Single is k0s's --single.
	Single bool
}

// New resolves flags to paths and draws an invocation ID.
func New(flags Flags) (*Vars, error) {
	dataDir, err := absolute(flags.DataDir, DefaultDataDir)
	if err != nil {
		return nil, err
	}
	kubeletRoot, err := absolute(flags.KubeletRootDir, filepath.Join(dataDir, "kubelet"))
	if err != nil {
		return nil, err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("drawing an invocation ID: %w", err)
	}
	pki, helm := filepath.Join(dataDir, "pki"), filepath.Join(dataDir, "helmhome")
	v := &Vars{
		InvocationID:               hex.EncodeToString(id[:]),
		AdminKubeConfigPath:        filepath.Join(pki, "admin.conf"),
		BinDir:                     filepath.Join(dataDir, "bin"),
		CertRootDir:                pki,
		DataDir:                    dataDir,
		KubeletRootDir:             kubeletRoot,
		EtcdCertDir:                filepath.Join(pki, "etcd"),
		EtcdDataDir:                filepath.Join(dataDir, "etcd"),
		KineSocketPath:             filepath.Join(runDir, "kine", "kine.sock:2379"),
		KonnectivitySocketDir:      filepath.Join(runDir, "konnectivity-server"),
		KubeletAuthConfigPath:      filepath.Join(dataDir, "kubelet.conf"),
		ManifestsDir:               filepath.Join(dataDir, "manifests"),
		RunDir:                     runDir,
		KonnectivityKubeConfigPath: filepath.Join(pki, "konnectivity.conf"),
		OCIBundleDir:               filepath.Join(dataDir, "images"),
		DefaultStorageType:         "etcd",
		RuntimeConfigPath:          filepath.Join(runDir, "k0s.yaml"),
		StatusSocketPath:           filepath.Join(runDir, "status.sock"),
		StartupConfigPath:          DefaultConfigPath,
		HelmHome:                   helm,
		HelmRepositoryCache:        filepath.Join(helm, "cache"),
		HelmRepositoryConfig:       filepath.Join(helm, "repositories.yaml"),
	}
	if flags.ConfigPath != "" {
		v.StartupConfigPath = flags.ConfigPath
	}
	if flags.StatusSocket != "" {
		v.StatusSocketPath = flags.StatusSocket
	}
	if flags.Single {
		v.DefaultStorageType = "kine"
	}
	return v, nil
}

// Cert returns the path of a certificate under pki/, by its k0s name.
func (v *Vars) Cert(name string) string { return filepath.Join(v.CertRootDir, name+".crt") }

// Key returns the path of a private key under pki/, by its k0s name.
func (v *Vars) Key(name string) string { return filepath.Join(v.CertRootDir, name+".key") }

// EtcdDB is the file whose existence means that this host is, or was, a member
// of an etcd cluster: k0s never joins over it.
func (v *Vars) EtcdDB() string { return filepath.Join(v.EtcdDataDir, "member", "snap", "db") }

// PIDFile is where the process ID of a supervised component is kept.
func (v *Vars) PIDFile(component string) string { return filepath.Join(v.RunDir, component+".pid") }

func absolute(path, otherwise string) (string, error) {
	if path == "" {
		path = otherwise
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolving %q: %w", path, err)
	}
	return abs, nil
}
