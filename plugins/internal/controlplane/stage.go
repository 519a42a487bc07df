package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// upload is a file on this machine that hosts get a copy of.
type upload struct {
	path   string
	size   int64
	digest string // SHA-256 in hexadecimal
}

// origin is where a host gets its k0s from.
type origin int

const (
	originHost     origin = iota // it is there already
	originFile                   // a file of the user's, by k0sBinaryPath
	originCache                  // downloaded to this machine, then uploaded (uploadBinary)
	originDownload               // downloaded by the host itself
)

// originOf decides where a new host gets k0s of the version from; an empty version stands for any.
func originOf(m *machine, version string) origin {
	there := m.facts.K0sVersion != "" && (version == "" || sameVersion(m.facts.K0sVersion, version))
	switch {
	case m.host.UseExistingK0s:
		return originHost
	case m.host.K0sBinaryPath != "":
		return originFile
	case there:
		return originHost
	case m.host.UploadBinary:
		return originCache
	}
	return originDownload
}

// checkBinaries looks at the executables before anything is changed.
func (c *Cluster) checkBinaries(ctx context.Context) []error {
	var problems []error
	version, err := c.chooseVersion(ctx)
	if err != nil {
		return []error{err}
	}
	c.version = version
	c.uploads = map[string]upload{}
	var there []*machine
	for _, m := range c.fresh() {
		path := m.host.K0sBinaryPath
		switch originOf(m, version) {
		case originHost:
			if m.facts.K0sVersion == "" {
				problems = append(problems, fmt.Errorf("%s: there is no k0s on it, though useExistingK0s says so", m.conn.Name()))
				continue
			}
			there = append(there, m)
		case originFile:
			if _, known := c.uploads[path]; known {
				continue
			}
			u, err := measure(path)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: reading k0sBinaryPath: %w", m.conn.Name(), err))
			}
			c.uploads[path] = u
		case originCache, originDownload:
		}
	}
	return append(problems, c.checkVersions(there)...)
}

// measure reads a file once for its size and SHA-256.
func measure(path string) (upload, error) {
	f, err := os.Open(path)
	if err != nil {
		return upload{}, err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return upload{}, err
	}
	return upload{path: path, size: size, digest: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (c *Cluster) staged() []*machine {
	var hosts []*machine
	for _, m := range c.fresh() {
		if originOf(m, c.version) != originHost {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *Cluster) skipStage(context.Context) (string, error) {
	if len(c.staged()) == 0 {
		return "it is on all of them", nil
	}
	return "", nil
}

func (c *Cluster) detailStage(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.staged() {
		switch originOf(m, c.version) {
		case originFile:
			lines = append(lines, fmt.Sprintf("%s: upload %s", m.name(), m.host.K0sBinaryPath))
		case originCache:
			lines = append(lines, fmt.Sprintf("%s: download %s here, then upload it", m.name(), c.release(m).url))
		case originDownload:
			lines = append(lines, fmt.Sprintf("%s: download %s", m.name(), c.release(m).url))
		case originHost:
		}
	}
	return lines, nil
}

// stage puts k0s on all hosts that lack it, at once, and makes sure that all have the same version.
func (c *Cluster) stage(ctx context.Context) error {
	var caching sync.Mutex // one download per architecture, however many hosts want it
	err := c.each(ctx, c.staged(), func(ctx context.Context, m *machine) error {
		var err error
		switch originOf(m, c.version) {
		case originFile:
			err = c.upload(ctx, m, c.uploads[m.host.K0sBinaryPath])
		case originCache:
			caching.Lock()
			cached, fetchErr := c.fetch(ctx, m)
			caching.Unlock()
			if err = fetchErr; err == nil {
				err = c.upload(ctx, m, cached)
			}
		case originDownload:
			c.report.Host(m.name()).Update("downloading k0s")
			_, err = m.conn.Output(ctx, downloadCommand(c.release(m), k0s.DefaultBinary, "0755"), nil)
		case originHost:
		}
		if err != nil {
			return fmt.Errorf("putting k0s on it: %w", err)
		}
		m.node.Binary = k0s.DefaultBinary
		m.facts.K0sVersion, err = m.node.Version(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(c.checkVersions(c.fresh())...)
}

// checkVersions compares the k0s that is on the hosts with the one that they are to have.
func (c *Cluster) checkVersions(hosts []*machine) []error {
	want := c.version
	var problems []error
	for _, m := range hosts {
		if want == "" {
			want = m.facts.K0sVersion // none is named: the first decides
		}
		if !sameVersion(m.facts.K0sVersion, want) {
			problems = append(problems, fmt.Errorf("%s: its k0s is %s, not %s: name one version for all hosts in "+
				"spec.k0s.version, or one executable in k0sBinaryPath", m.conn.Name(), m.facts.K0sVersion, want))
		}
	}
	return problems
}

func (c *Cluster) upload(ctx context.Context, m *machine, u upload) error {
	skipped, err := c.uploadTo(ctx, m.conn, m.name(), u, k0s.DefaultBinary, 0o755)
	if err == nil && skipped {
		c.report.Host(m.name()).Done("k0s is there already")
	}
	return err
}

// uploadTo copies a file of this machine to a host, unless it is there already.
func (c *Cluster) uploadTo(ctx context.Context, conn remote, name string, u upload, to string, mode fs.FileMode) (skipped bool, err error) {
	f, err := os.Open(u.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	line := c.report.Host(name)
	return conn.Upload(ctx, f, u.size, u.digest, to, mode, func(done int64) { line.Progress(done, u.size) })
}
