package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// sshSettings is what ssh_config comes to for one destination: values by lower-case name, in order.
type sshSettings map[string][]string

// last returns the value of a setting that has one, or what stands for none.
func (s sshSettings) last(name, otherwise string) string {
	values := s[name]
	if len(values) == 0 || values[len(values)-1] == "" {
		return otherwise
	}
	return values[len(values)-1]
}

// all returns the values of a setting that may be given several times.
func (s sshSettings) all(name string) []string { return s[name] }

// words returns the words of a setting that is a list; none for the word none.
func (s sshSettings) words(name string) []string {
	words := strings.Fields(s.last(name, ""))
	if slices.Contains(words, "none") {
		return nil
	}
	return words
}

// agentSocket returns the socket of the agent to use: IdentityAgent of ssh_config, else $SSH_AUTH_SOCK.
func (s sshSettings) agentSocket() string {
	socket := s.last("identityagent", "SSH_AUTH_SOCK")
	switch {
	case socket == "none":
		return ""
	case socket == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(socket, "$"):
		return os.Getenv(strings.Trim(socket, "${}"))
	}
	if expanded, err := expand(socket); err == nil {
		return expanded
	}
	return socket
}

// settings asks the ssh program what ssh_config says about a destination (ssh -G connects to nothing). Only OpenSSH
// reads all of ssh_config: rig's reader fails on a `Match user` or a ProxyCommand anywhere in it. On a machine without
// the program nobody has configured it, and its defaults are used.
func (c *Connector) settings(ctx context.Context, s *config.SSH) (sshSettings, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		if c.SSHConfig != "" {
			return nil, fmt.Errorf("reading %s: %w: install OpenSSH's client", c.SSHConfig, err)
		}
		return defaultSettings(s), nil
	}
	args := []string{"-G"}
	if c.SSHConfig != "" {
		args = append(args, "-F", c.SSHConfig)
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	if s.Port != 0 && s.Port != 22 { // 22 is the cluster file's default: ssh_config may say otherwise
		args = append(args, "-p", strconv.Itoa(s.Port))
	}
	output, err := exec.CommandContext(ctx, program, append(args, "--", s.Address)...).Output()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &failed):
		err = errors.New(strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SSH configuration for %s: %w", s.Address, err)
	}
	return parseSettings(output), nil
}

// parseSettings reads the output of ssh -G: a name and a value per line.
func parseSettings(output []byte) sshSettings {
	settings := sshSettings{}
	for line := range bytes.Lines(output) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if name != "" {
			settings[name] = append(settings[name], value)
		}
	}
	return settings
}

// defaultSettings are OpenSSH's, as far as they matter here.
func defaultSettings(s *config.SSH) sshSettings {
	settings := sshSettings{
		"identityfile":         {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"},
		"userknownhostsfile":   {"~/.ssh/known_hosts ~/.ssh/known_hosts2"},
		"globalknownhostsfile": {"/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"},
	}
	if s.Port != 0 {
		settings["port"] = []string{strconv.Itoa(s.Port)}
	}
	return settings
}

// knownHostsFiles returns the files to verify against, the one to write first. An empty $SSH_KNOWN_HOSTS, which rig
// takes for "verify nothing", is as one that is not set.
func (c *Connector) knownHostsFiles(settings sshSettings) ([]string, error) {
	if len(c.KnownHosts) > 0 {
		return expandAll(c.KnownHosts)
	}
	if path := os.Getenv("SSH_KNOWN_HOSTS"); path != "" {
		return expandAll([]string{path})
	}
	return expandAll(slices.Concat(settings.words("userknownhostsfile"), settings.words("globalknownhostsfile")))
}

func expandAll(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		expanded, err := expand(path)
		if err != nil {
			return nil, err
		}
		all = append(all, expanded)
	}
	return all, nil
}

// expand replaces a leading "~/".
func expand(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("expanding %s: %w", path, err)
	}
	return filepath.Join(home, rest), nil
}
