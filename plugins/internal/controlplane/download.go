package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
	"github.com/kubectl-ha/kubectl-ha/pkg/shell"
)

// release is an executable on the web.
type release struct {
	url  string
	sums string // where its checksums are; empty when there are none
	name string // what they call it
}

// release is what the host downloads, or gets downloaded: the user's, or k0s's own, which has checksums beside it.
func (c *Cluster) release(m *machine) release {
	// The version was parsed when it was chosen.
	version, _ := k0s.ParseVersion(c.version)
	r := release{url: k0s.DownloadURL(m.host.K0sDownloadURL, version, m.facts.Arch)}
	if m.host.K0sDownloadURL != "" {
		return r
	}
	folder, name := path.Split(r.url)
	r.sums = folder + "sha256sums.txt"
	r.name = name
	if decoded, err := url.PathUnescape(name); err == nil { // + is %2B in the URL alone
		r.name = decoded
	}
	return r
}

// fetch downloads the host's k0s to the user's cache, verified by the release's own checksums.
func (c *Cluster) fetch(ctx context.Context, m *machine) (upload, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return upload{}, fmt.Errorf("finding a place to download to: %w", err)
	}
	file := filepath.Join(cache, "kubectl-ha", "k0s-"+c.version+"-"+m.facts.Arch)
	r := c.release(m)
	want := ""
	if r.sums != "" {
		text, err := get(ctx, c.settings.Web, r.sums)
		if err != nil {
			return upload{}, fmt.Errorf("downloading the checksums of k0s: %w", err)
		}
		if want = checksumOf(text, r.name); want == "" {
			return upload{}, fmt.Errorf("downloading k0s: %s has no checksum of %s", r.sums, r.name)
		}
	}
	if u, err := measure(file); err == nil && want != "" && u.digest == want {
		return u, nil
	}
	c.report.Host(m.name()).Update("downloading k0s to this machine")
	return download(ctx, c.settings.Web, r.url, file, want)
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

// download puts what is at the URL into the file, in one step, once its SHA-256 is the one wanted; an empty one stands
// for any.
func download(ctx context.Context, web *http.Client, url, file, want string) (u upload, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("downloading %s: %w", url, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return u, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return u, err
	}
	response, err := web.Do(request)
	if err != nil {
		return u, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return u, errors.New(response.Status)
	}
	part, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return u, err
	}
	defer func() { _ = os.Remove(part.Name()) }() // it is gone once it has its name
	_, err = io.Copy(part, response.Body)
	if err = errors.Join(err, part.Close()); err != nil {
		return u, err
	}
	if u, err = measure(part.Name()); err != nil {
		return u, err
	}
	if want != "" && u.digest != want {
		return upload{}, fmt.Errorf("its SHA-256 is %s, not %s: try again", u.digest, want)
	}
	u.path = file
	return u, os.Rename(part.Name(), file)
}

// get fetches a short text.
func get(ctx context.Context, web *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := web.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(url + ": " + response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return string(text), err
}

// downloadCommand makes a host download a file and give it a mode. It appears in one step, once its checksum is right
// where there is one; else nothing is left behind.
func downloadCommand(r release, to, mode string) string {
	part := shell.Quote(to + ".part")
	sums := shell.Quote(to + ".part.sums")
	fetch := func(url, to string) string {
		return "{ if command -v curl >/dev/null; then curl -fsSL -o " + to + " " + shell.Quote(url) +
			"; else wget -qO " + to + " " + shell.Quote(url) + "; fi; }"
	}
	commands := []string{"umask 077", fetch(r.url, part)}
	if r.sums != "" {
		commands = append(commands, fetch(r.sums, sums),
			"got=$(sha256sum "+part+" | cut -d' ' -f1)",
			"want=$(awk -v name="+shell.Quote(r.name)+` '$2 == name || $2 == "*" name { print $1 }' `+sums+")",
			`{ [ "$got" = "$want" ] || { echo "its SHA-256 is $got, not ${want:-listed}" >&2; false; }; }`)
	}
	commands = append(commands, "chmod "+mode+" "+part, "mv -f "+part+" "+shell.Quote(to))
	// The status is that of what failed first.
	return "{ " + strings.Join(commands, " && ") + "; }; status=$?; rm -f " + part + " " + sums + "; exit $status"
}
