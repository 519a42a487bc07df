package haproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// Current is the state of one HAProxy: its file and its running process.
type Current struct {
	// Spec is the one wanted, fitted to the user's part of the file.
	Spec Spec
	// Path of the file itself, when Spec.ConfigPath is a symbolic link.
	Path string
	// Config is the whole file as read; nil when there is none.
	Config []byte
	Hash   [sha256.Size]byte
	// HasBlock says that the file has our block, and Slots are the server lines in it.
	HasBlock bool
	Slots    []Slot
	// Running says that the service runs, with our block or without it.
	Running bool
	// Runtime is what the process says; nil when it does not run or has not loaded our block.
	Runtime *Runtime
	// Unconfirmed says that the file was changed and no reload was seen to succeed since.
	Unconfirmed bool
	// before is the file from before that change.
	before []byte
	// wanted is the spec before it was fitted.
	wanted Spec
}

// Current reads the file and asks the running process.
func (b *Balancer) Current(ctx context.Context) (*Current, error) {
	config, err := b.resolve(ctx)
	if err != nil {
		return nil, err
	}
	cur := &Current{Path: config}
	if cur.Config, err = b.machine.ReadFile(ctx, cur.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	cur.Hash = sha256.Sum256(cur.Config)
	if cur.before, err = b.machine.ReadFile(ctx, unconfirmedPath(cur.Path)); err == nil {
		cur.Unconfirmed = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := cur.parse(b.spec); err != nil {
		return nil, fmt.Errorf("%s: %w", cur.Path, err)
	}
	cur.Runtime, err = b.runtime(ctx)
	if errors.Is(err, errCutOff) {
		if err = b.awaitBack(ctx); err == nil {
			cur.Runtime, err = b.runtime(ctx)
		}
	}
	if err == nil {
		cur.Running = true
		return cur, nil
	}
	running, serviceErr := b.service.Running(ctx)
	if serviceErr != nil {
		return nil, fmt.Errorf("asking whether HAProxy runs: %w", serviceErr)
	}
	cur.Running = running
	if running && !errors.Is(err, errNoSocket) {
		return nil, err
	}
	return cur, nil
}

// parse reads what the file says and fits the spec to it.
func (c *Current) parse(spec Spec) error {
	c.wanted = spec
	var err error
	if c.Spec, err = spec.FitTo(c.Config); err != nil {
		return err
	}
	block, found, err := FindBlock(c.Config)
	if err != nil || !found {
		return err
	}
	parsed, err := ParseBlock(c.Config[block.Start:block.End])
	if err != nil {
		return err
	}
	c.HasBlock, c.Slots = true, parsed.Slots
	if !c.Spec.Bind.IsValid() {
		// Whoever asks for no address in particular keeps the one that was taken over from a user's own sections.
		c.Spec.Bind = parsed.Spec.Bind
	}
	return nil
}

// Loaded says whether the running process has the server lines of the file, in number; which controller has which
// is membership, and may differ for a moment.
func (c *Current) Loaded() bool {
	if c.Runtime == nil || !c.HasBlock || c.Unconfirmed {
		return false
	}
	for _, backend := range c.Spec.Backends() {
		if len(c.Runtime.Backend(backend.Name)) != len(c.Slots) {
			return false
		}
	}
	return true
}

// Servers returns the server lines of our backends in the running process that have the address of this controller.
func (c *Current) Servers(server Server) []ServerState {
	return c.Runtime.servers(c.Spec.Backends(), server)
}

// NotUp says which of the active servers have not passed their check or get no connections, a line each.
func (c *Current) NotUp(servers []Server) []string {
	return c.Runtime.notUp(c.Spec.Backends(), servers)
}

func (r *Runtime) servers(backends []Backend, server Server) []ServerState {
	var servers []ServerState
	for _, backend := range backends {
		for _, s := range r.Backend(backend.Name) {
			if s.Address == server.Address && s.Port == backend.Port {
				servers = append(servers, s)
			}
		}
	}
	return servers
}

func (r *Runtime) notUp(backends []Backend, servers []Server) []string {
	var lines []string
	for _, server := range servers {
		if !server.Active {
			continue
		}
		found := r.servers(backends, server)
		for _, backend := range backends {
			i := slices.IndexFunc(found, func(s ServerState) bool { return s.Backend == backend.Name })
			switch {
			case i < 0:
				lines = append(lines, fmt.Sprintf("%s is not in %s", serverLabel(server), backend.Name))
			case !found[i].Up() || !found[i].Checked():
				lines = append(lines, fmt.Sprintf("%s is %s in %s (%s)", serverLabel(server), found[i].Status, backend.Name,
					found[i].CheckText))
			}
		}
	}
	return lines
}

func (b *Balancer) runtime(ctx context.Context) (*Runtime, error) {
	answers, err := b.socket.exchange(ctx, stateCommands()...)
	if err != nil {
		return nil, err
	}
	return parseRuntime(answers)
}

// resolve finds the file itself, once: replacing a symbolic link by a file would surprise whoever made the link.
func (b *Balancer) resolve(ctx context.Context) (string, error) {
	if b.config != "" {
		return b.config, nil
	}
	name := shell.Quote(b.spec.ConfigPath)
	resolved, err := b.machine.Output(ctx, "readlink -f -- "+name+" || echo "+name, nil)
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", b.spec.ConfigPath, err)
	}
	if !path.IsAbs(resolved) {
		return "", fmt.Errorf("resolving %s: %q is no absolute path", b.spec.ConfigPath, resolved)
	}
	b.config = resolved
	return resolved, nil
}
