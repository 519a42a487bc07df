package jointoken

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
)

func TestTokensOfBothRoles(t *testing.T) {
	api := clusterconfig.API{Address: "10.0.0.1", ExternalAddress: "10.0.0.9", Port: 6443, K0sAPIPort: 9443}
	for role, want := range map[string]struct{ server, user string }{
		RoleController: {"https://10.0.0.9:9443", "controller-bootstrap"},
		RoleWorker:     {"https://10.0.0.9:6443", "kubelet-bootstrap"},
	} {
		t.Run(role, func(t *testing.T) {
			client := fake.NewClientset()
			token, err := Create(t.Context(), client, api, []byte("authority"), role, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			config, err := Decode(token+"\n", role)
			if err != nil {
				t.Fatal(err)
			}
			if config.Clusters["k0s"].Server != want.server || config.AuthInfos[want.user] == nil {
				t.Errorf("config = %+v", config)
			}
			listed, err := List(t.Context(), client)
			if err != nil || len(listed) != 1 || listed[0].Role != role {
				t.Fatalf("listed %+v, %v", listed, err)
			}
			if !strings.HasPrefix(config.AuthInfos[want.user].Token, listed[0].ID+".") {
				t.Error("the token's ID is not the listed one")
			}
			for range 2 { // the second time it is gone already
				if err := Invalidate(t.Context(), client, listed[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			if listed, _ := List(t.Context(), client); len(listed) != 0 {
				t.Errorf("still listed: %+v", listed)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	worker, err := Create(t.Context(), fake.NewClientset(), clusterconfig.API{Address: "10.0.0.1"}, nil, RoleWorker, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ token, problem string }{
		"a worker's token": {worker, "wrong token type kubelet-bootstrap, expected type: controller-bootstrap"},
		"no base64":        {"!", "failed to decode token"},
		"no gzip":          {"aGVsbG8=", "failed to decode token"},
		"half a token":     {worker[:len(worker)/2], "failed to decode token"},
		"nothing":          {"", "failed to decode token"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(test.token, RoleController); err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("err = %v, want %q", err, test.problem)
			}
		})
	}
}

func TestMayJoinController(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	bearer := Bearer{ID: "abcdef", Secret: "0123456789abcdef"}
	valid := func(change func(*corev1.Secret)) *corev1.Secret {
		secret := bearer.SecretObject(RoleController, now, time.Minute)
		change(secret)
		return secret
	}
	for name, test := range map[string]struct {
		secret *corev1.Secret
		want   bool
	}{
		"valid":         {valid(func(*corev1.Secret) {}), true},
		"never expires": {bearer.SecretObject(RoleController, now, 0), true},
		"made by hand": {valid(func(s *corev1.Secret) {
			delete(s.Data, "usage-bootstrap-controller-join")
		}), true},
		"expired":      {bearer.SecretObject(RoleController, now.Add(-time.Hour), time.Minute), false},
		"bad expiry":   {valid(func(s *corev1.Secret) { s.Data["expiration"] = []byte("soon") }), false},
		"for a worker": {bearer.SecretObject(RoleWorker, now, time.Minute), false},
		"wrong secret": {valid(func(s *corev1.Secret) { s.Data["token-secret"] = []byte("fedcba9876543210") }), false},
		"wrong ID":     {valid(func(s *corev1.Secret) { s.Data["token-id"] = []byte("fedcba") }), false},
		"wrong type":   {valid(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }), false},
		"usage taken": {valid(func(s *corev1.Secret) {
			s.Data["usage-bootstrap-controller-join"], s.Data["usage-controller-join"] = []byte("false"), []byte("false")
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bearer.MayJoinController(test.secret, now); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestParseBearer(t *testing.T) {
	drawn, err := NewBearer()
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := ParseBearer(drawn.String()); err != nil || parsed != drawn {
		t.Errorf("parsed %v, %v, want %v", parsed, err, drawn)
	}
	for _, bad := range []string{"", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef.x"} {
		if _, err := ParseBearer(bad); err == nil {
			t.Errorf("%q is taken for a bearer", bad)
		}
	}
}
