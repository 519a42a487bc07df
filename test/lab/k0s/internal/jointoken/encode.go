// Package jointoken makes and reads k0s's join tokens: gzipped kubeconfigs in
// base64, whose bearer token is that of a bootstrap token Secret.
package jointoken

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Roles that a token can be for.
const (
	RoleController = "controller"
	RoleWorker     = "worker"
)

// User names in the kubeconfig of a token, by role.
const (
	controllerUser = "controller-bootstrap"
	workerUser     = "kubelet-bootstrap"
)

// UserOf returns the user name that tokens of a role carry.
func UserOf(role string) (string, error) {
	switch role {
	case RoleController:
		return controllerUser, nil
	case RoleWorker:
		return workerUser, nil
	}
	return "", fmt.Errorf("unsupported role %q; supported roles are %q and %q", role, RoleController, RoleWorker)
}

// Encode turns a kubeconfig into a token.
func Encode(kubeconfig []byte) (string, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := zip.Write(kubeconfig); err != nil {
		return "", err
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// Decode turns a token of a role into the kubeconfig within.
func Decode(token, role string) (*clientcmdapi.Config, error) {
	compressed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		return nil, fmt.Errorf("failed to decode token: %w", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("failed to decode token: %w", err)
	}
	data, err := io.ReadAll(zip)
	if err != nil {
		return nil, fmt.Errorf("failed to decode token: %w", err)
	}
	config, err := clientcmd.Load(data)
	if err != nil {
		return nil, fmt.Errorf("failed to load kubeconfig from join token: %w", err)
	}
	want, err := UserOf(role)
	if err != nil {
		return nil, err
	}
	for _, context := range config.Contexts {
		if context.AuthInfo != want {
			return nil, fmt.Errorf("wrong token type %s, expected type: %s", context.AuthInfo, want)
		}
		return config, nil
	}
	return nil, errors.New("failed to load kubeconfig from join token: no context")
}
