package k0sbin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const content = "the executable"

// newResolver asks a server that answers requests for the release with the given status and body, and counts them.
func newResolver(t *testing.T, status int, body string) (resolver, *int) {
	t.Helper()
	requests := new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		if r.RequestURI != "/v1.2.3%2Bk0s.0/k0s-v1.2.3%2Bk0s.0-amd64" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		w.WriteHeader(status)
		if _, err := io.WriteString(w, body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256([]byte(content))
	return resolver{
		release: release{version: "v1.2.3+k0s.0", sums: map[string]string{"amd64": hex.EncodeToString(sum[:])}},
		arch:    "amd64",
		cache:   t.TempDir(),
		server:  server.URL,
		client:  server.Client(),
		standIn: func(context.Context, string, io.Writer) (string, error) { return "/stand-in", nil },
		log:     io.Discard,
	}, requests
}

func TestReleaseIsDownloadedOnceAndExecutable(t *testing.T) {
	r, requests := newResolver(t, http.StatusOK, content)
	for range 2 {
		path, kind, err := r.resolve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || string(data) != content || kind != Release {
			t.Errorf("got %s %q, %v", kind, data, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the file has mode %v, %v", info.Mode(), err)
		}
	}
	if *requests != 1 {
		t.Errorf("%d downloads", *requests)
	}
}

func TestFileWithAnotherChecksumIsRefusedAndNotKept(t *testing.T) {
	r, _ := newResolver(t, http.StatusOK, "something else")
	_, _, err := r.resolve(t.Context())
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
	left, err := filepath.Glob(filepath.Join(r.cache, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "download.lock" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStandInIsTakenWhereTheReleaseCannotBeHad(t *testing.T) {
	for name, change := range map[string]func(*resolver){
		"no such server":         func(r *resolver) { r.server = "http://127.0.0.1:1" },
		"no checksum pinned":     func(r *resolver) { r.arch = "riscv64" },
		"the server refuses":     func(*resolver) {},
		"the name is not known":  func(r *resolver) { r.server = "http://k0s.invalid" },
		"the connection is void": func(r *resolver) { r.client = &http.Client{Transport: failing{}} },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newResolver(t, http.StatusForbidden, "")
			change(&r)
			path, kind, err := r.resolve(t.Context())
			if path != "/stand-in" || kind != StandIn || err != nil {
				t.Errorf("got %s %s, %v", path, kind, err)
			}
		})
	}
}

type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("network is unreachable")
}

func TestGivenExecutableComesFirstAndHasToBeOne(t *testing.T) {
	dir := t.TempDir()
	executable, text := filepath.Join(dir, "k0s"), filepath.Join(dir, "text")
	for path, mode := range map[string]os.FileMode{executable: 0o755, text: 0o644} {
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	path, kind, err := resolver{given: executable}.resolve(t.Context())
	if path != executable || kind != Given || err != nil {
		t.Errorf("got %s %s, %v", path, kind, err)
	}
	for _, bad := range []string{text, dir, filepath.Join(dir, "missing")} {
		if path, _, err := (resolver{given: bad}).resolve(t.Context()); err == nil {
			t.Errorf("%s was taken: %s", bad, path)
		}
	}
}

func TestPinnedReleaseIsReadable(t *testing.T) {
	r, err := parseRelease(pinned)
	if err != nil || !strings.HasPrefix(r.version, "v1.") || len(r.sums["amd64"]) != 64 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestMistakesInThePinnedReleaseAreAllNamed(t *testing.T) {
	_, err := parseRelease("# only mistakes\nsha256 amd64 f00\n\nrelease v1\n")
	for _, want := range []string{"line 2", "line 4", "no version"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}
}
