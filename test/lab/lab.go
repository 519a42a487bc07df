package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Lab is a set of running hosts.
type Lab struct {
	record record
	dir    string
	hosts  []*Host
}

// Up makes a lab and returns when every host accepts SSH logins. When it fails, nothing of the lab remains.
func Up(ctx context.Context, config Config) (*Lab, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("lab %s: %w", config.Name, err)
	}
	stateDir, err := stateDirOr(config.StateDir)
	if err != nil {
		return nil, err
	}
	log := config.Log
	if log == nil {
		log = io.Discard
	}
	tags, err := Image(ctx, stateDir, log)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(config.Hosts, func(h HostSpec) bool { return h.Flavour == K0s }) {
		if tags[K0s], err = k0sImage(ctx, stateDir, tags[Bare], config.Executable); err != nil {
			return nil, fmt.Errorf("lab %s: %w", config.Name, err)
		}
	}
	given, err := findPrivileges(ctx, stateDir, tags[Bare])
	if err != nil {
		return nil, err
	}
	if err := claim(ctx, stateDir, config.Name); err != nil {
		return nil, err
	}
	l, err := build(ctx, labDir(stateDir, config.Name), config, tags, given)
	if err != nil {
		// An interrupt must not leave half a lab behind either.
		return nil, errors.Join(fmt.Errorf("lab %s: %w", config.Name, err),
			Down(context.WithoutCancel(ctx), stateDir, config.Name))
	}
	return l, nil
}

// claim makes the lab's folder, which belongs to the first who asks for it.
func claim(ctx context.Context, stateDir, name string) error {
	remains, err := containersOf(ctx, name)
	if err != nil {
		return err
	}
	dir := labDir(stateDir, name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	err = os.Mkdir(dir, 0o700)
	if len(remains) > 0 || errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("a lab %s is there already: take it down first (labctl down --name %s)", name, name)
	}
	if err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	return nil
}

func build(ctx context.Context, dir string, config Config, tags map[Flavour]string, given privileges) (*Lab, error) {
	subnet, err := createNetwork(ctx, config.Name, config.Subnet)
	if err != nil {
		return nil, err
	}
	r := record{Name: config.Name, Subnet: subnet, Privileges: given}
	for _, h := range config.Hosts {
		if h.Flavour == "" {
			h.Flavour = Bare
		}
		r.Hosts = append(r.Hosts, hostRecord{
			Name: h.Name, Address: h.address(subnet), Flavour: h.Flavour, Private: h.Private, Image: tags[h.Flavour],
		})
	}
	if err := errors.Join(r.save(dir), r.writeKeys(dir)); err != nil {
		return nil, err
	}
	l := newLab(dir, r)
	return l, l.each(ctx, (*Host).create)
}

// Open finds a lab that was made before. An empty stateDir means DefaultStateDir.
func Open(stateDir, name string) (*Lab, error) {
	if err := validName(name); err != nil {
		return nil, err
	}
	stateDir, err := stateDirOr(stateDir)
	if err != nil {
		return nil, err
	}
	dir := labDir(stateDir, name)
	r, err := loadRecord(dir)
	if err != nil {
		return nil, err
	}
	return newLab(dir, r), nil
}

func stateDirOr(dir string) (string, error) {
	if dir == "" {
		return DefaultStateDir()
	}
	return filepath.Abs(dir)
}

func newLab(dir string, r record) *Lab {
	l := &Lab{record: r, dir: dir}
	for _, h := range r.Hosts {
		l.hosts = append(l.hosts, &Host{lab: l, hostRecord: h, container: containerName(r.Name, h.Name)})
	}
	return l
}

// Name is the lab's name.
func (l *Lab) Name() string { return l.record.Name }

// Subnet is the lab's network.
func (l *Lab) Subnet() netip.Prefix { return l.record.Subnet }

