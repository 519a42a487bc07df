package kube

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestAControllerTokenIsASecretThatCanBeDeleted(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset()}
	expires := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	if err := c.CreateControllerToken(t.Context(), "abc123", "0123456789abcdef", expires); err != nil {
		t.Fatal(err)
	}
	secrets := c.Client.CoreV1().Secrets("kube-system")
	secret, err := secrets.Get(t.Context(), "bootstrap-token-abc123", metav1.GetOptions{})
	if err != nil || secret.Type != corev1.SecretTypeBootstrapToken {
		t.Fatalf("got %v, %v", secret, err)
	}
	for key, want := range map[string]string{
		"token-id": "abc123", "token-secret": "0123456789abcdef", "expiration": "2026-01-02T02:04:05Z",
		"usage-bootstrap-controller-join": "true", "usage-controller-join": "true",
	} {
		if string(secret.Data[key]) != want {
			t.Errorf("%s is %q", key, secret.Data[key])
		}
	}
	if keys := slices.Sorted(maps.Keys(secret.Data)); slices.Contains(keys, "usage-bootstrap-authentication") {
		t.Errorf("it lets workers in, too: %q", keys)
	}
	for range 2 { // the second time it is gone already
		if err := c.DeleteToken(t.Context(), "abc123"); err != nil {
			t.Error(err)
		}
	}
	if _, err := secrets.Get(t.Context(), "bootstrap-token-abc123", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestWhoMayNotCreateTokensIsTold(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no"))
	})
	err := (&Cluster{Client: client}).CreateControllerToken(t.Context(), "abc123", "0123456789abcdef", time.Now())
	if !errors.Is(err, ErrMayNotCreateTokens) {
		t.Errorf("got %v", err)
	}
}

func TestWhetherTokensMayBeCreatedIsTriedWithoutMakingOne(t *testing.T) {
	client := fake.NewClientset()
	var refuse error
	client.PrependReactor("create", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := action.(clienttesting.CreateActionImpl)
		if !ok || !slices.Equal(create.CreateOptions.DryRun, []string{metav1.DryRunAll}) {
			t.Errorf("no dry run: %v", action)
		}
		return true, &corev1.Secret{}, refuse
	})
	c := &Cluster{Client: client}
	if err := c.MayCreateControllerTokens(t.Context()); err != nil {
		t.Error(err)
	}
	refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no"))
	if err := c.MayCreateControllerTokens(t.Context()); !errors.Is(err, ErrMayNotCreateTokens) {
		t.Errorf("got %v", err)
	}
}

func TestAnAlarmOfEtcdsIsTold(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded"))
	})
	err := (&Cluster{Client: client}).CreateControllerToken(t.Context(), "abc123", "0123456789abcdef", time.Now())
	if !errors.Is(err, ErrAlarm) {
		t.Errorf("got %v", err)
	}
}

func TestRootCA(t *testing.T) {
	object := func(data map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-root-ca.crt"}, Data: data}
	}
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    string
		says    string
	}{
		"there":     {[]runtime.Object{object(map[string]string{"ca.crt": "authority"})}, "authority", ""},
		"not there": {nil, "", "reading the cluster's CA from the ConfigMap kube-system/kube-root-ca.crt"},
		"empty":     {[]runtime.Object{object(nil)}, "", "it has no ca.crt"},
	} {
		got, err := (&Cluster{Client: fake.NewClientset(c.objects...)}).RootCA(t.Context())
		if string(got) != c.want || c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestTheNoteIsWrittenAndReadBack(t *testing.T) {
	c := &Cluster{Client: fake.NewClientset()}
	if text, err := c.Note(t.Context()); text != "" || err != nil {
		t.Errorf("there is none yet: %q, %v", text, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := c.WriteNote(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if text, err := c.Note(t.Context()); text != want || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	}
}
