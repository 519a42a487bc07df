package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RootCA reads the certificate of the cluster's CA, in PEM, which Kubernetes publishes in every namespace. Unlike that of
// the kubeconfig, it is the cluster's own where the API is reached through a proxy with another certificate.
func (c *Cluster) RootCA(ctx context.Context) ([]byte, error) {
	const name = "kube-root-ca.crt"
	object, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if err == nil && object.Data["ca.crt"] == "" {
		err = errors.New("it has no ca.crt")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA from the ConfigMap %s/%s: %w", metav1.NamespaceSystem, name, err)
	}
	return []byte(object.Data["ca.crt"]), nil
}

const joinTokenPrefix = "bootstrap-token-"

// ErrMayNotCreateTokens says that the kubeconfig's user may not make join tokens.
var ErrMayNotCreateTokens = errors.New("the kubeconfig's user may not create Secrets in kube-system")

// CreateControllerToken makes the bearer token id.secret one by which controllers join until it expires, as `k0s token
// create` does (k0s v1.36.3, pkg/token): with its usage in the two forms that versions of k0s look for.
func (c *Cluster) CreateControllerToken(ctx context.Context, id, secret string, expires time.Time) error {
	return c.createControllerToken(ctx, id, secret, expires, metav1.CreateOptions{})
}

// MayCreateControllerTokens tells, by a dry run, whether the kubeconfig's user may make join tokens
// (ErrMayNotCreateTokens).
func (c *Cluster) MayCreateControllerTokens(ctx context.Context) error {
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	return c.createControllerToken(ctx, "dryrun", "0123456789abcdef", time.Now(), dry)
}

func (c *Cluster) createControllerToken(ctx context.Context, id, secret string, expires time.Time,
	options metav1.CreateOptions) error {
	object := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: joinTokenPrefix + id},
		Type:       corev1.SecretTypeBootstrapToken,
		Data: map[string][]byte{
			"token-id": []byte(id), "token-secret": []byte(secret),
			"description":                     []byte("Controller bootstrap token made by kubectl-ha"),
			"expiration":                      []byte(expires.UTC().Format(time.RFC3339)),
			"usage-bootstrap-controller-join": []byte("true"),
			"usage-controller-join":           []byte("true"),
		},
	}
	_, err := c.Client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, object, options)
	switch {
	case apierrors.IsForbidden(err):
		return ErrMayNotCreateTokens
	case err != nil:
		return fmt.Errorf("creating a controller token: %w", alarmed(err))
	}
	return nil
}

// DeleteToken makes a join token useless.
func (c *Cluster) DeleteToken(ctx context.Context, id string) error {
	name := joinTokenPrefix + id
	return deleted("Secret", name, c.Client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, name, metav1.DeleteOptions{}))
}
