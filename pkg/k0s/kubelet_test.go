package k0s

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

const kubeletConf = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: c2VydmVyOiBodHRwczovLzEuMi4zLjQK
    server: https://10.10.0.2:6443
  name: default-cluster
contexts:
- context:
    cluster: default-cluster
    namespace: default
    user: default-auth
  name: default-context
current-context: default-context
kind: Config
users:
- name: default-auth
  user:
    client-certificate: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/k0s/kubelet/pki/kubelet-client-current.pem
`

func TestKubeletServerIsFoundAndReplacedAlone(t *testing.T) {
	const old, other = "https://10.10.0.2:6443", "https://[fd00::10]:6443"
	for name, text := range map[string]string{
		"as k0s writes it":      kubeletConf,
		"CRLF":                  strings.ReplaceAll(kubeletConf, "\n", "\r\n"),
		"no final newline":      strings.TrimSuffix(kubeletConf, "\n"),
		"server last":           "clusters:\n- cluster:\n    server: " + old,
		"blank lines after it":  "    server: " + old + "\n\n\n  name: x\n",
		"quoted":                `    server: "` + old + "\"\n",
		"trailing blanks":       "    server: " + old + " \t\n",
		"comment":               "    server: " + old + " # the first controller\n",
		"dollars are just text": "a: $1 ${1}\n    server: " + old + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := KubeletServer([]byte(text)); err != nil || got != old {
				t.Errorf("found %q, %v", got, err)
			}
			got := string(withServer([]byte(text), other))
			if want := strings.ReplaceAll(text, old, other); got != want {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
	for _, text := range []string{"", "clusters: []\n", "    server:\n", "    server: \n    name: x\n", "# server: https://x\n", "server: a b\n"} {
		if got, err := KubeletServer([]byte(text)); err == nil {
			t.Errorf("%q: found %q", text, got)
		}
	}
}

func TestSetKubeletServer(t *testing.T) {
	const conf = "/data/kubelet.conf"
	m := newMachine(t, nil)
	node := &Node{Machine: m, DataDir: "/data"}

	if got, err := node.KubeletKubeconfig(t.Context()); err != nil || got != nil {
		t.Errorf("one that has not joined: %q, %v", got, err)
	}
	if err := node.SetKubeletServer(t.Context(), "https://10.10.4.10:6443"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that has not joined: %v", err)
	}
	m.files[conf] = file{data: "nothing"}
	if err := node.SetKubeletServer(t.Context(), "https://10.10.4.10:6443"); err == nil {
		t.Error("a file without a server cannot be re-pointed")
	}
	m.files[conf] = file{data: kubeletConf}
	if err := node.SetKubeletServer(t.Context(), "https://10.10.4.10:6443"); err != nil {
		t.Fatal(err)
	}
	text, err := node.KubeletKubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := KubeletServer(text); err != nil || got != "https://10.10.4.10:6443" {
		t.Errorf("got %q, %v", got, err)
	}
	if m.files[conf].mode != 0 {
		t.Errorf("owner and mode must stay; the mode given was %s", m.files[conf].mode)
	}
	m.expect()
}

func FuzzKubeletServer(f *testing.F) {
	f.Add([]byte(kubeletConf))
	f.Add([]byte("server: a\r\nserver: b #c\n\tserver: 'd'\n"))
	f.Add([]byte("    server:   https://[fd00::1]:6443"))
	f.Fuzz(func(t *testing.T, text []byte) {
		old, err := KubeletServer(text)
		before := bytes.Clone(text)
		const other = "https://10.10.4.10:6443"
		changed := withServer(text, other)
		if !bytes.Equal(text, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !bytes.Equal(changed, text) {
				t.Fatalf("there is no server, and yet %q became %q", text, changed)
			}
			return
		}
		if got, _ := KubeletServer(changed); got != other {
			t.Fatalf("the server of %q is %q", changed, got)
		}
		if again := withServer(changed, other); !bytes.Equal(again, changed) {
			t.Fatalf("done twice: %q, %q", changed, again)
		}
		if lines := bytes.Count(text, []byte("\n")); bytes.Count(changed, []byte("\n")) != lines {
			t.Fatal("a line was lost")
		}
		// Whatever is not a server comes back with the servers.
		if bytes.Count(text, []byte("server:")) == 1 {
			if back := withServer(changed, old); !bytes.Equal(back, text) {
				t.Fatalf("%q came back as %q", text, back)
			}
		}
	})
}
