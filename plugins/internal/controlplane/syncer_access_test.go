package controlplane

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const ourLine = `restrict,command="/usr/local/lib/kubectl-ha/ha-lb-helper" ssh-ed25519 AAAA kubectl-ha:ha-syncer`

func TestAuthorizeLeavesEveryOtherLineAsItIs(t *testing.T) {
	old := `restrict,command="sudo -n /usr/local/lib/kubectl-ha/ha-lb-helper" ssh-ed25519 BBBB kubectl-ha:ha-syncer`
	for name, c := range map[string]struct{ before, after string }{
		"no file":                      {"", ourLine + "\n"},
		"a key":                        {"ssh-ed25519 CCCC anna\n", "ssh-ed25519 CCCC anna\n" + ourLine + "\n"},
		"no newline at the end":        {"ssh-ed25519 CCCC anna", "ssh-ed25519 CCCC anna\n" + ourLine + "\n"},
		"it is there":                  {"# c\n" + ourLine + "\n\nssh-rsa x\n", "# c\n" + ourLine + "\n\nssh-rsa x\n"},
		"an older one":                 {"a\n" + old + "\nb\n", "a\n" + ourLine + "\nb\n"},
		"an older one without newline": {"a\n" + old, "a\n" + ourLine + "\n"},
		"two older ones":               {old + "\r\na\n" + old + "\n", ourLine + "\na\n"},
		"somebody's by that name":      {"ssh-ed25519 CCCC kubectl-ha:ha-syncer\n", "ssh-ed25519 CCCC kubectl-ha:ha-syncer\n" + ourLine + "\n"},
		"one that was commented out":   {"#" + old + "\n", "#" + old + "\n" + ourLine + "\n"},
		"odd bytes":                    {"\x00\xff\r\n\n  \n", "\x00\xff\r\n\n  \n" + ourLine + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(authorize([]byte(c.before), ourLine)); got != c.after {
				t.Errorf("got\n%q\nwant\n%q", got, c.after)
			}
		})
	}
}

func FuzzAuthorize(f *testing.F) {
	f.Add([]byte("ssh-rsa x\n" + ourLine + "\r\n" + ourLine))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, before []byte) {
		after := authorize(before, ourLine)
		if !bytes.Equal(after, authorize(after, ourLine)) {
			t.Errorf("%q becomes another file each time", before)
		}
		others := func(text []byte) (all []byte) {
			for line := range bytes.Lines(text) {
				if !isKeyLine(line) {
					all = append(all, line...)
				}
			}
			return all
		}
		kept := others(before)
		if len(kept) > 0 && !bytes.HasSuffix(kept, []byte("\n")) { // it is followed by ours
			kept = append(kept, '\n')
		}
		if !bytes.Equal(others(after), kept) {
			t.Errorf("%q became %q", before, after)
		}
		if bytes.Count(after, []byte(ourLine+"\n")) != 1+bytes.Count(others(before), []byte(ourLine+"\n")) {
			t.Errorf("%q has it not once", after)
		}
	})
}

// testKey is any public key.
func testKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(ed25519.PublicKey(bytes.Repeat([]byte{1}, ed25519.PublicKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWhatLetsTheKeyIn(t *testing.T) {
	key := testKey(t)
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	root := &access{user: "root", file: "/root/.ssh/authorized_keys", address: netip.MustParseAddrPort("10.10.4.10:22"), hostKeys: []ssh.PublicKey{key}}
	ops := &access{user: "ops", file: "/home/ops/.ssh/authorized_keys", address: netip.MustParseAddrPort("[fd00::1]:2222"), hostKeys: []ssh.PublicKey{key}}
	for got, want := range map[string]string{
		root.keyLine(key):          `restrict,command="/usr/local/lib/kubectl-ha/ha-lb-helper" ` + text + ` kubectl-ha:ha-syncer`,
		ops.keyLine(key):           `restrict,command="sudo -n /usr/local/lib/kubectl-ha/ha-lb-helper" ` + text + ` kubectl-ha:ha-syncer`,
		string(root.sudoersRule()): "",
		string(ops.sudoersRule()): "# The syncer's key runs the helper by this: see /home/ops/.ssh/authorized_keys.\n" +
			`ops ALL=(root) NOPASSWD: /usr/local/lib/kubectl-ha/ha-lb-helper ""` + "\n",
		root.target():     "root@10.10.4.10:22",
		ops.target():      "ops@[fd00::1]:2222",
		root.knownHosts(): "10.10.4.10 " + text + "\n",
		ops.knownHosts():  "[fd00::1]:2222 " + text + "\n",
	} {
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if lines := ops.lines("lb", key); len(lines) != 2 {
		t.Errorf("it lacks %q", lines)
	}
	ops.keys, ops.sudoers = authorize(nil, ops.keyLine(key)), ops.sudoersRule()
	if lines := ops.lines("lb", key); len(lines) != 0 {
		t.Errorf("it lacks %q", lines)
	}
}

func TestLookingAtTheWayToALoadBalancer(t *testing.T) {
	hostKey := string(ssh.MarshalAuthorizedKey(testKey(t)))
	answers := func(user, home, keys string) func(string) (string, error) {
		return func(command string) (string, error) {
			switch {
			case strings.HasPrefix(command, "echo "):
				return user, nil
			case strings.HasPrefix(command, "eval echo "):
				return home, nil
			case strings.HasPrefix(command, "cat /etc/ssh/"):
				return keys, nil
			}
			return "", nil
		}
	}
	for name, c := range map[string]struct {
		asked, user, home, keys string
		want, problem           string
	}{
		"the user who logs in":  {"", "ops", "/home/ops", hostKey + hostKey, "ops@10.10.4.10:22", ""},
		"the one that is named": {"sync", "ops", "/home/sync", hostKey, "sync@10.10.4.10:22", ""},
		"one who is not there":  {"sync", "ops", "~sync", hostKey, "", `no user "sync"`},
		"no host keys":          {"", "root", "/root", "nonsense", "", "reading its host keys"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, guideFile)
			w.hosts["10.10.4.10"].answer = answers(c.user, c.home, c.keys)
			cluster := w.survey()
			cluster.file.LoadBalancer.Syncer.User = c.asked
			a, err := cluster.lookAtAccess(t.Context(), cluster.balancers[0])
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("got %v, want %s", err, c.problem)
				}
				return
			}
			if err != nil || a.target() != c.want || a.file != c.home+"/.ssh/authorized_keys" {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}
