package syncer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
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
	url := fmt.Sprintf("https://%s/readyz", netip.AddrPortFrom(address, uint16(g.port)))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
