package simkubelet

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0s/internal/vars"
)

// Spec is what a Node is registered with.
type Spec struct {
	Name    string
	Address string
	Labels  map[string]string
	Taints  []corev1.Taint
}

// newNode is the Node as it is registered. Labels and taints are set here
// alone: a kubelet does not put back what was removed later.
func newNode(spec Spec, facts machine, now time.Time) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname:   spec.Name,
		corev1.LabelOSStable:   runtime.GOOS,
		corev1.LabelArchStable: runtime.GOARCH,
	}
	for key, value := range spec.Labels {
		labels[key] = value
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: spec.Name, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: spec.Taints},
		Status:     newStatus(spec, facts, now),
	}
}

func newStatus(spec Spec, facts machine, now time.Time) corev1.NodeStatus {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(facts.memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: resource.MustParse("20Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	return corev1.NodeStatus{
		Capacity:    resources,
		Allocatable: resources.DeepCopy(),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: spec.Address},
			{Type: corev1.NodeHostName, Address: spec.Name},
		},
		Conditions: conditions(now),
		NodeInfo: corev1.NodeSystemInfo{
			MachineID:               facts.machineID,
			BootID:                  facts.bootID,
			KernelVersion:           facts.kernel,
			OSImage:                 facts.osImage,
			OperatingSystem:         runtime.GOOS,
			Architecture:            runtime.GOARCH,
			KubeletVersion:          vars.KubernetesVersion,
			ContainerRuntimeVersion: "simulated://0",
		},
	}
}

func conditions(now time.Time) []corev1.NodeCondition {
	at := metav1.NewTime(now)
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: at, LastTransitionTime: at,
		}
	}
	return []corev1.NodeCondition{
		condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "simulated kubelet"),
		condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "simulated kubelet"),
		condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "simulated kubelet"),
		condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "simulated kubelet is posting ready status"),
	}
}

// ready reports whether a Node's status says what a live kubelet says.
func ready(status corev1.NodeStatus) bool {
	for _, c := range status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// machine is what a kubelet reports about its host.
type machine struct {
	machineID, bootID, kernel, osImage string
	memory                             int64
}

func readMachine() machine {
	text := func(path string) string {
		data, _ := os.ReadFile(path)
		return strings.TrimSpace(string(data))
	}
	return machine{
		machineID: text("/etc/machine-id"),
		bootID:    text("/proc/sys/kernel/random/boot_id"),
		kernel:    text("/proc/sys/kernel/osrelease"),
		osImage:   osImage(text("/etc/os-release")),
		memory:    memory(text("/proc/meminfo")),
	}
}

func osImage(release string) string {
	for line := range strings.Lines(release) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return "unknown"
}

func memory(meminfo string) int64 {
	lines := bufio.NewScanner(strings.NewReader(meminfo))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
