package syncer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// gateTimeout bounds the question whether an API server is ready.
const gateTimeout = 2 * time.Second

// gate asks API servers themselves whether they are ready, by their own addresses and with verified TLS.
type gate struct {
	port       int
	serverName string
	// caFile and tokenFile are read each time: both are renewed.
	caFile, tokenFile string
}

// ask returns nil when the API server of that address says that it is ready.
func (g *gate) ask(ctx context.Context, address netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	ca, err := os.ReadFile(g.caFile)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(g.tokenFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate", g.caFile)
	}
	readyz := fmt.Sprintf("https://%s/readyz", netip.AddrPortFrom(address, uint16(g.port)))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, readyz, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: g.serverName, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	// A redirect would take the token elsewhere.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") }}
	response, err := client.Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err // who reads it knows what was asked for
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}

// askAll asks several at the same time, and returns what is wrong with each.
func askAll(ctx context.Context, ask func(context.Context, netip.Addr) error, addresses []netip.Addr) map[netip.Addr]error {
	answers := make(map[netip.Addr]error, len(addresses))
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, address := range addresses {
		running.Go(func() {
			err := ask(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			answers[address] = err
		})
	}
	running.Wait()
	return answers
}

// errOutside is of a controller that the helper's policy does not allow.
var errOutside = errors.New("is in none of the networks that this load balancer's policy allows: run kubectl ha-init with its host in " +
	"the cluster file, or with its network in spec.syncer.networks")

// whyWaiting says why controllers are not let in, in words that stay the same for as long as the reason does: they become
// part of the status.
func whyWaiting(waiting []Controller, answers map[netip.Addr]error) error {
	var reasons []error
	for _, c := range waiting {
		if errors.Is(answers[c.Address], errOutside) {
			reasons = append(reasons, fmt.Errorf("%s gets no connections: %s %w", c.Name, c.Address, errOutside))
			continue
		}
		reasons = append(reasons, fmt.Errorf("%s gets no connections yet, its API server is not ready: %s", c.Name, steady(answers[c.Address])))
	}
	return errors.Join(reasons...)
}

// steady is an error's text without what differs each time: this host's ports of connections, and times.
func steady(err error) string {
	var (
		network    *net.OpError
		unverified *tls.CertificateVerificationError
		invalid    x509.CertificateInvalidError
	)
	text := err.Error()
	if errors.As(err, &network) {
		without := *network
		without.Source = nil
		text = strings.ReplaceAll(text, network.Error(), without.Error())
	}
	if errors.As(err, &unverified) && errors.As(unverified, &invalid) && invalid.Reason == x509.Expired {
		text = strings.ReplaceAll(text, unverified.Error(), "its certificate is not valid by this host's clock: compare it with the controllers'")
	}
	return text
}
