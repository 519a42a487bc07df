//go:build haproxy

package haproxy

import (
	"crypto/tls"
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fakeController answers on the three ports as a k0s controller does.
type fakeController struct {
	address string
	ready   atomic.Bool
	queries atomic.Int64
}

func startFakeController(t *testing.T, files *certificates, address string, ports Ports) *fakeController {
	t.Helper()
	c := &fakeController{address: address}
	c.ready.Store(true)
	serve := func(port int, handler http.HandlerFunc) {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
		go func() {
			_ = server.Serve(tls.NewListener(listener, &tls.Config{
				Certificates: []tls.Certificate{files.server},
				ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: files.pool,
			}))
		}()
		t.Cleanup(func() { _ = server.Close() })
	}
	serve(ports.KubeAPI, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/version":
			c.queries.Add(1)
			fmt.Fprint(w, address)
		case len(r.TLS.PeerCertificates) == 0:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != "/readyz" || !c.ready.Load():
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	serve(ports.Konnectivity, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnsupportedMediaType)
	})
	serve(ports.ControllerJoin, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1beta1/ca" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	return c
}

// freePorts finds three ports that are free on all addresses.
func freePorts(t *testing.T) Ports {
	t.Helper()
	var ports [3]int
	for i := range ports {
		listener, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return Ports{KubeAPI: ports[0], Konnectivity: ports[1], ControllerJoin: ports[2]}
}

// runHAProxy runs the configuration until the test ends.
func runHAProxy(t *testing.T, cfg []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, cfg, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), haproxyPath(), "-db", "-f", path)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy: %s", output.String())
		}
	})
}

// serverStates asks HAProxy for "STATUS CHECK" of every "backend/server".
func serverStates(socket string) (map[string]string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(conn).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%d rows: %w", len(rows), err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	states := map[string]string{}
	for _, row := range rows[1:] {
		states[row[0]+"/"+row[1]] = strings.TrimSpace(row[column["status"]] + " " + row[column["check_status"]])
	}
	return states, nil
}

// awaitStates waits until the servers are in these states.
func awaitStates(t *testing.T, socket string, want map[string]string) {
	t.Helper()
	var got map[string]string
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		same := true
		got, err = serverStates(socket)
		for server, state := range want {
			same = same && got[server] == state
		}
		if same {
			return
		}
	}
	for server, state := range want {
		if got[server] != state {
			t.Errorf("%s: %q, want %q", server, got[server], state)
		}
	}
	if err != nil {
		t.Error(err)
	}
	t.FailNow()
}

func TestHealthChecksTellReadyServersFromOthers(t *testing.T) {
	for name, defaults := range map[string]string{
		"no defaults": "",
		"hostile defaults": `defaults
    mode http
    option httpchk GET /nowhere
    http-check expect status 418
    default-server ssl verify none send-proxy-v2 inter 1h fall 1 rise 100 slowstart 1h maxconn 1
    timeout connect 1h
    timeout check 1ms
    timeout server 1ms
    retries 0
`,
	} {
		t.Run(name, func(t *testing.T) {
			files := newCertificates(t)
			socketDir, err := os.MkdirTemp("", "kubectl-ha") // t.TempDir is too long for a socket's path
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(socketDir) })
			spec := files.withFiles(testSpec())
			spec.SocketPath, spec.StatsListen, spec.NoLog = socketDir+"/s", "", true
			spec.Ports, spec.Bind = freePorts(t), addr("127.0.0.1")
			one := startFakeController(t, files, "127.0.0.2", spec.Ports)
			two := startFakeController(t, files, "127.0.0.3", spec.Ports)
			slots := NewSlots([]Server{
				{Name: "one", Address: addr(one.address), Active: true},
				{Name: "two", Address: addr(two.address), Active: true},
			}, 1)
			runHAProxy(t, append([]byte(defaults), Render(spec, slots)...))

			awaitStates(t, spec.SocketPath, map[string]string{
				"kubeAPI_backend/one": "UP L7OK", "kubeAPI_backend/two": "UP L7OK", "kubeAPI_backend/slot3": "MAINT",
				"kubeAPI_open/one": "UP L6OK", "kubeAPI_open/two": "UP L6OK", "kubeAPI_open/slot3": "MAINT",
				"konnectivity_backend/one": "UP L6OK", "controllerJoinAPI_backend/two": "UP L7OK",
			})

			one.ready.Store(false)
			awaitStates(t, spec.SocketPath, map[string]string{
				"kubeAPI_backend/one": "DOWN L7STS", "kubeAPI_backend/two": "UP L7OK", "kubeAPI_open/one": "UP L6OK",
			})
			before := one.queries.Load()
			for range 6 {
				if got := getVersion(t, files, spec); got != two.address {
					t.Errorf("answered by %s, which is not ready", got)
				}
			}
			if one.queries.Load() != before {
				t.Error("a request went to a server that is not ready")
			}

			two.ready.Store(false)
			awaitStates(t, spec.SocketPath, map[string]string{"kubeAPI_backend/two": "DOWN L7STS"})
			answered := map[string]bool{}
			for range 6 {
				answered[getVersion(t, files, spec)] = true
			}
			if len(answered) != 2 {
				t.Errorf("with no server ready, %v answered, want both", answered)
			}
		})
	}
}

// getVersion asks for /version through HAProxy on a connection of its own.
func getVersion(t *testing.T, files *certificates, spec Spec) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "kubernetes"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/version", spec.Ports.KubeAPI))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
