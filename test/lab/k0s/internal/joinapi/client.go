package joinapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/jointoken"
)

// Client asks a running controller to let this host join.
type Client struct {
	// Address is the URL that the token names.
	Address string
	bearer  string
	http    *http.Client
}

// NewClient makes a client of a controller token.
func NewClient(token string) (*Client, error) {
	config, err := jointoken.Decode(token, jointoken.RoleController)
	if err != nil {
		return nil, fmt.Errorf("failed to create join client: %w", err)
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil || config.AuthInfos[current.AuthInfo] == nil {
		return nil, errors.New("failed to create join client: the token's kubeconfig is incomplete")
	}
	cluster := config.Clusters[current.Cluster]
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cluster.CertificateAuthorityData) {
		return nil, errors.New("failed to create join client: the token holds no certificate authority")
	}
	return &Client{
		Address: cluster.Server,
		bearer:  config.AuthInfos[current.AuthInfo].Token,
		http: &http.Client{
			Timeout: 10 * time.Second,
			// A connection of its own for every attempt: the next one may be
			// balanced to a server that answers.
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
			},
		},
	}, nil
}

// CA asks for the cluster's authority and service account keys.
func (c *Client) CA(ctx context.Context) (CAResponse, error) {
	var answer CAResponse
	err := c.do(ctx, http.MethodGet, "/v1beta1/ca", nil, &answer)
	return answer, err
}

// AddMember asks for a place in the etcd cluster.
func (c *Client) AddMember(ctx context.Context, request MemberRequest) (MemberResponse, error) {
	var answer MemberResponse
	err := c.do(ctx, http.MethodPost, "/v1beta1/etcd/members", request, &answer)
	return answer, err
}

func (c *Client) do(ctx context.Context, method, path string, body, answer any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Address, "/")+path, &content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.bearer)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, data)
	}
	return json.Unmarshal(data, answer)
}

// Retry calls f until it succeeds: after 1, 2, 4 seconds and so on, never more
// than a minute apart, ten times in all. That is about four minutes, in which
// another host's learner may become a voter.
func Retry(ctx context.Context, first time.Duration, failed func(attempt int, err error), f func() error) error {
	const attempts = 10
	wait := first
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil {
			return nil
		}
		failed(attempt, err)
		if attempt == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Minute)
	}
}
