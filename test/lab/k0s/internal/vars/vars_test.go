package vars

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestVersionIsK0sLikeAndSaysWhatItIs(t *testing.T) {
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+\+k0s\.\d+(\.[a-z]+)?$`).MatchString(Version) {
		t.Errorf("%s does not look like a version of k0s", Version)
	}
	if !strings.Contains(Version, "standin") {
		t.Errorf("%s does not name the stand-in", Version)
	}
	if !strings.HasPrefix(Version, KubernetesVersion+".") {
		t.Errorf("%s is not of Kubernetes %s", Version, KubernetesVersion)
	}
}

func TestPaths(t *testing.T) {
	v, err := New(Flags{})
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		v.Cert("etcd/server"): "/var/lib/k0s/pki/etcd/server.crt",
		v.EtcdDB():            "/var/lib/k0s/etcd/member/snap/db",
		v.KubeletRootDir:      "/var/lib/k0s/kubelet",
		v.StatusSocketPath:    "/run/k0s/status.sock",
		v.StartupConfigPath:   "/etc/k0s/k0s.yaml",
		v.PIDFile("etcd"):     "/run/k0s/etcd.pid",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	moved, err := New(Flags{DataDir: "/data/k0s", KubeletRootDir: "/data/kubelet", Single: true})
	if err != nil {
		t.Fatal(err)
	}
	if moved.AdminKubeConfigPath != "/data/k0s/pki/admin.conf" || moved.KubeletRootDir != "/data/kubelet" ||
		moved.DefaultStorageType != "kine" || moved.InvocationID == v.InvocationID {
		t.Errorf("moved = %+v", moved)
	}
}

func TestOneProcessHoldsTheHost(t *testing.T) {
	run := t.TempDir()
	at := func(dataDir string) *Vars {
		v, err := New(Flags{DataDir: dataDir})
		if err != nil {
			t.Fatal(err)
		}
		v.RunDir, v.RuntimeConfigPath = run, filepath.Join(run, "k0s.yaml")
		return v
	}
	running, command := at("/data/k0s"), at("")
	if held, err := Held(command); err != nil || held {
		t.Fatalf("held %t, %v before anything runs", held, err)
	}
	hold, err := Hold(running, map[string]any{"kind": "ClusterConfig"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Hold(command, nil); !errors.Is(err, ErrStillRunning) {
		t.Errorf("err = %v, want ErrStillRunning", err)
	}
	if held, err := Held(command); err != nil || !held {
		t.Errorf("held %t, %v", held, err)
	}
	if got := OfRunning(command); got.DataDir != "/data/k0s" {
		t.Errorf("a command uses %s, not the running k0s's data directory", got.DataDir)
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	if held, _ := Held(command); held || OfRunning(command) != command {
		t.Error("the host is still held")
	}
}
