package vars

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"sigs.k8s.io/yaml"
)

// ErrStillRunning is returned when another k0s process holds this host.
var ErrStillRunning = errors.New("another k0s process is still running")

// Runtime is the hold of one running k0s process on its host: a locked file
// beside a copy of its paths and config, which other invocations read.
type Runtime struct {
	path string
	lock *os.File
}

type runtimeFile struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Spec       runtimeSpec `json:"spec"`
}

type runtimeSpec struct {
	NodeConfig any   `json:"nodeConfig,omitempty"`
	K0sVars    *Vars `json:"k0sVars"`
}

// Hold takes the host for this process, or fails with ErrStillRunning.
func Hold(v *Vars, nodeConfig any) (*Runtime, error) {
	if err := os.MkdirAll(v.RunDir, 0o755); err != nil {
		return nil, fmt.Errorf("creating the run directory: %w", err)
	}
	lock, err := os.OpenFile(v.RuntimeConfigPath+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the runtime lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrStillRunning
		}
		return nil, fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	data, err := yaml.Marshal(runtimeFile{
		APIVersion: "k0s.k0sproject.io/v1beta1", Kind: "RuntimeConfig",
		Spec: runtimeSpec{NodeConfig: nodeConfig, K0sVars: v},
	})
	if err == nil {
		err = os.WriteFile(v.RuntimeConfigPath, data, 0o600)
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("writing the runtime config: %w", err)
	}
	return &Runtime{path: v.RuntimeConfigPath, lock: lock}, nil
}

// Release gives the host back.
func (r *Runtime) Release() error {
	return errors.Join(os.Remove(r.path), r.lock.Close())
}

// Held reports whether a k0s process runs on this host.
func Held(v *Vars) (bool, error) {
	lock, err := os.OpenFile(v.RuntimeConfigPath+".lock", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("opening the runtime lock: %w", err)
	}
	defer lock.Close()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("testing the runtime lock: %w", err)
	}
	return false, nil
}

// OfRunning returns the paths of the k0s process that runs on this host, or v
// itself where none runs. This is why "k0s token" needs no --data-dir while
// k0s runs.
func OfRunning(v *Vars) *Vars {
	held, err := Held(v)
	if err != nil || !held {
		return v
	}
	data, err := os.ReadFile(v.RuntimeConfigPath)
	if err != nil {
		return v
	}
	var file runtimeFile
	if err := yaml.Unmarshal(data, &file); err != nil || file.Spec.K0sVars == nil {
		return v
	}
	return file.Spec.K0sVars
}