// Privileges says how the hosts' containers got their rights: "privileged" or "capabilities".
func (l *Lab) Privileges() string { return string(l.record.Privileges) }

// Dir is the folder of the lab's state, private to its user.
func (l *Lab) Dir() string { return l.dir }

// KeyPath is the file of the private key that opens root, ops and nosudo on every host.
func (l *Lab) KeyPath() string { return filepath.Join(l.dir, keyFile) }

// KnownHosts is the known_hosts file with the ed25519 key of every host.
func (l *Lab) KnownHosts() string { return filepath.Join(l.dir, knownHostsFile) }

// SSHConfig is a configuration for OpenSSH ("ssh -F FILE HOST") that knows every host by its name.
func (l *Lab) SSHConfig() string { return filepath.Join(l.dir, sshConfigFile) }

// Hosts lists the hosts in the order of the configuration.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Host finds a host by its name.
func (l *Lab) Host(name string) (*Host, error) {
	var names []string
	for _, h := range l.hosts {
		if h.Name() == name {
			return h, nil
		}
		names = append(names, h.Name())
	}
	return nil, fmt.Errorf("lab %s has no host %q; it has %s", l.Name(), name, strings.Join(names, ", "))
}

// Down removes the lab with all it started.
func (l *Lab) Down(ctx context.Context) error {
	return Down(ctx, filepath.Dir(filepath.Dir(l.dir)), l.Name())
}

// each runs f on all hosts at once and joins the errors.
func (l *Lab) each(ctx context.Context, f func(*Host, context.Context) error) error {
	errs := make([]error, len(l.hosts))
	var wg sync.WaitGroup
	for i, h := range l.hosts {
		wg.Go(func() { errs[i] = f(h, ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Down removes everything that carries the label of a lab, and the lab's folder. Removing a lab that is not there is
// no error. An empty stateDir means DefaultStateDir.
func Down(ctx context.Context, stateDir, name string) error {
	if err := validName(name); err != nil {
		return err
	}
	stateDir, err := stateDirOr(stateDir)
	if err != nil {
		return err
	}
	containers, err := containersOf(ctx, name)
	if err != nil {
		return err
	}
	if len(containers) > 0 {
		// Their anonymous volumes go with them.
		if _, err := docker(ctx, nil, append([]string{"rm", "--force", "--volumes"}, containers...)...); err != nil {
			return fmt.Errorf("lab %s: removing its hosts: %w", name, err)
		}
	}
	networks, err := docker(ctx, nil, "network", "ls", "--quiet", "--filter", "label="+labelLab+"="+name)
	if err != nil {
		return err
	}
	for _, id := range lines(networks) {
		if _, err := docker(ctx, nil, "network", "rm", id); err != nil {
			return fmt.Errorf("lab %s: removing its network: %w", name, err)
		}
	}
	if err := os.RemoveAll(labDir(stateDir, name)); err != nil {
		return fmt.Errorf("lab %s: removing its folder: %w", name, err)
	}
	return nil
}

func containersOf(ctx context.Context, lab string) ([]string, error) {
	out, err := docker(ctx, nil, "ps", "--all", "--quiet", "--filter", "label="+labelLab+"="+lab)
	return lines(out), err
}

// List names the labs of this machine: those with running or stopped containers, those with a network and those with
// a folder.
func List(ctx context.Context, stateDir string) ([]string, error) {
	stateDir, err := stateDirOr(stateDir)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, args := range [][]string{{"ps", "--all"}, {"network", "ls"}} {
		args = append(args, "--filter", "label="+labelLab, "--format", `{{.Label "`+labelLab+`"}}`)
		out, err := docker(ctx, nil, args...)
		if err != nil {
			return nil, err
		}
		for _, name := range lines(out) {
			found[name] = true
		}
	}
	entries, err := os.ReadDir(filepath.Dir(labDir(stateDir, "x")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing labs: %w", err)
	}
	for _, entry := range entries {
		found[entry.Name()] = true
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}
