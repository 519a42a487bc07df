// Package manifests is not for importing: its tests build what kubectl apply -k would apply.
package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/syncer"
)

// build builds the base with components, in a namespace of its own as a user's overlay does.
func build(t *testing.T, components ...string) resmap.ResMap {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"resources: [" + up + "/base]", "components:"}
	for _, c := range components {
		lines = append(lines, "- "+up+"/components/"+c)
	}
	if len(components) == 0 {
		lines = lines[:1]
	}
	lines = append(lines, "configMapGenerator:", "- name: ha-syncer-config", "  namespace: kubectl-ha", "  behavior: merge",
		"  literals: ['loadBalancers=root@10.10.4.10']")
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// objects reads all of a kind.
func objects[T any](t *testing.T, built resmap.ResMap, kind string) []T {
	t.Helper()
	var all []T
	for _, r := range built.Resources() {
		if r.GetKind() != kind {
			continue
		}
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var object T
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		all = append(all, object)
	}
	return all
}

func TestComponentsGoWithTheBase(t *testing.T) {
	for component, kind := range map[string]string{
		"networkpolicy": "NetworkPolicy", "servicemonitor": "ServiceMonitor", "prometheusrule": "PrometheusRule", "dashboard": "ConfigMap",
		"certificates": "ValidatingAdmissionPolicy",
	} {
		built := build(t, component)
		if len(objects[map[string]any](t, built, kind)) == 0 {
			t.Errorf("%s brings no %s", component, kind)
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	deployments := objects[appsv1.Deployment](t, build(t), "Deployment")
	if len(deployments) != 1 {
		t.Fatalf("%d Deployments", len(deployments))
	}
	pod := deployments[0].Spec.Template.Spec
	container := pod.Containers[0]
	switch c := container.SecurityContext; {
	case !*pod.SecurityContext.RunAsNonRoot, *pod.AutomountServiceAccountToken, pod.SecurityContext.SeccompProfile == nil,
		*c.AllowPrivilegeEscalation, !*c.ReadOnlyRootFilesystem, len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL",
		pod.HostNetwork, container.Resources.Limits.Memory().IsZero():
		t.Errorf("%+v %+v", pod, c)
	}
	// The generated ConfigMap has a hash in its name, so that a change of it starts the pods anew.
	if name := container.Env[0].ValueFrom.ConfigMapKeyRef.Name; !strings.HasPrefix(name, "ha-syncer-config-") {
		t.Errorf("load balancers come from %s", name)
	}
}

func TestRolesAllowNoMoreThanIsUsed(t *testing.T) {
	built := build(t)
	rules := []rbacv1.PolicyRule{}
	names := map[string][]string{}
	for _, role := range objects[rbacv1.Role](t, built, "Role") {
		rules = append(rules, role.Rules...)
		for _, rule := range role.Rules {
			names[role.Namespace] = append(names[role.Namespace], rule.ResourceNames...)
		}
	}
	want := map[string][]string{"kube-system": {kube.OperationLease}, "default": nil, "kubectl-ha": {syncer.LeaderLease, syncer.StatusConfigMap}}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("Roles are about %v", names)
	}
	for _, role := range objects[rbacv1.ClusterRole](t, built, "ClusterRole") {
		for _, rule := range role.Rules {
			if slices.ContainsFunc(rule.Verbs, func(v string) bool { return v != "list" && v != "watch" }) {
				t.Errorf("of the whole cluster: %+v", rule)
			}
		}
		rules = append(rules, role.Rules...)
	}
	for _, rule := range rules {
		everything := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
		if slices.ContainsFunc(everything, func(s string) bool { return strings.Contains(s, "*") || s == "secrets" || s == "delete" }) {
			t.Errorf("%+v", rule)
		}
	}
}

// Whoever may approve requests of a signer can be any user, but for the policy.
func TestCertificatesAreAllowedWithinAPolicyAlone(t *testing.T) {
	built := build(t, "certificates")
	policies := objects[admissionv1.ValidatingAdmissionPolicy](t, built, "ValidatingAdmissionPolicy")
	bindings := objects[admissionv1.ValidatingAdmissionPolicyBinding](t, built, "ValidatingAdmissionPolicyBinding")
	if len(policies) != 1 || len(bindings) != 1 {
		t.Fatalf("%d policies and %d bindings", len(policies), len(bindings))
	}
	if p, b := policies[0], bindings[0]; *p.Spec.FailurePolicy != admissionv1.Fail || len(p.Spec.Validations) != 3 || b.Spec.PolicyName != p.Name ||
		b.Spec.MatchResources != nil || !slices.Equal(b.Spec.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
		t.Errorf("%+v %+v", p.Spec, b.Spec)
	}
	var rules []string
	for _, role := range objects[rbacv1.ClusterRole](t, built, "ClusterRole") {
		for _, rule := range role.Rules {
			if slices.Contains(rule.APIGroups, "certificates.k8s.io") {
				rules = append(rules, fmt.Sprint(rule.Resources, rule.ResourceNames, rule.Verbs))
			}
		}
	}
	want := []string{"[certificatesigningrequests] [] [create get]", "[certificatesigningrequests/approval] [] [update]",
		"[signers] [kubernetes.io/kube-apiserver-client] [approve]"}
	if !slices.Equal(rules, want) {
		t.Errorf("%q", rules)
	}
}
