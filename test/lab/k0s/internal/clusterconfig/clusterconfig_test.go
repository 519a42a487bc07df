package clusterconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

func TestDefaultsAreK0sOwn(t *testing.T) {
	c, err := Parse([]byte("spec: {api: {address: 10.0.0.1}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if api := c.Spec.API; api.Port != 6443 || api.K0sAPIPort != 9443 || api.CA.CertificatesExpireAfter != "8760h0m0s" {
		t.Errorf("api = %+v", api)
	}
	if n := c.Spec.Network; n.PodCIDR != "10.244.0.0/16" || n.ServiceCIDR != "10.96.0.0/12" || n.ClusterDomain != "cluster.local" {
		t.Errorf("network = %+v", n)
	}
	service, err := c.Spec.Network.ServiceAddress()
	if err != nil || service.String() != "10.96.0.1" {
		t.Errorf("service address = %v, %v", service, err)
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	if _, err := Parse([]byte("spec: {api: {adress: 10.0.0.1}}\n")); err == nil || !strings.Contains(err.Error(), "adress") {
		t.Errorf("err = %v, want one that names the field", err)
	}
}

func TestStorage(t *testing.T) {
	for name, test := range map[string]struct {
		file   string
		single bool
		want   string
	}{
		"etcd is the default":      {"spec: {}\n", false, "etcd"},
		"a single node has kine":   {"spec: {}\n", true, "kine"},
		"unless the file asks not": {"spec: {storage: {type: etcd}}\n", true, "etcd"},
		"kine can be asked for":    {"spec: {storage: {type: kine}}\n", false, "kine"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k0s.yaml")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := vars.New(vars.Flags{ConfigPath: path, Single: test.single})
			if err != nil {
				t.Fatal(err)
			}
			c, err := Load(v)
			if err != nil {
				t.Fatal(err)
			}
			if c.Spec.Storage.Type != test.want {
				t.Errorf("storage type = %q, want %q", c.Spec.Storage.Type, test.want)
			}
			if test.want == "etcd" && c.Spec.Storage.Etcd.PeerAddress == "" {
				t.Error("etcd has no peer address")
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	v, err := vars.New(vars.Flags{ConfigPath: filepath.Join(t.TempDir(), "none.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(v); err == nil {
		t.Error("a config file that was asked for and does not exist is no error")
	}
}

func TestURLs(t *testing.T) {
	for name, test := range map[string]struct {
		api                     API
		api6443, join, external string
		externalPort            int
	}{
		"own address": {
			API{Address: "10.0.0.1", Port: 6443, K0sAPIPort: 9443},
			"https://10.0.0.1:6443", "https://10.0.0.1:9443", "", 6443,
		},
		"external address": {
			API{Address: "10.0.0.1", ExternalAddress: "10.0.0.9", Port: 6443, K0sAPIPort: 9443},
			"https://10.0.0.9:6443", "https://10.0.0.9:9443", "10.0.0.9", 6443,
		},
		"external host and port break the join URL": {
			API{Address: "10.0.0.1", ExternalAddress: "lb.example.com:443", Port: 6443, K0sAPIPort: 9443},
			"https://lb.example.com:443", "https://lb.example.com:443", "lb.example.com", 443,
		},
		"IPv6": {
			API{Address: "fd00::1", ExternalAddress: "fd00::9", Port: 6443, K0sAPIPort: 9443},
			"https://[fd00::9]:6443", "https://[fd00::9]:9443", "fd00::9", 6443,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.api.URL(); got != test.api6443 {
				t.Errorf("URL = %s, want %s", got, test.api6443)
			}
			if got := test.api.JoinURL(); got != test.join {
				t.Errorf("JoinURL = %s, want %s", got, test.join)
			}
			if got := test.api.ExternalHost(); got != test.external {
				t.Errorf("ExternalHost = %s, want %s", got, test.external)
			}
			if got := test.api.ExternalPort(); got != test.externalPort {
				t.Errorf("ExternalPort = %d, want %d", got, test.externalPort)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct{ file, problem string }{
		"sound":            {"{api: {address: 10.0.0.1, externalAddress: lb.example.com, sans: [a.b, 10.0.0.9]}}", ""},
		"address a name":   {"{api: {address: cp1}}", "address: Invalid value: \"cp1\""},
		"address any":      {"{api: {address: 0.0.0.0}}", "address: Invalid value: \"0.0.0.0\""},
		"external address": {"{api: {address: 10.0.0.1, externalAddress: 'a b'}}", "externalAddress"},
		"SAN":              {"{api: {address: 10.0.0.1, sans: [x, '?']}}", "sans[1]"},
		"port":             {"{api: {address: 10.0.0.1, port: 70000}}", "port: Invalid value: 70000"},
		"storage":          {"{api: {address: 10.0.0.1}, storage: {type: paper}}", "storage: type: Unsupported value: \"paper\""},
		"node-local load balancing": {
			"{api: {address: 10.0.0.1, externalAddress: 10.0.0.9}, network: {nodeLocalLoadBalancing: {enabled: true}}}",
			"in conjunction with an external",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte("spec: " + test.file + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			err = withStorage(c, "etcd").Validate()
			switch {
			case test.problem == "" && err != nil:
				t.Errorf("unexpected: %v", err)
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("err = %v, want %q", err, test.problem)
			}
		})
	}
}
