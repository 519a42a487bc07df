package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbsession"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// keyMarker is the comment by which the line of the syncer's key is known in a user's authorized_keys.
const keyMarker = "kubectl-ha:ha-syncer"

// sudoersPath is where a user who is not root is allowed to run the helper. The last rule that applies counts, so it has
// to come late.
const sudoersPath = "/etc/sudoers.d/zz-kubectl-ha-syncer"

// access is how the syncer gets to a load balancer, as the load balancer is.
type access struct {
	user     string
	file     string          // the user's authorized_keys
	keys     []byte          // what is in it; empty when there is none
	sudoers  []byte          // what is at sudoersPath; nil when there is none
	address  netip.AddrPort  // of its sshd
	hostKeys []ssh.PublicKey // by which its sshd is known
}

// lookAtAccess finds it out over the administrator's connection, which has verified whose host keys these are.
func (c *Cluster) lookAtAccess(ctx context.Context, b *balancer) (*access, error) {
	address, err := netip.ParseAddr(b.host.Address())
	if err != nil {
		return nil, errors.New("its address is a name: set privateAddress to the IP address that the syncer connects to")
	}
	a := &access{user: c.file.LoadBalancer.Syncer.User, address: netip.AddrPortFrom(address.Unmap(), uint16(b.host.SSHPort()))}
	if a.user == "" {
		if a.user, err = b.conn.Output(ctx, `echo "${SUDO_USER:-root}"`, nil); err != nil {
			return nil, err
		}
	}
	home, err := b.conn.Output(ctx, "eval echo "+shell.Quote("~"+a.user), nil)
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(home) {
		return nil, fmt.Errorf("there is no user %q: correct spec.syncer.user, or add the user", a.user)
	}
	a.file = path.Join(home, ".ssh/authorized_keys")
	if a.keys, err = b.conn.ReadFile(ctx, a.file); unlessAbsent(err) != nil {
		return nil, err
	}
	if a.sudoers, err = b.conn.ReadFile(ctx, sudoersPath); unlessAbsent(err) != nil {
		return nil, err
	}
	text, err := b.conn.Output(ctx, "cat /etc/ssh/ssh_host_*_key.pub", nil)
	if err != nil {
		return nil, fmt.Errorf("reading its host keys: %w", err)
	}
	for line := range strings.Lines(text) {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("reading its host keys: %w", err)
		}
		a.hostKeys = append(a.hostKeys, key)
	}
	return a, nil
}

// target is the load balancer as the syncer's flag takes it.
func (a *access) target() string { return a.user + "@" + a.address.String() }

// knownHosts are the lines of known_hosts by which the syncer knows it.
func (a *access) knownHosts() string {
	var lines strings.Builder
	for _, key := range a.hostKeys {
		lines.WriteString(knownhosts.Line([]string{a.address.String()}, key) + "\n")
	}
	return lines.String()
}

// keyLine is the line of authorized_keys that lets a key run the helper, and nothing else.
func (a *access) keyLine(key ssh.PublicKey) string {
	command := helperPath
	if a.user != "root" {
		command = "sudo -n " + helperPath
	}
	return fmt.Sprintf("restrict,command=%q %s %s", command, bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)), keyMarker)
}

// sudoersRule lets the user run the helper as root, without arguments; nil for root.
func (a *access) sudoersRule() []byte {
	if a.user == "root" {
		return nil
	}
	return fmt.Appendf(nil, "# The syncer's key runs the helper by this: see %s.\n%s ALL=(root) NOPASSWD: %s \"\"\n", a.file, a.user, helperPath)
}

// authorize is a user's authorized_keys with the line of the syncer's key in it, once: in the place of the one that is
// there, else at the end. Every other line is as it was.
func authorize(before []byte, line string) []byte {
	var after []byte
	placed := false
	for old := range bytes.Lines(before) {
		switch {
		case !isKeyLine(old):
			after = append(after, old...)
		case !placed:
			after = append(after, line+"\n"...)
			placed = true
		}
	}
	if placed {
		return after
	}
	if len(after) > 0 && !bytes.HasSuffix(after, []byte("\n")) {
		after = append(after, '\n')
	}
	return append(after, line+"\n"...)
}

// isKeyLine knows a line that authorize has written: nobody else binds a key to the helper under our name.
func isKeyLine(line []byte) bool {
	text := string(bytes.TrimRight(line, "\r\n"))
	return strings.HasPrefix(text, `restrict,command="`) && strings.Contains(text, helperPath) && strings.HasSuffix(text, " "+keyMarker)
}

