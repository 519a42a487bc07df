package joinapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encoding/pem"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/jointoken"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// serve runs the API over TLS and returns tokens for it.
func serve(t *testing.T) (address string, token func(role string, expiry time.Duration) string) {
	t.Helper()
	v, err := vars.New(vars.Flags{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clusterconfig.Parse([]byte("spec: {api: {address: 127.0.0.1}, storage: {type: etcd}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"CA": v.Cert("ca"), "CA key": v.Key("ca"), "SA key": v.Key("sa"),
		"SA public key": filepath.Join(v.CertRootDir, "sa.pub"),
	} {
		if err := pki.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := fake.NewClientset()
	api := &Server{Vars: v, Config: config, Client: client, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewTLSServer(api.handler())
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL, func(role string, expiry time.Duration) string {
		bearer, err := jointoken.NewBearer()
		if err != nil {
			t.Fatal(err)
		}
		secret := bearer.SecretObject(role, time.Now(), expiry)
		if err := client.Tracker().Add(secret); err != nil {
			t.Fatal(err)
		}
		kubeconfig, err := pki.Kubeconfig(pki.Identity{
			Cluster: "k0s", Context: "k0s", User: "controller-bootstrap", Server: server.URL, CA: ca, Token: bearer.String(),
		})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := jointoken.Encode(kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
}

func TestTokenOpensTheAPI(t *testing.T) {
	_, token := serve(t)
	client, err := NewClient(token(jointoken.RoleController, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.CA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(answer.Cert) != "CA" || string(answer.Key) != "CA key" ||
		string(answer.SAKey) != "SA key" || string(answer.SAPub) != "SA public key" {
		t.Errorf("answer = %+v", answer)
	}
	if _, err := client.AddMember(t.Context(), MemberRequest{Node: "cp2"}); err == nil ||
		!strings.Contains(err.Error(), "peerAddress cannot be empty") {
		t.Errorf("a member without a peer address: %v", err)
	}
}

func TestOtherTokensDoNot(t *testing.T) {
	_, token := serve(t)
	for name, encoded := range map[string]string{
		"a worker's": token(jointoken.RoleWorker, time.Hour), "an expired one": token(jointoken.RoleController, time.Nanosecond),
	} {
		t.Run(name, func(t *testing.T) {
			client, err := NewClient(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.CA(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("err = %v, want 401", err)
			}
		})
	}
}

func TestWithoutToken(t *testing.T) {
	address, _ := serve(t)
	server := httptest.NewTLSServer(nil)
	server.Close()
	client := server.Client()
	for path, want := range map[string]int{
		"/v1beta1/ca": http.StatusUnauthorized, "/": http.StatusNotFound, "/v1beta1/etcd/members": http.StatusMethodNotAllowed,
	} {
		response, err := client.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, response.StatusCode, want)
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	if _, err := NewClient("rubbish"); err == nil {
		t.Error("rubbish makes a client")
	}
	if _, err := os.Stat("rubbish"); err == nil {
		t.Error("the token was taken for a file")
	}
}

func TestRetry(t *testing.T) {
	calls := 0
	failures := 0
	err := Retry(t.Context(), time.Nanosecond, func(int, error) { failures++ }, func() error {
		if calls++; calls < 3 {
			return errors.New("too many learners")
		}
		return nil
	})
	if err != nil || calls != 3 || failures != 2 {
		t.Errorf("err = %v after %d calls, %d failures", err, calls, failures)
	}
	err = Retry(t.Context(), time.Nanosecond, func(int, error) {}, func() error { return errors.New("never") })
	if err == nil || err.Error() != "never" {
		t.Errorf("err = %v, want the last failure", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = Retry(ctx, time.Hour, func(int, error) { cancel() }, func() error { return errors.New("never") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the end of the context", err)
	}
}
