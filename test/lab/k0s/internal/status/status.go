// Package status is k0s's status socket: served by the running process, read
// by the command line.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Info is the answer, under k0s's field names.
type Info struct {
	Version                     string
	Pid                         int
	PPid                        int
	Role                        string
	SysInit                     string
	StubFile                    string
	Output                      string
	Workloads                   bool
	SingleNode                  bool
	Args                        []string
	WorkerToAPIConnectionStatus Probe
	ClusterConfig               *clusterconfig.Config
	K0sVars                     *vars.Vars
}

// Probe tells whether a kubelet reaches the API server.
type Probe struct {
	Message string
	Success bool
}

// Server answers on the socket.
type Server struct {
	Info Info
	// Probe asks the kubelet's API server something, nil without a kubelet.
	Probe func(context.Context) error

	http *http.Server
}

// Start listens on the socket that Info's paths name.
func (s *Server) Start() error {
	path := s.Info.K0sVars.StatusSocketPath
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the earlier status socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening on the status socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		info := s.Info
		if s.Probe != nil {
			if err := s.Probe(r.Context()); err != nil {
				info.WorkerToAPIConnectionStatus.Message = err.Error()
			} else {
				info.WorkerToAPIConnectionStatus.Success = true
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(info)
	})
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return nil
}

// Stop closes the socket and removes it.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.http.Shutdown(ctx)
}

// Read asks the k0s process behind a socket.
func Read(socket string) (*Info, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	response, err := client.Get("http://localhost/status")
	if err != nil {
		return nil, fmt.Errorf("status: can't get \"status\" via %q: %w", socket, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status: can't get \"status\" via %q: status code %d", socket, response.StatusCode)
	}
	info := &Info{}
	if err := json.NewDecoder(response.Body).Decode(info); err != nil {
		return nil, fmt.Errorf("status: can't get \"status\" via %q: can't decode JSON: %w", socket, err)
	}
	return info, nil
}
