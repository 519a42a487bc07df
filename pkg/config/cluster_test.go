package config

import "testing"

func TestHostAddress(t *testing.T) {
	for _, test := range []struct {
		name string
		host Host
		want string
	}{
		{"private", Host{PrivateAddress: "10.0.0.1", Conn: Connection{SSH: &SSH{Address: "192.0.2.1"}}}, "10.0.0.1"},
		{"of the connection", Host{Conn: Connection{SSH: &SSH{Address: "192.0.2.1"}}}, "192.0.2.1"},
		{"IPv6 in the shortest form", Host{Conn: Connection{OpenSSH: &OpenSSH{Address: "FD00:0::1"}}}, "fd00::1"},
		{"a name", Host{Conn: Connection{SSH: &SSH{Address: "cp1"}}}, ""},
		{"a forwarded port of this machine", Host{Conn: Connection{SSH: &SSH{Address: "127.0.0.1", Port: 9022}}}, ""},
		{"this machine", Host{Conn: Connection{Localhost: true}}, ""},
		{"no connection", Host{}, ""},
		{"of an interface", Host{PrivateInterface: "eth1", Conn: Connection{SSH: &SSH{Address: "192.0.2.1"}}}, ""},
		{
			"private, whatever the interface",
			Host{PrivateInterface: "eth1", PrivateAddress: "10.0.0.1", Conn: Connection{SSH: &SSH{Address: "192.0.2.1"}}}, "10.0.0.1",
		},
	} {
		if got := test.host.Address(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestHostsBehindOneAddressMayHaveTheirOwnByInterface(t *testing.T) {
	f := parse(t, `apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
spec:
  hosts:
    - {role: controller, privateInterface: eth1, ssh: {address: 192.0.2.1, port: 2201}}
    - {role: worker, privateInterface: eth1, ssh: {address: 192.0.2.1, port: 2202}}
`)
	if len(f.Cluster.Hosts) != 2 {
		t.Errorf("got %d hosts", len(f.Cluster.Hosts))
	}
}

func TestRoles(t *testing.T) {
	for role, want := range map[Role][2]bool{
		RoleController: {true, false}, RoleControllerWorker: {true, true}, RoleWorker: {false, true},
	} {
		h := Host{Role: role}
		if h.IsController() != want[0] || h.RunsKubelet() != want[1] {
			t.Errorf("%s: controller %v, kubelet %v", role, h.IsController(), h.RunsKubelet())
		}
	}
	c := Cluster{Hosts: []*Host{{Role: RoleWorker, Line: 1}, {Role: RoleController, Line: 2}, {Role: RoleControllerWorker, Line: 3}}}
	if cs, ws := c.Controllers(), c.Workers(); len(cs) != 2 || cs[0].Line != 2 || len(ws) != 1 || ws[0].Line != 1 {
		t.Errorf("controllers %v, workers %v", cs, ws)
	}
}

func TestDataDirOrDefault(t *testing.T) {
	for dir, want := range map[string]string{"": "/var/lib/k0s", "/srv/k0s": "/srv/k0s", "/srv//k0s/": "/srv/k0s"} {
		if got := (&Host{DataDir: dir}).DataDirOrDefault(); got != want {
			t.Errorf("%q: got %q, want %q", dir, got, want)
		}
	}
}

func TestConnectionString(t *testing.T) {
	for want, c := range map[string]Connection{
		"root@10.0.0.1:22":    {SSH: &SSH{User: "root", Address: "10.0.0.1", Port: 22}},
		"root@[fd00::1]:2222": {SSH: &SSH{User: "root", Address: "fd00::1", Port: 2222}},
		"alias":               {OpenSSH: &OpenSSH{Address: "alias"}},
		"me@alias":            {OpenSSH: &OpenSSH{Address: "alias", User: "me"}},
		"alias:2222":          {OpenSSH: &OpenSSH{Address: "alias", Port: 2222}},
		"localhost":           {Localhost: true},
		"no connection":       {},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheSameAddressBehindAnotherBastionIsAnotherMachine(t *testing.T) {
	near := Connection{SSH: &SSH{Address: "cp1", Port: 22, Bastion: &SSH{Address: "a", Port: 22}}}
	far := Connection{SSH: &SSH{Address: "cp1", Port: 22, Bastion: &SSH{Address: "b", Port: 22}}}
	if near.key() == far.key() {
		t.Error("taken for one machine")
	}
}
