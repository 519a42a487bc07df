package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/internal/filelock"
)

//go:embed all:image
var imageFiles embed.FS

const (
	imageName     = "kubectl-ha-lab"
	registryBase  = "debian:bookworm-slim"
	registryLimit = 2 * time.Minute
)

// images are the tags of the host images, by flavour.
type images map[Flavour]string

// Image builds the hosts' images unless Docker has them already, and returns their tags by flavour. The tags carry a
// hash of all that goes into the images. Two processes that need an image build it once. An empty stateDir means
// DefaultStateDir.
func Image(ctx context.Context, stateDir string, log io.Writer) (map[Flavour]string, error) {
	stateDir, err := stateDirOr(stateDir)
	if err != nil {
		return nil, err
	}
	buildContext, err := imageContext()
	if err != nil {
		return nil, err
	}
	tags := imageTags(buildContext)
	if haveImages(ctx, tags) {
		return tags, nil
	}
	// Before a long attempt to make an image that nobody could store.
	if _, err := docker(ctx, nil, "info", "--format", "{{.ID}}"); err != nil {
		return nil, err
	}
	unlock, err := filelock.Lock(filepath.Join(stateDir, "image.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if haveImages(ctx, tags) {
		return tags, nil
	}
	start := time.Now()
	base, err := baseImage(ctx, stateDir, log)
	if err != nil {
		return nil, err
	}
	for _, flavour := range []Flavour{Bare, HAProxy} {
		if err := buildImage(ctx, buildContext, base, flavour, tags[flavour], log); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(log, "lab: built the hosts' images in %s\n", time.Since(start).Round(time.Second))
	return tags, nil
}

// RemoveImages removes every image that Image ever built here and that no container uses.
func RemoveImages(ctx context.Context) error {
	out, err := docker(ctx, nil, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", imageName)
	if err != nil || out == "" {
		return err
	}
	_, err = docker(ctx, nil, append([]string{"image", "rm"}, lines(out)...)...)
	return err
}

func haveImages(ctx context.Context, tags images) bool {
	for _, tag := range tags {
		if !haveImage(ctx, tag) {
			return false
		}
	}
	return true
}

func haveImage(ctx context.Context, tag string) bool {
	_, err := docker(ctx, nil, "image", "inspect", "--format", "{{.Id}}", tag)
	return err == nil
}

func imageTags(buildContext []byte) images {
	sum := sha256.Sum256(buildContext)
	hash := hex.EncodeToString(sum[:6])
	return images{
		Bare:    imageName + ":host-" + hash,
		HAProxy: imageName + ":haproxy-" + hash,
	}
}

// imageContext is the embedded folder as a tar archive, the same for the same files. A file that starts as a script
// is executable.
func imageContext() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	root, err := fs.Sub(imageFiles, "image")
	if err != nil {
		return nil, fmt.Errorf("reading the image's files: %w", err)
	}
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if entry.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o755})
		}
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if bytes.HasPrefix(data, []byte("#!")) {
			mode = 0o755
		}
		return writeTarFile(w, path, data, mode)
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("packing the image's files: %w", err)
	}
	return out.Bytes(), nil
}

func writeTarFile(w *tar.Writer, path string, data []byte, mode int64) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

func buildImage(ctx context.Context, buildContext []byte, base string, flavour Flavour, tag string, log io.Writer) error {
	target := "host"
	if flavour == HAProxy {
		target = "haproxy"
	}
	args := []string{"build", "--network", "host", "--target", target, "--tag", tag, "--build-arg", "BASE=" + base,
		"--label", labelLab + ".image=" + string(flavour)}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if os.Getenv(name) != "" {
			args = append(args, "--build-arg", name)
		}
	}
	cmd := exec.CommandContext(ctx, "docker", append(args, "-")...)
	var output tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(buildContext), io.MultiWriter(log, &output), &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building image %s: %w; the last of its output:\n%s", tag, err, output.String())
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

const tailSize = 4000

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailSize; extra > 0 {
		t.data = t.data[extra:]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.data)) }

// baseImage is Debian's own image, from this machine or a registry, or else one that debootstrap makes.
func baseImage(ctx context.Context, stateDir string, log io.Writer) (string, error) {
	if haveImage(ctx, registryBase) {
		return registryBase, nil
	}
	packages, err := imagePackages()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(debianSuite + runtime.GOARCH + dpkgOptions + strings.Join(packages, ",")))
	tag := imageName + ":base-" + hex.EncodeToString(sum[:6])
	if haveImage(ctx, tag) {
		return tag, nil
	}
	pullCtx, cancel := context.WithTimeout(ctx, registryLimit)
	defer cancel()
	_, err = docker(pullCtx, nil, "pull", "--quiet", registryBase)
	if err == nil {
		return registryBase, nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	fmt.Fprintf(log, "lab: no registry gives %s (%v); debootstrap makes it, which takes a minute or two\n", registryBase, err)
	return tag, debootstrap(ctx, stateDir, tag, packages, log)
}

// imagePackages are the Debian packages that every host has.
func imagePackages() ([]string, error) {
	data, err := imageFiles.ReadFile("image/packages")
	if err != nil {
		return nil, fmt.Errorf("reading the image's files: %w", err)
	}
	var packages []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			packages = append(packages, strings.Fields(line)...)
		}
	}
	return packages, nil
}
