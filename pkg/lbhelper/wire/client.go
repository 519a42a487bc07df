package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Client is the syncer's end of a session. Requests go one after another.
type Client struct {
	conn  io.ReadWriteCloser
	lines *LineReader

	mu      sync.Mutex
	welcome *Welcome
	id      uint64
	broken  error
}

// NewClient speaks over the standard input and output of a helper. Closing conn must end a pending read.
func NewClient(conn io.ReadWriteCloser) *Client {
	return &Client{conn: conn, lines: NewLineReader(conn, MaxResponse)}
}

// Close ends the session.
func (c *Client) Close() error { return c.conn.Close() }

// Hello opens the session.
func (c *Client) Hello(ctx context.Context) (*Welcome, error) {
	response, err := c.ask(ctx, &Request{Hello: &Hello{Protocol: Protocol}})
	if err != nil {
		return nil, err
	}
	if response.Hello == nil {
		return nil, errors.New("the helper did not say who it is")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.welcome = response.Hello
	return response.Hello, nil
}

// Welcome is what the helper said at the beginning of the session; nil before that.
func (c *Client) Welcome() *Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// State asks what HAProxy is like.
func (c *Client) State(ctx context.Context) (*Report, error) {
	response, err := c.ask(ctx, &Request{State: &State{}})
	if err != nil {
		return nil, err
	}
	if response.State == nil {
		return nil, errors.New("the helper did not say what HAProxy is like")
	}
	return response.State, nil
}

// Apply asks for a membership.
func (c *Client) Apply(ctx context.Context, servers []Server) (*Applied, error) {
	response, err := c.ask(ctx, &Request{Apply: &Apply{Servers: servers}})
	if err != nil {
		return nil, err
	}
	if response.Applied == nil {
		return nil, errors.New("the helper did not say what it did")
	}
	return response.Applied, nil
}

// Renew brings another client certificate, and returns the one that health checks show since.
func (c *Client) Renew(ctx context.Context, renew *Renew) (*Certificate, error) {
	response, err := c.ask(ctx, &Request{Renew: renew})
	if err != nil {
		return nil, err
	}
	if response.Renewed == nil {
		return nil, errors.New("the helper did not say which certificate there is")
	}
	return response.Renewed, nil
}

// ask sends one request and returns its answer. A session that fails once, or whose answer was not awaited, is over:
// what comes next could not be told apart from what is late.
func (c *Client) ask(ctx context.Context, request *Request) (*Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	c.id++
	request.ID = c.id
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	response, err := c.exchange(request)
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.broken = fmt.Errorf("the helper's session is over: %w", err)
		c.conn.Close()
		return nil, c.broken
	}
	if response.Error != nil {
		return nil, response.Error
	}
	return response, nil
}

func (c *Client) exchange(request *Request) (*Response, error) {
	if err := Write(c.conn, request); err != nil {
		return nil, err
	}
	line, err := c.lines.Next()
	if err != nil {
		return nil, err
	}
	response, err := decodeResponse(line)
	if err != nil {
		return nil, err
	}
	// A line that it could not read has no ID that it could give back.
	if response.ID != request.ID && response.Error == nil {
		return nil, fmt.Errorf("an answer to request %d instead of %d", response.ID, request.ID)
	}
	return response, nil
}
