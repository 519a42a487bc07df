package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
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

// TestTheNetworkPolicyIsForThePods holds it to the pods that there are, and to the ports that they need.
func TestTheNetworkPolicyIsForThePods(t *testing.T) {
	built := build(t, "networkpolicy")
	policy := objects[networkingv1.NetworkPolicy](t, built, "NetworkPolicy")[0]
	deployment := objects[appsv1.Deployment](t, built, "Deployment")[0]
	if pods := labels.Set(deployment.Spec.Template.Labels); policy.Namespace != deployment.Namespace ||
		!labels.SelectorFromSet(policy.Spec.PodSelector.MatchLabels).Matches(pods) || len(policy.Spec.PodSelector.MatchLabels) == 0 {
		t.Errorf("%s/%v selects none of %s/%v", policy.Namespace, policy.Spec.PodSelector, deployment.Namespace, pods)
	}
	var out []string
	for _, rule := range policy.Spec.Egress {
		for _, port := range rule.Ports {
			out = append(out, fmt.Sprintf("%s %s", *port.Protocol, port.Port))
		}
	}
	if want := []string{"TCP 22", "TCP 6443", "TCP 443", "UDP 53", "TCP 53"}; !slices.Equal(out, want) {
		t.Errorf("it lets them reach %q, want %q", out, want)
	}
	served := deployment.Spec.Template.Spec.Containers[0].Ports[0].ContainerPort
	if in := policy.Spec.Ingress; len(in) != 1 || len(in[0].Ports) != 1 || in[0].Ports[0].Port.IntVal != served {
		t.Errorf("it lets in %+v, and they serve on %d", in, served)
	}
}

func TestPodsAreRestricted(t *testing.T) {
	namespace := objects[corev1.Namespace](t, build(t), "Namespace")[0]
	if level := namespace.Labels["pod-security.kubernetes.io/enforce"]; level != "restricted" {
		t.Errorf("the namespace enforces %q", level)
	}
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

// TestPodsAreWhereControllersAre holds what lets two replicas survive the loss of a host, and of the workers.
func TestPodsAreWhereControllersAre(t *testing.T) {
	built := build(t)
	deployment := objects[appsv1.Deployment](t, built, "Deployment")[0]
	pod := deployment.Spec.Template.Spec
	if *deployment.Spec.Replicas != 2 || pod.PriorityClassName != "system-cluster-critical" {
		t.Errorf("%d replicas of priority class %q", *deployment.Spec.Replicas, pod.PriorityClassName)
	}
	nodes := pod.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if len(nodes) != 1 || nodes[0].Preference.MatchExpressions[0].Key != kube.ControlPlaneLabel || nodes[0].Preference.MatchExpressions[0].Values[0] != kube.ControlPlaneRole {
		t.Errorf("it prefers other Nodes than controllers: %+v", nodes)
	}
	apart := pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if len(apart) != 1 || apart[0].PodAffinityTerm.TopologyKey != corev1.LabelHostname {
		t.Errorf("both may be on one host: %+v", apart)
	}
	for _, taint := range []corev1.Taint{
		{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
		{Key: "node-role.kubernetes.io/master", Effect: corev1.TaintEffectNoSchedule},
	} {
		if !slices.ContainsFunc(pod.Tolerations, func(toleration corev1.Toleration) bool {
			return toleration.ToleratesTaint(klog.Background(), &taint, false)
		}) {
			t.Errorf("it does not tolerate %s", taint.Key)
		}
	}
	for _, budget := range objects[policyv1.PodDisruptionBudget](t, built, "PodDisruptionBudget") {
		selects, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil || !selects.Matches(labels.Set(deployment.Spec.Template.Labels)) || budget.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("%v: %+v", err, budget.Spec)
		}
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

// TestObjectsAreThoseOfKustomize compares what a program applies with what kubectl apply -k does, but for the hash in the
// ConfigMap's name.
func TestObjectsAreThoseOfKustomize(t *testing.T) {
	built := build(t, "certificates")
	want := map[string]map[string]any{}
	for _, r := range built.Resources() {
		object, err := r.Map()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(regexp.MustCompile(`ha-syncer-config-[0-9a-z]+`).ReplaceAllString(string(text), "ha-syncer-config"))
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		u := unstructured.Unstructured{Object: plain}
		want[u.GetKind()+" "+u.GetNamespace()+" "+u.GetName()] = plain
	}
	objects, err := Objects(Settings{Image: "kubectl-ha/ha-syncer:latest", LoadBalancers: []string{"root@10.10.4.10"}, Certificates: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != len(want) || objects[0].GetKind() != "Namespace" {
		t.Errorf("%d objects, the first a %s; kustomize builds %d", len(objects), objects[0].GetKind(), len(want))
	}
	for _, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		if name := object.GetKind() + " " + object.GetNamespace() + " " + object.GetName(); !reflect.DeepEqual(plain, want[name]) {
			t.Errorf("%s: got\n%v\nwant\n%v", name, plain, want[name])
		}
	}
}

func TestSettingsGoIntoTheDeployment(t *testing.T) {
	objects, err := Objects(Settings{
		Image: "docker.io/x/y:1", LoadBalancers: []string{"a", "b"}, APIServers: []string{"10.0.0.1"},
		Flags: []string{"--api-port=7443"}, Annotations: map[string]string{"kubectl-ha.io/image": "sha256:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		var text []byte
		if text, err = object.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		var deployment appsv1.Deployment
		switch object.GetKind() {
		case "Deployment":
			if err := json.Unmarshal(text, &deployment); err != nil {
				t.Fatal(err)
			}
			container := deployment.Spec.Template.Spec.Containers[0]
			if container.Image != "docker.io/x/y:1" || !slices.Contains(container.Args, "--api-port=7443") || len(container.Args) != 4 ||
				deployment.Spec.Template.Annotations["kubectl-ha.io/image"] != "sha256:0" || deployment.Spec.Template.Labels == nil {
				t.Errorf("%+v", deployment.Spec.Template)
			}
		case "ConfigMap":
			if data := object.Object["data"]; object.GetName() == configMap && !reflect.DeepEqual(data, map[string]any{"loadBalancers": "a,b", "apiServers": "10.0.0.1"}) {
				t.Errorf("%v", data)
			}
		}
	}
}
