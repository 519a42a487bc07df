package host

import (
	"errors"
	"io"
	"net"
	"sync"
)

// deadlineConn gives an SSH channel the deadlines that it lacks and that HTTP, TLS and gRPC rely on: a pipe has them,
// and two copies connect the pipe with the channel.
type deadlineConn struct {
	net.Conn // our end of the pipe; what was written before its Close still goes out
	channel  net.Conn

	mu  sync.Mutex
	err error // why reading from the channel failed
}

func withDeadlines(channel net.Conn) *deadlineConn {
	near, far := net.Pipe()
	c := &deadlineConn{Conn: near, channel: channel}
	go func() {
		_, err := io.Copy(far, channel)
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		far.Close()
	}()
	go func() {
		_, _ = io.Copy(channel, far)
		channel.Close()
		far.Close()
	}()
	return c
}

// Read returns the channel's error where the pipe just ends.
func (c *deadlineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			err = c.err
		}
	}
	return n, err
}

// LocalAddr returns what the channel knows of its end.
func (c *deadlineConn) LocalAddr() net.Addr { return c.channel.LocalAddr() }

// RemoteAddr returns what the channel knows of the host's end.
func (c *deadlineConn) RemoteAddr() net.Addr { return c.channel.RemoteAddr() }
