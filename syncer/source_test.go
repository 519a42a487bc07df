package syncer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// TestListsAreNotFromACache asks for lists as a reflector does when it begins, of any age, and when it was told of a newer one.
func TestListsAreNotFromACache(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + "?" + r.URL.Query().Get("resourceVersion")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}`)
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL}
	for path, lister := range map[string]cache.ListerWatcher{
		"/api/v1/nodes": nodeLister(corev1client.NewForConfigOrDie(config).Nodes()),
		"/apis/etcd.k0sproject.io/v1beta1/etcdmembers": objectLister(dynamic.NewForConfigOrDie(config), kube.EtcdMembersResource()),
	} {
		for version, want := range map[string]string{"0": "", "": "", "7": "7"} {
			if _, err := cache.ToListerWatcherWithContext(lister).ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: version}); err != nil {
				t.Fatal(err)
			}
			if asked != path+"?"+want {
				t.Errorf("a list of version %q was asked for with %s", version, asked)
			}
		}
	}
}
