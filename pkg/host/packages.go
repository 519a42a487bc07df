package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/k0sproject/rig/v2/packagemanager"

	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// packageCommands is what rig's package managers lack. %s stands for the quoted name of a package.
type packageCommands struct {
	installed string   // succeeds when the package is installed
	available string   // succeeds when it can be installed, as far as the host's lists say
	flags     []string // go before the names of packages to install
	update    bool     // the lists have to be updated before an install
}

var aptFlags = []string{
	"--no-install-recommends",
	// A configuration file that was changed is kept, and nobody is asked.
	"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
	// A fresh machine is often busy with its unattended upgrades.
	"-o", "DPkg::Lock::Timeout=300",
}

// commandsOf returns the commands of a package manager by rig's name for it.
func commandsOf(manager string) (packageCommands, bool) {
	rpm := "rpm -q --whatprovides %s"
	commands, ok := map[string]packageCommands{
		"apt": {
			installed: `dpkg-query -W -f '${db:Status-Status}' %s 2>/dev/null | grep -qx installed`,
			available: `apt-cache policy %s | grep -q '^  Candidate: [^(]'`,
			flags:     aptFlags,
			update:    true,
		},
		"dnf":    {installed: rpm, available: "dnf -q info %s"},
		"yum":    {installed: rpm, available: "yum -q info %s"},
		"zypper": {installed: rpm, available: "zypper -n -q search -x %s", update: true},
		"apk":    {installed: "apk info -e %s", available: `apk search -e %s | grep -q .`, update: true},
		// pacman -Sy alone would make a partial upgrade of the next install: the lists stay as they are.
		"pacman": {installed: "pacman -Q %s", available: "pacman -Si %s"},
	}[manager]
	return commands, ok
}

// packageManager finds out the package manager, once per host.
func (h *Host) packageManager() (packagemanager.PackageManager, packageCommands, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.packages == nil {
		// An install that is cut off in the middle leaves a broken package database: it runs on.
		packages, err := packagemanager.DefaultRegistry().Get(h.runner(leaveOnCancel))
		if err != nil {
			if cause := h.wire.lost(); cause != nil {
				err = fmt.Errorf("%w: %w", ErrDisconnected, cause)
			}
			return nil, packageCommands{}, fmt.Errorf("finding the package manager of %s: %w", h.name, err)
		}
		h.packages = packages
	}
	name := fmt.Sprint(h.packages)
	commands, ok := commandsOf(name)
	if !ok {
		return nil, packageCommands{}, fmt.Errorf("packages of %s: package manager %s is not supported: install them by hand",
			h.name, name)
	}
	return h.packages, commands, nil
}

// InstallPackages installs packages with the host's package manager. Those that are installed are left as they are,
// not upgraded. An install that ctx interrupts goes on on the host.
func (h *Host) InstallPackages(ctx context.Context, names ...string) error {
	manager, commands, err := h.packageManager()
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range names {
		installed, err := h.succeeds(ctx, fmt.Sprintf(commands.installed, shell.Quote(name)))
		if err != nil {
			return fmt.Errorf("looking for package %s: %w", name, err)
		}
		if !installed {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var updated error
	if commands.update {
		// One broken repository fails the update and need not matter: the install shows.
		if updated = manager.Update(ctx); ctx.Err() != nil || errors.Is(updated, ErrDisconnected) {
			return fmt.Errorf("updating the package lists of %s: %w", h.name, plain(updated))
		}
	}
	if err := manager.Install(ctx, append(append([]string{}, commands.flags...), missing...)...); err != nil {
		err = fmt.Errorf("installing %s on %s: %w", strings.Join(missing, ", "), h.name, plain(err))
		if updated != nil {
			err = fmt.Errorf("%w; updating the package lists had failed: %w", err, plain(updated))
		}
		return err
	}
	return nil
}

// PackageAvailable says whether a package is installed or could be. Lists that do not have it are updated first, which
// is the one thing that it changes on the host.
func (h *Host) PackageAvailable(ctx context.Context, name string) (bool, error) {
	manager, commands, err := h.packageManager()
	if err != nil {
		return false, err
	}
	quoted := shell.Quote(name)
	command := fmt.Sprintf("{ "+commands.installed+"; } >/dev/null 2>&1 || { "+commands.available+"; } >/dev/null 2>&1", quoted, quoted)
	found, err := h.succeeds(ctx, command)
	if err != nil || found || !commands.update {
		return found, err
	}
	if err := manager.Update(ctx); err != nil {
		return false, fmt.Errorf("updating the package lists of %s: %w", h.name, plain(err))
	}
	return h.succeeds(ctx, command)
}

// succeeds runs a command that answers by its exit code.
func (h *Host) succeeds(ctx context.Context, command string) (bool, error) {
	err := h.Stream(ctx, command, nil, nil)
	var failed *CommandError
	if errors.As(err, &failed) {
		return false, nil
	}
	return err == nil, err
}
