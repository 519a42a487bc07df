package kube

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// applying is a cluster whose API knows server-side apply as far as ConfigMaps go: data that is given is merged.
func applying(t *testing.T, objects ...runtime.Object) (*Cluster, *[]string) {
	t.Helper()
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{configMaps: "ConfigMapList"}, objects...)
	var applied []string
	client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchActionImpl)
		if options := patch.PatchOptions; options.FieldManager != fieldManager || options.Force == nil || !*options.Force {
			t.Errorf("%+v", options)
		}
		var object unstructured.Unstructured
		if err := json.Unmarshal(patch.GetPatch(), &object.Object); err != nil {
			return true, nil, err
		}
		before, err := client.Tracker().Get(configMaps, patch.GetNamespace(), patch.GetName())
		if err == nil {
			data := map[string]any{}
			maps.Copy(data, before.(*unstructured.Unstructured).Object["data"].(map[string]any))
			maps.Copy(data, object.Object["data"].(map[string]any))
			object.Object["data"] = data
		}
		if len(patch.PatchOptions.DryRun) > 0 {
			object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: fieldManager}})
			return true, &object, nil
		}
		applied = append(applied, patch.GetNamespace()+"/"+patch.GetName())
		if err != nil {
			return true, &object, client.Tracker().Create(configMaps, &object, patch.GetNamespace())
		}
		return true, &object, client.Tracker().Update(configMaps, &object, patch.GetNamespace())
	})
	return &Cluster{Dynamic: client}, &applied
}

func configMap(name string, data map[string]any) *unstructured.Unstructured {
	u := object("v1", "ConfigMap", name, nil)
	u.SetNamespace("default")
	u.Object["data"] = data
	return u
}

func TestApplyChangesWhatDiffersAndNothingElse(t *testing.T) {
	there := configMap("there", map[string]any{"a": "1", "somebody's": "2"})
	cluster, applied := applying(t, there)
	same, changed, missing := configMap("there", map[string]any{"a": "1"}), configMap("there", map[string]any{"a": "3"}), configMap("new", map[string]any{"a": "1"})
	stale, err := cluster.Stale(t.Context(), same, changed, missing)
	if err != nil || len(stale) != 2 || stale[0] != changed || stale[1] != missing || len(*applied) != 0 {
		t.Fatalf("%v, %v, applied %v", stale, err, *applied)
	}
	if err := cluster.Apply(t.Context(), stale...); err != nil || strings.Join(*applied, " ") != "default/there default/new" {
		t.Fatalf("%v, applied %v", err, *applied)
	}
	if stale, err := cluster.Stale(t.Context(), changed, missing); err != nil || len(stale) != 0 {
		t.Errorf("%v, %v", stale, err)
	}
	client := cluster.Dynamic.(*dynamicfake.FakeDynamicClient)
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("broken") })
	if _, err := cluster.Stale(t.Context(), same); err == nil || err.Error() != "comparing the ConfigMap default/there with what it is to be: broken" {
		t.Error(err)
	}
	if err := cluster.Apply(t.Context(), object("v1", "Namespace", "x", nil)); err == nil || err.Error() != "applying the Namespace x: broken" {
		t.Error(err)
	}
}

func TestRolledOut(t *testing.T) {
	two := int32(2)
	labels := map[string]string{"app": "x"}
	deployment := func(status appsv1.DeploymentStatus) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y", Generation: 3},
			Spec:       appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels}},
			Status:     status,
		}
	}
	pod := func(name string, status corev1.PodStatus) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "y", Labels: labels}, Status: status}
	}
	all := appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}
	older, one := all, all
	older.ObservedGeneration = 2
	one.AvailableReplicas = 1
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
	}
	for name, c := range map[string]struct {
		objects []runtime.Object
		want    string
	}{
		"no Deployment":  {nil, "not found"},
		"all run":        {[]runtime.Object{deployment(all)}, ""},
		"not looked at":  {[]runtime.Object{deployment(older)}, "2 of 2 pods are of the present version"},
		"one starts":     {[]runtime.Object{deployment(one), pod("a", waiting("ContainerCreating", ""))}, "1 available"},
		"no image":       {[]runtime.Object{deployment(one), pod("a", waiting("ErrImagePull", "no such host"))}, "the pod a: ErrImagePull: no such host"},
		"nowhere to run": {[]runtime.Object{deployment(one), pod("a", corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes"}}})}, "the pod a: 0/1 nodes"},
		"it ended": {[]runtime.Object{deployment(one), pod("a", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}})},
			"the pod a: it ended with exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&Cluster{Client: fake.NewClientset(c.objects...)}).RolledOut(t.Context(), "y", "x")
			if c.want == "" && err == nil || c.want != "" && err != nil && strings.Contains(err.Error(), c.want) {
				return
			}
			t.Errorf("got %v, want %q", err, c.want)
		})
	}
}

func TestServesAdmissionPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		version, resource string
		want              bool
	}{
		"it does":        {"admissionregistration.k8s.io/v1", "validatingadmissionpolicies", true},
		"only webhooks":  {"admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", false},
		"not in version": {"admissionregistration.k8s.io/v1beta1", "validatingadmissionpolicies", false},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			client.Resources = []*metav1.APIResourceList{{GroupVersion: c.version, APIResources: []metav1.APIResource{{Name: c.resource}}}}
			if got, err := (&Cluster{Client: client}).ServesAdmissionPolicies(); err != nil || got != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
