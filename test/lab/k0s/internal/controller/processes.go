package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/bundle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/component"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/lifecycle"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/member"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/supervise"
)

// supervise prepares a component's process.
func (c *controller) supervise(name string, args []string, stop time.Duration) (*supervise.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path, err := bundle.Stage(self, c.vars.BinDir, name)
	if err != nil {
		return nil, err
	}
	return &supervise.Process{
		Name: name, Path: path, Args: args, Dir: c.vars.DataDir, PIDFile: c.vars.PIDFile(name),
		StopTimeout: stop, Log: c.log.With("component", name),
	}, nil
}

func (c *controller) process(name string, args []string, stop time.Duration) lifecycle.Part {
	var process *supervise.Process
	return lifecycle.Part{
		Name: name,
		Start: func(context.Context) error {
			var err error
			if process, err = c.supervise(name, args, stop); err != nil {
				return err
			}
			return process.Start()
		},
		Stop: func() error { return process.Stop() },
	}
}

// etcd is ready once it is a voter: a learner serves no reads. A host that
// joins waits here for the leader to promote it.
func (c *controller) etcd() lifecycle.Part {
	var process *supervise.Process
	return lifecycle.Part{
		Name: component.EtcdName,
		Start: func(ctx context.Context) error {
			name, err := c.memberName()
			if err != nil {
				return err
			}
			var initial []string
			if c.join != nil {
				if initial, err = joinEtcd(ctx, c.vars, c.join, name, c.config.Spec.Storage.Etcd.PeerURL(), c.log); err != nil {
					return err
				}
			}
			if err := pki.EnsureEtcd(c.vars, c.config.Spec.Storage.Etcd); err != nil {
				return err
			}
			args := component.Etcd(c.vars, c.config, name, initial)
			if process, err = c.supervise(component.EtcdName, args, 0); err != nil {
				return err
			}
			return process.Start()
		},
		Ready: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			client, err := member.Connect(c.vars)
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Healthy(ctx)
		},
		Stop: func() error { return c.stopEtcd(process) },
	}
}

// stopEtcd removes this host's member first when it was asked to leave. etcd
// then ends by itself.
func (c *controller) stopEtcd(process *supervise.Process) error {
	if !c.leaveOnStop.Load() {
		return process.Stop()
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		client, err := member.Connect(c.vars)
		if err != nil {
			c.log.Error("leaving the etcd cluster", "err", err)
			return
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := client.Leave(ctx, c.log); err != nil {
			c.log.Error("leaving the etcd cluster", "err", err)
			return
		}
		time.Sleep(10 * time.Second)
	}()
	return process.StopAfter(left)
}

func (c *controller) memberName() (string, error) {
	if name := c.config.Spec.Storage.Etcd.ExtraArgs["name"]; name != "" {
		return name, nil
	}
	return os.Hostname()
}

func (c *controller) apiServer() lifecycle.Part {
	part := c.process(component.APIServerName,
		component.APIServer(c.vars, c.config, !c.reconcilesEndpoints()), component.APIServerStop)
	part.Ready = c.apiServerReady
	return part
}

// apiServerReady asks for /readyz at the address that others use, with the
// admin's certificate.
func (c *controller) apiServerReady(ctx context.Context) error {
	certificate, err := tls.LoadX509KeyPair(c.vars.Cert("admin"), c.vars.Key("admin"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(c.vars.Cert("ca"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, RootCAs: roots, MinVersion: tls.VersionTLS12,
		},
	}}
	api := c.config.Spec.API
	url := "https://" + net.JoinHostPort(api.Address, strconv.Itoa(api.Port)) + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("expected 200 for api server ready check, got %d", response.StatusCode)
	}
	return nil
}
