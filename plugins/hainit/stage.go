package hainit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// upload is an executable on this machine that hosts get a copy of.
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
func (c *cluster) checkBinaries(ctx context.Context) []error {
	var problems []error
	version, err := c.chooseVersion(ctx)
	if err != nil {
		return []error{err}
	}
	c.version = version
	c.uploads = map[string]upload{}
	for _, m := range c.fresh() {
		path := m.host.K0sBinaryPath
		switch originOf(m, version) {
		case originHost:
			if m.facts.K0sVersion == "" {
				problems = append(problems, fmt.Errorf("%s: there is no k0s on it, though useExistingK0s says so", m.conn.Name()))
			}
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
	return problems
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

func (c *cluster) staged() []*machine {
	var hosts []*machine
	for _, m := range c.fresh() {
		if originOf(m, c.version) != originHost {
			hosts = append(hosts, m)
		}
	}
	return hosts
}

func (c *cluster) skipStage(context.Context) (string, error) {
	if len(c.staged()) == 0 {
		return "it is on all of them", nil
	}
	return "", nil
}

func (c *cluster) detailStage(context.Context) ([]string, error) {
	var lines []string
	for _, m := range c.staged() {
		switch originOf(m, c.version) {
		case originFile:
			lines = append(lines, fmt.Sprintf("%s: upload %s", m.name(), m.host.K0sBinaryPath))
		case originCache:
			lines = append(lines, fmt.Sprintf("%s: download %s here, then upload it", m.name(), c.url(m)))
		case originDownload:
			lines = append(lines, fmt.Sprintf("%s: download %s", m.name(), c.url(m)))
		case originHost:
		}
	}
	return lines, nil
}

func (c *cluster) url(m *machine) string {
	// The version was parsed when it was chosen.
	version, _ := k0s.ParseVersion(c.version)
	return k0s.DownloadURL(m.host.K0sDownloadURL, version, m.facts.Arch)
}

// stage puts k0s on all hosts that lack it, at once, and makes sure that all have the same version.
func (c *cluster) stage(ctx context.Context) error {
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
			_, err = m.conn.Output(ctx, downloadCommand(c.url(m), k0s.DefaultBinary, c.sumsURL(m))+
				" && chmod 0755 "+k0s.DefaultBinary, nil)
		case originHost:
		}
		if err != nil {
			return fmt.Errorf("%s: putting k0s on it: %w", m.conn.Name(), err)
		}
		m.facts.K0sVersion, err = m.node.Version(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return c.checkSameVersion()
}

func (c *cluster) checkSameVersion() error {
	want := c.version
	if want == "" {
		want = c.seed.facts.K0sVersion
	}
	for _, m := range c.fresh() {
		if !sameVersion(m.facts.K0sVersion, want) {
			return fmt.Errorf("%s: its k0s is %s, not %s: name one version for all hosts in spec.k0s.version, or one executable "+
				"in k0sBinaryPath", m.conn.Name(), m.facts.K0sVersion, want)
		}
	}
	return nil
}

func (c *cluster) upload(ctx context.Context, m *machine, u upload) error {
	f, err := os.Open(u.path)
	if err != nil {
		return err
	}
	defer f.Close()
	line := c.report.Host(m.name())
	skipped, err := m.conn.Upload(ctx, f, u.size, u.digest, k0s.DefaultBinary, 0o755, func(done int64) {
		line.Progress(done, u.size)
	})
	if err == nil && skipped {
		line.Done("k0s is there already")
	}
	return err
}

// fetch downloads the host's k0s to the user's cache, verified by the release's own checksums.
func (c *cluster) fetch(ctx context.Context, m *machine) (upload, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return upload{}, fmt.Errorf("finding a place to download to: %w", err)
	}
	path := filepath.Join(cache, "kubectl-ha", "k0s-"+c.version+"-"+m.facts.Arch)
	want := ""
	if sums := c.sumsURL(m); sums != "" {
		text, err := get(ctx, sums)
		if err != nil {
			return upload{}, fmt.Errorf("downloading the checksums of k0s: %w", err)
		}
		if want = checksumOf(text, filepath.Base(c.url(m))); want == "" {
			return upload{}, fmt.Errorf("downloading k0s: %s names no checksum for it", sums)
		}
	}
	if u, err := measure(path); err == nil && want != "" && u.digest == want {
		return u, nil
	}
	c.report.Host(m.name()).Update("downloading k0s to this machine")
	u, err := download(ctx, c.url(m), path)
	if err == nil && want != "" && u.digest != want {
		err = errors.Join(fmt.Errorf("downloading %s: its SHA-256 is %s, not %s: try again", c.url(m), u.digest, want),
			os.Remove(path))
	}
	return u, err
}

// sumsURL is where the checksums of the host's k0s are: a release of k0s's own has them beside it.
func (c *cluster) sumsURL(m *machine) string {
	if m.host.K0sDownloadURL != "" {
		return ""
	}
	url := c.url(m)
	return url[:strings.LastIndex(url, "/")] + "/sha256sums.txt"
}

// checksumOf finds a file's line in the output of sha256sum.
func checksumOf(sums, name string) string {
	for line := range strings.Lines(sums) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.TrimPrefix(fields[1], "*") == name {
			return fields[0]
		}
	}
	return ""
}

func download(ctx context.Context, url, path string) (u upload, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("downloading %s: %w", url, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return u, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return u, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return u, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return u, errors.New(response.Status)
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return u, err
	}
	defer os.Remove(part.Name())
	_, err = io.Copy(part, response.Body)
	if err = errors.Join(err, part.Close()); err != nil {
		return u, err
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return u, err
	}
	return measure(path)
}

// downloadCommand makes a host download a file in one step, and check it where there is a list of checksums.
func downloadCommand(url, to, sums string) string {
	fetch := func(url, to string) string {
		return "{ if command -v curl >/dev/null; then curl -fsSL -o " + to + " " + quote(url) +
			"; else wget -qO " + to + " " + quote(url) + "; fi; }"
	}
	part := quote(to + ".part")
	commands := []string{fetch(url, part)}
	if sums != "" {
		// The release names the file as the URL does once it is decoded; its line is found by the digest.
		commands = append(commands, fetch(sums, part+".sums"),
			`{ grep -q "^$(sha256sum `+part+` | cut -d' ' -f1) " `+part+`.sums || { echo "its checksum is not in `+sums+`" >&2; false; }; }`,
			"rm -f "+part+".sums")
	}
	return strings.Join(append(commands, "mv -f "+part+" "+quote(to)), " && ")
}
