// Package k0sbin finds the k0s executable that the end-to-end tests run: the one that K0S_BINARY names, or else the
// pinned release, or else, on a machine without a network, the lab's stand-in.
package k0sbin

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Kind says where an executable comes from.
type Kind string

// The kinds of executable.
const (
	// Given is an executable that K0S_BINARY names.
	Given Kind = "given"
	// Release is the pinned k0s release.
	Release Kind = "release"
	// StandIn is the lab's own, with the real components of a control plane.
	StandIn Kind = "stand-in"
)

//go:embed release
var pinned string

const (
	downloads = "https://github.com/k0sproject/k0s/releases/download"
	// reachLimit is how long the download server may take to answer before this machine counts as offline.
	reachLimit = 3 * time.Second
)

// Resolve returns the path and the kind of the k0s executable to test with. What takes long is told to log.
func Resolve(ctx context.Context, log io.Writer) (path string, kind Kind, err error) {
	r, err := parseRelease(pinned)
	if err != nil {
		return "", "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", fmt.Errorf("finding a folder for the k0s executable: %w", err)
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: reachLimit}).DialContext,
		TLSHandshakeTimeout:   reachLimit,
		ResponseHeaderTimeout: reachLimit,
		ForceAttemptHTTP2:     true,
	}
	defer transport.CloseIdleConnections()
	return resolver{
		given:   os.Getenv("K0S_BINARY"),
		release: r,
		arch:    runtime.GOARCH,
		cache:   filepath.Join(cache, "kubectl-ha", "k0s"),
		server:  downloads,
		client:  &http.Client{Transport: transport},
		standIn: buildStandIn,
		log:     log,
	}.resolve(ctx)
}

type resolver struct {
	given   string
	release release
	arch    string
	cache   string
	server  string
	client  *http.Client
	standIn func(ctx context.Context, dir string, log io.Writer) (string, error)
	log     io.Writer
}

func (r resolver) resolve(ctx context.Context) (string, Kind, error) {
	if r.given != "" {
		path, err := checkGiven(r.given)
		return path, Given, err
	}
	path, err := r.download(ctx)
	if err == nil {
		return path, Release, nil
	}
	// A file that is not what was pinned is no reason to go on with something else.
	if unavailable := (*unavailableError)(nil); !errors.As(err, &unavailable) {
		return "", "", err
	}
	fmt.Fprintf(r.log, "k0s: %v; taking the lab's stand-in\n", err)
	path, err = r.standIn(ctx, filepath.Join(r.cache, "stand-in"), r.log)
	return path, StandIn, err
}

func checkGiven(given string) (string, error) {
	path, err := filepath.Abs(given)
	if err != nil {
		return "", fmt.Errorf("K0S_BINARY: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("K0S_BINARY: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("K0S_BINARY: %s is no executable file", path)
	}
	return path, nil
}
