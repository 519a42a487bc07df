package hainit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
)

// prepared lists the hosts whose name or files are to be set. Names are set on fresh hosts only: a Node cannot be
// renamed.
func (c *cluster) prepared() []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		if m.fresh && (m.rename() || len(m.host.Files) > 0) {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (m *machine) rename() bool { return m.host.Hostname != "" && m.host.Hostname != m.facts.Hostname }

func (c *cluster) skipPrepare(context.Context) (string, error) {
	if len(c.prepared()) == 0 {
		return "the file asks for none", nil
	}
	return "", nil
}

func (c *cluster) detailPrepare(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.prepared() {
		if m.rename() {
			lines = append(lines, fmt.Sprintf("%s: hostname %s", m.conn.Name(), m.host.Hostname))
		}
		for _, f := range m.host.Files {
			lines = append(lines, fmt.Sprintf("%s: file %s", m.name(), destination(f, f.Source)))
		}
	}
	return lines, nil
}

func (c *cluster) prepare(ctx context.Context) error {
	return c.each(ctx, c.prepared(), func(ctx context.Context, m *machine) error {
		if m.rename() {
			name := quote(m.host.Hostname)
			// hostnamectl needs systemd; elsewhere the file and the kernel are told apart.
			command := "hostnamectl set-hostname " + name + " 2>/dev/null || { echo " + name + " >/etc/hostname && hostname " + name + "; }"
			if _, err := m.conn.Output(ctx, command, nil); err != nil {
				return fmt.Errorf("setting the hostname: %w", err)
			}
			m.facts.Hostname = m.host.Hostname
		}
		for _, f := range m.host.Files {
			c.report.Host(m.name()).Update("file " + destination(f, f.Source))
			if err := m.putFile(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// putFile puts one entry of the host's files on it: data, a URL, or files of this machine that match a pattern.
func (m *machine) putFile(ctx context.Context, f config.UploadFile) error {
	if f.Data != "" {
		return m.write(ctx, f, "", []byte(f.Data), 0o644)
	}
	if strings.Contains(f.Source, "://") {
		to := destination(f, f.Source)
		command := "mkdir -p " + quote(path.Dir(to)) + " && " + downloadCommand(f.Source, to, "")
		if _, err := m.conn.Output(ctx, command, nil); err != nil {
			return fmt.Errorf("downloading file %s: %w", f.Source, err)
		}
		return m.own(ctx, f, to, 0o644)
	}
	sources, err := filepath.Glob(f.Source)
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("putting file %q on %s: nothing matches %s", f.Name, m.conn.Name(), f.Source)
	}
	for _, source := range sources {
		if err := m.putTree(ctx, f, source); err != nil {
			return err
		}
	}
	return nil
}

// putTree puts a file, or all files of a directory, on the host.
func (m *machine) putTree(ctx context.Context, f config.UploadFile, source string) error {
	return filepath.WalkDir(source, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(filepath.Dir(source), name)
		if err != nil {
			return err
		}
		return m.write(ctx, f, filepath.ToSlash(relative), data, info.Mode().Perm())
	})
}

func (m *machine) write(ctx context.Context, f config.UploadFile, source string, data []byte, mode fs.FileMode) error {
	to := destination(f, source)
	dirMode := f.DirPerm
	if dirMode == "" {
		dirMode = "0755"
	}
	if _, err := m.conn.Output(ctx, "mkdir -p -m "+quote(dirMode)+" "+quote(path.Dir(to)), nil); err != nil {
		return fmt.Errorf("putting file %s: %w", to, err)
	}
	if err := m.conn.WriteFile(ctx, to, data, mode); err != nil {
		return fmt.Errorf("putting file %s: %w", to, err)
	}
	return m.own(ctx, f, to, mode)
}

// own gives the file the mode and owner that the cluster file names.
func (m *machine) own(ctx context.Context, f config.UploadFile, to string, mode fs.FileMode) error {
	perm := f.Perm
	if perm == "" {
		perm = "0" + strconv.FormatUint(uint64(mode), 8)
	}
	command := "chmod " + quote(perm) + " " + quote(to)
	if f.User != "" || f.Group != "" {
		command += " && chown " + quote(f.User+":"+f.Group) + " " + quote(to)
	}
	if _, err := m.conn.Output(ctx, command, nil); err != nil {
		return fmt.Errorf("putting file %s: %w", to, err)
	}
	return nil
}

// destination is where a source goes to on the host.
func destination(f config.UploadFile, source string) string {
	switch {
	case f.Dst != "" && f.DstDir == "":
		return f.Dst
	case f.Dst != "":
		return path.Join(f.DstDir, f.Dst)
	}
	return path.Join(f.DstDir, path.Base(source))
}

// quote makes one word of a shell command.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
