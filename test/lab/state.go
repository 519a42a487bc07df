package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// DefaultStateDir is the folder that holds the state of all labs: $LAB_STATE, or kubectl-ha/lab in the user's cache
// folder.
func DefaultStateDir() (string, error) {
	if dir := os.Getenv("LAB_STATE"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for the lab's state: %w: set LAB_STATE", err)
	}
	return filepath.Join(cache, "kubectl-ha", "lab"), nil
}

// record is what a lab's folder remembers of it, as lab.json.
type record struct {
	Name       string       `json:"name"`
	Subnet     netip.Prefix `json:"subnet"`
	Privileges privileges   `json:"privileges"`
	Hosts      []hostRecord `json:"hosts"`
}

// hostRecord is one host of a lab.
type hostRecord struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Flavour Flavour    `json:"flavour"`
	Private bool       `json:"private,omitempty"`
	Image   string     `json:"image"`
}

// The files of a lab's folder.
const (
	recordFile     = "lab.json"
	keyFile        = "id_ed25519"
	knownHostsFile = "known_hosts"
	sshConfigFile  = "ssh_config"
)

// labDir is the folder of one lab: "labs/NAME", beside what labs share.
func labDir(stateDir, name string) string { return filepath.Join(stateDir, "labs", name) }

func writePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	return nil
}

func (r record) save(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the lab's state: %w", err)
	}
	return writePrivate(filepath.Join(dir, recordFile), append(data, '\n'))
}

func loadRecord(dir string) (record, error) {
	var r record
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("no lab %s here (%s is missing): labctl up makes one", filepath.Base(dir), recordFile)
	}
	if err != nil {
		return r, fmt.Errorf("reading the lab's state: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("reading %s: %w", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}
