// Package kube makes clients of kubeconfig files.
package kube

import (
	"fmt"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Clients are the two kinds of client in use.
type Clients struct {
	Typed   kubernetes.Interface
	Dynamic dynamic.Interface
}

// FromFile makes clients of a kubeconfig file.
func FromFile(path string) (Clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return Clients{}, fmt.Errorf("reading %s: %w", path, err)
	}
	config.QPS, config.Burst = 40, 400
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Clients{}, fmt.Errorf("reading %s: %w", path, err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return Clients{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return Clients{Typed: typed, Dynamic: untyped}, nil
}
