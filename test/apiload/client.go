package apiload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// What is asked for is in every cluster. The first is read from etcd, with its quorum, at every request.
const (
	object  = "/api/v1/namespaces/kube-system"
	watched = "/api/v1/namespaces/kube-system/configmaps?watch=true&allowWatchBookmarks=true&timeoutSeconds=3600"
)

// client is one client of the API, with connections of its own.
type client struct {
	http      *http.Client
	transport *http.Transport
	host      string
}

// newClient makes a client; http2 lets it send all its requests on one connection. It begins its TLS handshake that long
// after it has connected, as one that is far away does.
func newClient(api *rest.Config, http2 bool, far time.Duration) (*client, error) {
	cfg := rest.CopyConfig(api)
	tls, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	own := &http.Transport{TLSClientConfig: tls, Protocols: protocols, DisableKeepAlives: !http2,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}}
	own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			wait(ctx, far)
		}
		return conn, err
	}
	wrapped, err := rest.HTTPWrappersForConfig(cfg, own)
	if err != nil {
		return nil, err
	}
	url, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, err
	}
	return &client{&http.Client{Transport: wrapped}, own, strings.TrimSuffix(url.String(), "/")}, nil
}

// A connection that nobody answers on is given up as client-go gives it up by default (k8s.io/apimachinery, util/net).
const (
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
)

func (c *client) close() { c.transport.CloseIdleConnections() }

func (c *client) do(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		response.Body.Close()
		err := fmt.Errorf("%s: %s", response.Status, body)
		if seconds, parseErr := strconv.Atoi(response.Header.Get("Retry-After")); parseErr == nil {
			return nil, &retryLater{err, time.Duration(seconds) * time.Second}
		}
		return nil, err
	}
	return response, nil
}

// retryLater is an answer that tells the client when to ask again. An API server that shuts down gives it to whoever asks
// on a connection that it has yet to close.
type retryLater struct {
	error
	after time.Duration
}

// get asks once and reads the whole answer.
func (c *client) get(ctx context.Context) error {
	response, err := c.do(ctx, object)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// getPatiently asks as client-go does: an answer that says when to ask again is followed. It tells how often.
func (c *client) getPatiently(ctx context.Context) (told int, err error) {
	for {
		err := c.get(ctx)
		later := (*retryLater)(nil)
		if !errors.As(err, &later) || told == maxRetries {
			return told, err
		}
		told++
		wait(ctx, later.after)
		if ctx.Err() != nil {
			return told, err
		}
	}
}

// maxRetries is client-go's own (k8s.io/client-go, rest/request.go).
const maxRetries = 10

// watch opens a watch, within the timeout, and returns when it ends: with io.EOF when the server ended it.
func (c *client) watch(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opening := time.AfterFunc(timeout, func() { cancel(errors.New("the watch was not opened in time")) })
	response, err := c.do(ctx, watched)
	if !opening.Stop() && err != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	events := bufio.NewReader(response.Body)
	for {
		if _, err := events.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
