package lab

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func testRecord() record {
	subnet := netip.MustParsePrefix("10.10.0.0/16")
	return record{
		Name: "x", Subnet: subnet, Privileges: privileged,
		Hosts: []hostRecord{
			{Name: "a", Address: netip.MustParseAddr("10.10.0.2"), Flavour: Bare, Image: "image"},
			{Name: "b", Address: netip.MustParseAddr("10.10.1.2"), Flavour: Bare, Image: "image", Private: true},
		},
	}
}

// unpack returns the files and the modes of a tar archive.
func unpack(t *testing.T, archive []byte) (map[string]string, map[string]int64) {
	t.Helper()
	files, modes := map[string]string{}, map[string]int64{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, modes
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name], modes[header.Name] = string(data), header.Mode
	}
}

func TestHostsDifferByTheirFiles(t *testing.T) {
	r, dir := testRecord(), t.TempDir()
	if err := r.writeKeys(dir); err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, h := range r.Hosts {
		keys, err := readKeys(dir, h.Name)
		if err != nil {
			t.Fatal(err)
		}
		archive, err := r.hostFiles(h, keys)
		if err != nil {
			t.Fatal(err)
		}
		files, modes := unpack(t, archive)
		if modes["etc/ssh/ssh_host_ed25519_key"] != 0o600 || modes["etc/ssh/ssh_host_ecdsa_key"] != 0o600 {
			t.Errorf("host keys are readable: %v", modes)
		}
		all = append(all, files)
	}
	for _, path := range []string{"etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ecdsa_key.pub",
		"etc/lab/routes", "etc/cni/net.d/99-lab.conflist"} {
		if all[0][path] == "" || all[0][path] == all[1][path] {
			t.Errorf("%s is the same on both hosts, or missing", path)
		}
	}
	if got := all[0]["etc/lab/routes"]; got != "10.244.1.0/24 10.10.1.2\n" {
		t.Errorf("routes: %q", got)
	}
	if _, public := all[0]["etc/lab/private"]; public || all[1]["etc/lab/private"] != "10.10.0.1\n" {
		t.Errorf("private: %q", all[1]["etc/lab/private"])
	}
	var network struct {
		Plugins []struct {
			IPAM struct {
				Ranges [][]struct{ Subnet netip.Prefix }
			}
		}
	}
	if err := json.Unmarshal([]byte(all[1]["etc/cni/net.d/99-lab.conflist"]), &network); err != nil {
		t.Fatal(err)
	}
	if got := network.Plugins[0].IPAM.Ranges[0][0].Subnet.String(); got != "10.244.1.0/24" {
		t.Errorf("pods on %s", got)
	}
}

func TestKeysWorkAndAreTheUsersOwn(t *testing.T) {
	r, dir := testRecord(), t.TempDir()
	if err := r.writeKeys(dir); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.ParsePrivateKey(client); err != nil {
		t.Errorf("client key: %v", err)
	}
	check, err := knownhosts.New(filepath.Join(dir, knownHostsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Hosts {
		keys, err := readKeys(dir, h.Name)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.ParsePrivateKey(keys.ed25519.private)
		if err != nil {
			t.Fatal(err)
		}
		address := &addr{netip.AddrPortFrom(h.Address, 22).String()}
		if err := check(address.String(), address, signer.PublicKey()); err != nil {
			t.Errorf("known_hosts and host %s: %v", h.Name, err)
		}
		if _, err := ssh.ParsePrivateKey(keys.ecdsa.private); err != nil {
			t.Errorf("ecdsa key of host %s: %v", h.Name, err)
		}
	}
}

type addr struct{ text string }

func (a *addr) Network() string { return "tcp" }
func (a *addr) String() string  { return a.text }

func TestSSHConfigReachesPrivateHostsThroughAnother(t *testing.T) {
	config := string(testRecord().sshConfig("/state"))
	if !strings.Contains(config, "Host b 10.10.1.2\n    HostName 10.10.1.2\n    ProxyJump a\n") ||
		strings.Count(config, "ProxyJump") != 1 || !strings.Contains(config, `IdentityFile "/state/id_ed25519"`) {
		t.Error(config)
	}
}

func TestRecordSurvivesItsFile(t *testing.T) {
	r, dir := testRecord(), t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadRecord(dir)
	if err != nil || !slices.Equal(got.Hosts, r.Hosts) || got.Subnet != r.Subnet || got.Privileges != r.Privileges {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := loadRecord(t.TempDir()); err == nil {
		t.Error("a folder without a record is a lab")
	}
}

func TestImageContextIsTheSameForTheSameFiles(t *testing.T) {
	one, err := imageContext()
	if err != nil {
		t.Fatal(err)
	}
	two, err := imageContext()
	if err != nil || !bytes.Equal(one, two) {
		t.Fatalf("two archives differ (%v)", err)
	}
	_, modes := unpack(t, one)
	for path, mode := range map[string]int64{
		"Dockerfile":                    0o644,
		"packages":                      0o644,
		"rootfs/etc/sudoers.d/ops":      0o644,
		"rootfs/usr/local/sbin/lab-cut": 0o755,
		"rootfs/etc/systemd/system-generators/lab-limits": 0o755,
	} {
		if got, ok := modes[path]; !ok || got != mode {
			t.Errorf("%s: mode %o, want %o (%v)", path, got, mode, slices.Sorted(maps.Keys(modes)))
		}
	}
}

func TestImagePackagesAreNames(t *testing.T) {
	packages, err := imagePackages()
	if err != nil || len(packages) < 10 || !slices.Contains(packages, "systemd") || slices.Contains(packages, "haproxy") {
		t.Errorf("got %v, %v", packages, err)
	}
}
