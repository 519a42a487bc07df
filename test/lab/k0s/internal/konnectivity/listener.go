// Package konnectivity stands in for the konnectivity server: its ports answer
// as far as a health check looks, and nothing is tunnelled.
package konnectivity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// healthPort is where the real server answers /healthz on localhost.
const healthPort = "8092"

// Listener holds konnectivity's ports.
type Listener struct {
	Vars   *vars.Vars
	Config clusterconfig.Konnectivity
	Log    *slog.Logger

	closers []io.Closer
}

// Start listens: agents with TLS and no client certificate, administration and
// health on localhost.
func (l *Listener) Start() error {
	certificate, err := tls.LoadX509KeyPair(l.Vars.Cert("server"), l.Vars.Key("server"))
	if err != nil {
		return fmt.Errorf("reading konnectivity's certificate: %w", err)
	}
	agents, err := tls.Listen("tcp", ":"+strconv.Itoa(l.Config.AgentPort), &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
	})
	if err != nil {
		return fmt.Errorf("listening for konnectivity agents: %w", err)
	}
	l.closers = append(l.closers, agents)
	go l.accept(agents)
	admin, err := net.Listen("tcp", net.JoinHostPort("localhost", strconv.Itoa(l.Config.AdminPort)))
	if err != nil {
		return errors.Join(fmt.Errorf("listening for konnectivity's administration: %w", err), l.Stop())
	}
	l.closers = append(l.closers, admin)
	go l.accept(admin)
	health := &http.Server{
		Addr: net.JoinHostPort("localhost", healthPort), ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
	}
	listener, err := net.Listen("tcp", health.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listening for konnectivity's health: %w", err), l.Stop())
	}
	l.closers = append(l.closers, health)
	go func() { _ = health.Serve(listener) }()
	return nil
}

// Stop closes the ports.
func (l *Listener) Stop() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	l.closers = nil
	return errors.Join(errs...)
}

// accept holds each connection until its peer closes it, and answers nothing.
func (l *Listener) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			_, _ = io.Copy(io.Discard, connection)
		}()
	}
}
