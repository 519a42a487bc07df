// Package manifests is what runs the syncer in a cluster: base/ and components/ for `kubectl apply -k`, and base/ and
// components/certificates as objects for a program that applies them itself.
package manifests

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Names of the base.
const (
	Namespace  = kube.SyncerNamespace
	Deployment = "ha-syncer"
	// Secret holds what the syncer's key is (SecretKey) and by which keys it knows the load balancers (SecretKnownHosts).
	// The base has none.
	Secret           = "ha-syncer-ssh"
	SecretKey        = "ssh-privatekey"
	SecretKnownHosts = "known_hosts"
	configMap        = "ha-syncer-config"
)

//go:embed base/*.yaml components/certificates/*.yaml
var files embed.FS

// Settings are what the base leaves to each cluster.
type Settings struct {
	Image string
	// LoadBalancers and APIServers are as the syncer's flags of these names take them.
	LoadBalancers, APIServers []string
	// Flags are further flags of the syncer.
	Flags []string
	// Annotations of the pods: when one changes, they are started anew.
	Annotations map[string]string
	// Certificates lets the syncer renew client certificates. The API must have ValidatingAdmissionPolicies: without them,
	// the permission would be one for any user's.
	Certificates bool
}

// Labels are those of all objects.
func Labels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": Deployment, "app.kubernetes.io/part-of": Namespace}
}

// Objects are those of the base, the namespace first, and of the component, as kustomize builds them. The ConfigMap has no
// hash in its name.
func Objects(s Settings) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(files, "base/*.yaml")
	if err != nil {
		return nil, err
	}
	if s.Certificates { // the policy before the permission
		names = append(names, "components/certificates/policy.yaml", "components/certificates/rbac.yaml")
	}
	objects := []*unstructured.Unstructured{s.configMap()}
	for _, name := range names {
		if path.Base(name) == "kustomization.yaml" {
			continue
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))
		for {
			object := &unstructured.Unstructured{}
			err := documents.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && object.GetKind() == "Deployment" {
				err = s.complete(object)
			}
			if err != nil {
				return nil, fmt.Errorf("reading the manifest %s: %w", name, err)
			}
			if object.GetKind() == "Namespace" {
				objects = append([]*unstructured.Unstructured{object}, objects...)
				continue
			}
			objects = append(objects, object)
		}
	}
	for _, object := range objects {
		labels := Labels()
		for name, value := range object.GetLabels() {
			labels[name] = value
		}
		object.SetLabels(labels)
	}
	return objects, nil
}

func (s Settings) configMap() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": configMap, "namespace": Namespace},
		"data": map[string]any{
			"loadBalancers": strings.Join(s.LoadBalancers, ","), "apiServers": strings.Join(s.APIServers, ","),
		},
	}}
}

// complete puts the image, the flags and the annotations into the Deployment.
func (s Settings) complete(deployment *unstructured.Unstructured) error {
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	container, ok := containers[0].(map[string]any)
	if !ok {
		return errors.New("its container is none")
	}
	args, _, err := unstructured.NestedStringSlice(container, "args")
	if err != nil {
		return err
	}
	container["image"] = s.Image
	if err := unstructured.SetNestedStringSlice(container, append(args, s.Flags...), "args"); err != nil {
		return err
	}
	if err := unstructured.SetNestedSlice(deployment.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		return err
	}
	if len(s.Annotations) == 0 {
		return nil
	}
	return unstructured.SetNestedStringMap(deployment.Object, s.Annotations, "spec", "template", "metadata", "annotations")
}