// lines say what is missing on the load balancer for the key.
func (a *access) lines(name string, key ssh.PublicKey) []string {
	var lines []string
	if !bytes.Equal(a.keys, authorize(a.keys, a.keyLine(key))) {
		lines = append(lines, fmt.Sprintf("%s: the syncer's key in %s, to run %s and nothing else", name, a.file, helperPath))
	}
	if rule := a.sudoersRule(); rule != nil && !bytes.Equal(a.sudoers, rule) {
		lines = append(lines, fmt.Sprintf("%s: %s, for %s to run the helper as root", name, sudoersPath, a.user))
	}
	return lines
}

// authorizeScript replaces the user's file $file, which had the SHA-256 $old if it was not empty, by $size bytes from
// standard input. It runs as the user, who may make of the path what he likes. A symbolic link stays one, and the file
// keeps its mode.
const authorizeScript = `set -eu
umask 077
mkdir -p -- "${file%/*}"
if [ -L "$file" ]; then file=$(readlink -f -- "$file"); fi
part="$file.part-$$"
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM
got=
if [ -e "$file" ]; then
	cp -p -- "$file" "$part"
	[ ! -s "$part" ] || got=$(sha256sum <"$part")
fi
[ "${got%% *}" = "$old" ] || { echo "somebody else has changed $file: try again" >&2; exit 1; }
cat >"$part"
got=$(wc -c <"$part")
[ "$got" -eq "$size" ] || { echo "only $got of $size bytes arrived" >&2; exit 1; }
sync -- "$part" 2>/dev/null || sync
mv -f -- "$part" "$file"
! command -v restorecon >/dev/null || restorecon -- "$file" || :
`

// sudoersScript writes $file from standard input, once visudo has found it right: a wrong one would keep sudo from
// working for everybody. Files whose names have a dot in them are not read by sudo.
const sudoersScript = `set -eu
umask 077
part="$file.new"
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$part"
chmod 0440 "$part"
! command -v visudo >/dev/null || visudo -c -q -f "$part"
sync -- "$part" 2>/dev/null || sync
mv -f -- "$part" "$file"
`

// grant lets the key run the helper on the load balancer.
func (b *balancer) grant(ctx context.Context, a *access, key ssh.PublicKey) error {
	if rule := a.sudoersRule(); rule != nil && !bytes.Equal(a.sudoers, rule) {
		if _, err := b.conn.Output(ctx, "file="+sudoersPath+"\n"+sudoersScript, bytes.NewReader(rule)); err != nil {
			return fmt.Errorf("writing %s: %w", sudoersPath, err)
		}
	}
	after := authorize(a.keys, a.keyLine(key))
	if bytes.Equal(a.keys, after) {
		return nil
	}
	old := ""
	if len(a.keys) > 0 {
		sum := sha256.Sum256(a.keys)
		old = hex.EncodeToString(sum[:])
	}
	script := fmt.Sprintf("file=%s\nold=%s\nsize=%d\n", shell.Quote(a.file), old, len(after)) + authorizeScript
	command := "sh -c " + shell.Quote(script)
	if a.user != "root" {
		command = fmt.Sprintf("su -s /bin/sh -c %s %s", shell.Quote(script), shell.Quote(a.user))
	}
	if _, err := b.conn.Output(ctx, command, bytes.NewReader(after)); err != nil {
		return fmt.Errorf("writing %s: %w", a.file, err)
	}
	return nil
}

// loginTimeout bounds one login with the syncer's key.
const loginTimeout = 15 * time.Second

// try logs in by the key as the syncer does, from a controller, where its pods run, and greets the helper.
func (c *Cluster) try(ctx context.Context, a *access, key ssh.Signer) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	if err := c.greetHelper(ctx, a, key); err != nil {
		return fmt.Errorf("logging in with the syncer's key, from %s: %w: look at sshd's log there, and at firewalls between the two",
			c.seed.conn.Name(), err)
	}
	return nil
}

func (c *Cluster) greetHelper(ctx context.Context, a *access, key ssh.Signer) error {
	conn, err := c.seed.conn.DialContext(ctx, "tcp", a.address.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	connection, channels, requests, err := ssh.NewClientConn(conn, a.address.String(), &ssh.ClientConfig{
		User: a.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: knownKey(a.hostKeys),
	})
	if err != nil {
		return err
	}
	helper, err := lbsession.Open(ctx, ssh.NewClient(connection, channels, requests))
	if err != nil {
		return err
	}
	_ = helper.Close() // it has answered
	return nil
}

// knownKey takes one of the keys that the host itself has.
func knownKey(keys []ssh.PublicKey) ssh.HostKeyCallback {
	return func(host string, _ net.Addr, key ssh.PublicKey) error {
		for _, known := range keys {
			if bytes.Equal(known.Marshal(), key.Marshal()) {
				return nil
			}
		}
		return fmt.Errorf("%s shows the host key %s, which is none of /etc/ssh/ssh_host_*_key.pub there", host, ssh.FingerprintSHA256(key))
	}
}
