package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	debianSuite  = "bookworm"
	debianMirror = "http://deb.debian.org/debian"
)

// dpkgOptions leave out what no host of a lab needs, and the wait for the disk after each file.
const dpkgOptions = `force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
`

// debootstrap makes the image tag from Debian's packages, the given ones among them: outside of Docker they are
// installed much faster. It needs root, for it works in a chroot.
func debootstrap(ctx context.Context, stateDir, tag string, packages []string, log io.Writer) error {
	if err := needDebootstrap(ctx, log); err != nil {
		return err
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", stateDir, err)
	}
	root, err := os.MkdirTemp(stateDir, "debootstrap-")
	if err != nil {
		return fmt.Errorf("making a folder for debootstrap: %w", err)
	}
	err = importTree(ctx, root, tag, packages, log)
	// The clean-up has to happen on an interrupt too.
	return errors.Join(err, removeTree(context.WithoutCancel(ctx), root))
}

func needDebootstrap(ctx context.Context, log io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("making the hosts' image without a registry needs root (debootstrap works in a chroot): run as " +
			"root once, or load " + registryBase + " into Docker")
	}
	if _, err := exec.LookPath("debootstrap"); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("making the hosts' image without a registry needs debootstrap, and there is no apt-get here to " +
			"install it with: install it, or load " + registryBase + " into Docker")
	}
	fmt.Fprintln(log, "lab: installing debootstrap")
	script := "apt-get install -y --no-install-recommends debootstrap || " +
		"{ apt-get update && apt-get install -y --no-install-recommends debootstrap; }"
	return logged(exec.CommandContext(ctx, "sh", "-c", script), log, "installing debootstrap")
}

func importTree(ctx context.Context, root, tag string, packages []string, log io.Writer) error {
	options := filepath.Join(root, "etc/dpkg/dpkg.cfg.d")
	if err := os.MkdirAll(options, 0o755); err != nil {
		return fmt.Errorf("preparing debootstrap's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(options, "lab"), []byte(dpkgOptions), 0o644); err != nil {
		return fmt.Errorf("preparing debootstrap's folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","),
		debianSuite, root, debianMirror)
	if err := logged(cmd, log, "debootstrap"); err != nil {
		return err
	}
	pack := exec.CommandContext(ctx, "tar", "-C", root, "--one-file-system", "--exclude=./var/cache/apt/archives/*.deb",
		"--exclude=./var/lib/apt/lists/*_*", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
		"--exclude=./usr/share/locale/*", "-c", ".")
	stream, err := pack.StdoutPipe()
	if err != nil {
		return fmt.Errorf("packing the image: %w", err)
	}
	var stderr bytes.Buffer
	pack.Stderr = &stderr
	if err := pack.Start(); err != nil {
		return fmt.Errorf("packing the image: %w", err)
	}
	_, importErr := docker(ctx, stream, "import", "--change", `CMD ["/bin/bash"]`, "-", tag)
	if err := pack.Wait(); err != nil && importErr == nil {
		return fmt.Errorf("packing the image: %w: %s", err, stderr.String())
	}
	return importErr
}

// logged runs a command whose output goes to the log, and whose last lines go into the error.
func logged(cmd *exec.Cmd, log io.Writer, action string) error {
	var output tail
	cmd.Stdout, cmd.Stderr = io.MultiWriter(log, &output), &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; the last of its output:\n%s", action, err, output.String())
	}
	return nil
}

// removeTree deletes what debootstrap made. An interrupted debootstrap leaves /proc mounted in it, so mounts go first
// and nothing on another file system is touched.
func removeTree(ctx context.Context, root string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return fmt.Errorf("removing %s: %w", root, err)
	}
	for _, dir := range mountsUnder(mounts, root) {
		if out, err := exec.CommandContext(ctx, "umount", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("removing %s: unmounting %s: %w: %s", root, dir, err, bytes.TrimSpace(out))
		}
	}
	if out, err := exec.CommandContext(ctx, "rm", "-rf", "--one-file-system", root).CombinedOutput(); err != nil {
		return fmt.Errorf("removing %s: %w: %s", root, err, bytes.TrimSpace(out))
	}
	return nil
}

// mountsUnder reads /proc/self/mounts and returns the mount points below root, the innermost first.
func mountsUnder(mounts []byte, root string) []string {
	var dirs []string
	for scanner := bufio.NewScanner(bytes.NewReader(mounts)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 1 && strings.HasPrefix(fields[1], root+"/") {
			dirs = append([]string{fields[1]}, dirs...)
		}
	}
	return dirs
}
