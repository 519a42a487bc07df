package controlplane

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// prepared lists the hosts whose name or files are to be set. Names are set on fresh hosts only: a Node cannot be
// renamed.
func (c *Cluster) prepared() []*machine {
	var hosts []*machine
	for _, m := range c.machines() {
		if m.fresh && (m.rename() || len(m.host.Files) > 0) {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (m *machine) rename() bool {
	return m.fresh && m.host.Hostname != "" && m.host.Hostname != m.facts.Hostname
}

func (c *Cluster) skipPrepare(context.Context) (string, error) {
	if len(c.prepared()) == 0 {
		return "the file asks for none", nil
	}
	return "", nil
}

func (c *Cluster) detailPrepare(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.prepared() {
		if m.rename() {
			lines = append(lines, fmt.Sprintf("%s: hostname %s", m.conn.Name(), m.host.Hostname))
		}
		for _, f := range m.host.Files {
			names, err := destinations(f)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				lines = append(lines, fmt.Sprintf("%s: file %s", m.name(), name))
			}
		}
	}
	return lines, nil
}

func (c *Cluster) prepare(ctx context.Context) error {
	return c.each(ctx, c.prepared(), func(ctx context.Context, m *machine) error {
		if m.rename() {
			name := shell.Quote(m.host.Hostname)
			// hostnamectl needs systemd; elsewhere the file and the kernel are told apart.
			command := "hostnamectl set-hostname " + name + " 2>/dev/null || { echo " + name + " >/etc/hostname && hostname " + name + "; }"
			if _, err := m.conn.Output(ctx, command, nil); err != nil {
				return fmt.Errorf("setting the hostname: %w", err)
			}
			m.facts.Hostname = m.host.Hostname
		}
		for _, f := range m.host.Files {
			c.report.Host(m.name()).Update("putting its files")
			if err := m.putFile(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// putFile puts one entry of the host's files on it: data, a URL, or files of this machine.
func (m *machine) putFile(ctx context.Context, f config.UploadFile) error {
	mode := modeOf(f, 0o644)
	switch {
	case f.Data != "":
		to := destination(f, f.Name)
		if err := m.makeDir(ctx, f, to); err != nil {
			return err
		}
		if err := m.conn.WriteFile(ctx, to, []byte(f.Data), mode); err != nil {
			return fmt.Errorf("putting file %s: %w", to, err)
		}
		return m.own(ctx, f, to, mode)
	case f.IsURL():
		to := downloaded(f)
		if err := m.makeDir(ctx, f, to); err != nil {
			return err
		}
		if _, err := m.conn.Output(ctx, downloadCommand(release{url: f.Source}, to, octal(mode)), nil); err != nil {
			return fmt.Errorf("downloading file %s: %w", f.Source, err)
		}
		return m.own(ctx, f, to, mode)
	}
	list, err := placements(f)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := m.putLocal(ctx, f, p); err != nil {
			return err
		}
	}
	return nil
}

// putLocal copies a file of this machine, however large.
func (m *machine) putLocal(ctx context.Context, f config.UploadFile, p placement) error {
	local, err := measure(p.from)
	if err != nil {
		return fmt.Errorf("putting file %s: %w", p.to, err)
	}
	source, err := os.Open(p.from)
	if err != nil {
		return fmt.Errorf("putting file %s: %w", p.to, err)
	}
	defer source.Close()
	if err := m.makeDir(ctx, f, p.to); err != nil {
		return err
	}
	if _, err := m.conn.Upload(ctx, source, local.size, local.digest, p.to, modeOf(f, p.mode), nil); err != nil {
		return fmt.Errorf("putting file %s: %w", p.to, err)
	}
	return m.own(ctx, f, p.to, p.mode)
}

// modeOf is the mode that a file has from the start, lest somebody reads what he may not: the cluster file's without
// its special bits, which come last.
func modeOf(f config.UploadFile, otherwise fs.FileMode) fs.FileMode {
	perm, err := strconv.ParseUint(f.Perm, 8, 32)
	if err != nil {
		return otherwise // none is given; a wrong one is refused by the file's reader
	}
	return fs.FileMode(perm) & fs.ModePerm
}

func octal(mode fs.FileMode) string { return "0" + strconv.FormatUint(uint64(mode), 8) }

// makeDir makes the directory of a file; one that is there keeps its mode.
func (m *machine) makeDir(ctx context.Context, f config.UploadFile, file string) error {
	mode := f.DirPerm
	if mode == "" {
		mode = "0755"
	}
	dir := shell.Quote(path.Dir(file))
	if _, err := m.conn.Output(ctx, "[ -d "+dir+" ] || mkdir -p -m "+mode+" "+dir, nil); err != nil {
		return fmt.Errorf("putting file %s: %w", file, err)
	}
	return nil
}

// own gives the file the mode and owner that the cluster file names.
func (m *machine) own(ctx context.Context, f config.UploadFile, to string, mode fs.FileMode) error {
	perm := f.Perm
	if perm == "" {
		perm = octal(mode)
	}
	command := "chmod " + shell.Quote(perm) + " " + shell.Quote(to)
	if f.User != "" || f.Group != "" {
		command += " && chown " + shell.Quote(f.User+":"+f.Group) + " " + shell.Quote(to)
	}
	if _, err := m.conn.Output(ctx, command, nil); err != nil {
		return fmt.Errorf("putting file %s: %w", to, err)
	}
	return nil
}
