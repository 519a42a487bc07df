package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
)

var errTODO = errors.New("not implemented")

// Host is a connected machine. Its methods may be called concurrently. Every command runs as root.
type Host struct{ name string }

// CommandError says that a command ran on a host and failed there.
type CommandError struct {
	Host     string
	Command  string
	ExitCode int    // -1 when it was ended by a signal
	Stderr   string // the last part of it
}

// Error names the command, the host and what it said.
func (e *CommandError) Error() string {
	return fmt.Sprintf("running %q on %s: exit code %d: %s", e.Command, e.Host, e.ExitCode, e.Stderr)
}

// Name returns "user@address:port".
func (h *Host) Name() string { return h.name }

// Output runs a shell command as root and returns its standard output without the final newline.
func (h *Host) Output(ctx context.Context, command string, stdin io.Reader) (string, error) { return "", errTODO }

// Stream runs a shell command as root and copies its standard output to stdout while it runs.
func (h *Host) Stream(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
	return errTODO
}

// ReadFile returns the content of a file; the error matches fs.ErrNotExist when there is none.
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) { return nil, errTODO }

// WriteFile replaces a file in one step. Mode 0 keeps owner, mode and SELinux context of the existing file.
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error {
	return errTODO
}

// Upload copies size bytes to a file on the host, verified by SHA-256, and skips it when the same file is there.
func (h *Host) Upload(ctx context.Context, src io.ReaderAt, size int64, sha256hex, path string, mode fs.FileMode,
	progress func(done int64)) (skipped bool, err error) {
	return false, errTODO
}

// DialContext connects from the host to an address: networks "tcp" and "unix".
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) { return nil, errTODO }

// Lock takes an exclusive lock that ends with unlock or with the connection.
func (h *Host) Lock(ctx context.Context, path string) (unlock func() error, err error) { return nil, errTODO }

// Close ends the connection.
func (h *Host) Close() error { return nil }

// InstallPackages installs packages with the host's package manager; those present are left alone.
func (h *Host) InstallPackages(ctx context.Context, names ...string) error { return errTODO }

// PackageAvailable says whether the host's package manager knows the package.
func (h *Host) PackageAvailable(ctx context.Context, name string) (bool, error) { return false, errTODO }

// Service returns the named service of the host's init system.
func (h *Host) Service(name string) *Service { return &Service{host: h, name: name} }

// Service is a service of a host's init system (systemd, OpenRC and others).
type Service struct {
	host *Host
	name string
}

// Start starts the service.
func (s *Service) Start(ctx context.Context) error { return errTODO }

// Stop stops the service.
func (s *Service) Stop(ctx context.Context) error { return errTODO }

// Restart restarts the service.
func (s *Service) Restart(ctx context.Context) error { return errTODO }

// Reload makes the service read its configuration again.
func (s *Service) Reload(ctx context.Context) error { return errTODO }

// Enable makes the service start at boot.
func (s *Service) Enable(ctx context.Context) error { return errTODO }

// Disable keeps the service from starting at boot.
func (s *Service) Disable(ctx context.Context) error { return errTODO }

// DaemonReload makes the init system read its unit files again.
func (s *Service) DaemonReload(ctx context.Context) error { return errTODO }

// Running says whether the service runs; false when it is stopped, failed or unknown.
func (s *Service) Running(ctx context.Context) (bool, error) { return false, errTODO }
