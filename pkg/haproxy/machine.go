package haproxy

import (
	"context"
	"io"
	"io/fs"
	"net"
)

// Machine is the host that HAProxy runs on, as root sees it. It is reached over SSH by the plugins and is the local
// host for a program that runs there.
type Machine interface {
	// Output runs a shell command and returns what it wrote to standard output, without the last newline. The error
	// of a command that failed carries what it wrote to standard error.
	Output(ctx context.Context, command string, stdin io.Reader) (string, error)
	// ReadFile returns an error that is fs.ErrNotExist when there is no such file.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces a file in one step (temporary file in the same folder, fsync, rename). Mode 0 keeps owner,
	// mode and SELinux context of the file that is there.
	WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error
	// DialContext connects from that host; the network is "unix".
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Lock takes the lock file for this process alone and waits until ctx ends when another one holds it.
	Lock(ctx context.Context, path string) (unlock func() error, err error)
}

// Service is HAProxy in the hands of that host's service manager: systemd, OpenRC or a test.
type Service interface {
	Running(ctx context.Context) (bool, error)
	Start(ctx context.Context) error
	Reload(ctx context.Context) error
	// Enable makes it start at boot.
	Enable(ctx context.Context) error
}
