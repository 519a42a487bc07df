package syncer

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseLoadBalancers(t *testing.T) {
	got, err := ParseLoadBalancers("10.0.0.1, haproxy@lb.example:2222,\n[fd00::1]:22,fd00::2")
	want := []LoadBalancer{{"root", "10.0.0.1:22"}, {"haproxy", "lb.example:2222"}, {"root", "[fd00::1]:22"}, {"root", "[fd00::2]:22"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"@10.0.0.1", "10.0.0.1:0", "10.0.0.1:ssh", "root@", "a@b@c", "root@host/path"} {
		if got, err := ParseLoadBalancers(wrong); err == nil {
			t.Errorf("%q reads as %v", wrong, got)
		}
	}
	if key := want[2].key(); key != "fd00__1_22" {
		t.Errorf("%q is no key of a ConfigMap", key)
	}
}

func TestOptionsAreCompletedAndJudged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "namespace"), []byte("kubectl-ha\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{ServiceAccount: dir, LoadBalancers: []LoadBalancer{{"root", "a:22"}}, APIPort: 6443, Family: AnyFamily, Resync: time.Second}
	if err := o.Complete(); err != nil || o.Namespace != "kubectl-ha" || o.Identity == "" {
		t.Errorf("%+v, %v", o, err)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	wrong := Options{LoadBalancers: []LoadBalancer{{"root", "a:22"}, {"x", "a:22"}}, Family: "ipx", Debounce: -1}
	err := wrong.Validate()
	for _, want := range []string{"named twice", "--api-port", "--address-family", "--resync", "--debounce"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	none := Options{ServiceAccount: dir + "/none"}
	if err := none.Complete(); err == nil {
		t.Error("found a namespace")
	}
}
