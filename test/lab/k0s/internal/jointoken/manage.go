package jointoken

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/clusterconfig"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/pki"
)

// Listed is a token as "k0s token list" prints it.
type Listed struct{ ID, Role, Expiry string }

// Create makes a token of a role, valid for expiry or, with zero, for ever.
func Create(ctx context.Context, client kubernetes.Interface, api clusterconfig.API, ca []byte,
	role string, expiry time.Duration,
) (string, error) {
	user, err := UserOf(role)
	if err != nil {
		return "", err
	}
	bearer, err := NewBearer()
	if err != nil {
		return "", err
	}
	secret := bearer.SecretObject(role, time.Now(), expiry)
	if _, err := client.CoreV1().Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("storing the token: %w", err)
	}
	server := api.URL()
	if role == RoleController {
		server = api.JoinURL()
	}
	kubeconfig, err := pki.Kubeconfig(pki.Identity{
		Cluster: "k0s", Context: "k0s", User: user, Server: server, CA: ca, Token: bearer.String(),
	})
	if err != nil {
		return "", err
	}
	return Encode(kubeconfig)
}

// List returns the tokens that exist.
func List(ctx context.Context, client kubernetes.Interface) ([]Listed, error) {
	secrets, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		FieldSelector: "type=" + string(corev1.SecretTypeBootstrapToken),
	})
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	var tokens []Listed
	for i := range secrets.Items {
		secret := &secrets.Items[i]
		tokens = append(tokens, Listed{
			ID: string(secret.Data["token-id"]), Role: RoleOf(secret), Expiry: string(secret.Data["expiration"]),
		})
	}
	return tokens, nil
}

// Invalidate removes a token. One that does not exist is no error.
func Invalidate(ctx context.Context, client kubernetes.Interface, id string) error {
	err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, SecretName(id), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing token %s: %w", id, err)
	}
	return nil
}
