package syncer

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// absentKind is how long a kind that the API does not know is not asked for again.
const absentKind = 30 * time.Second

// source is the truth: what the API's objects say of controllers. It has the last that was said when the API is away.
type source struct {
	family Family
	stores []*store
	feeds  []*cache.Reflector
}

// newSource watches Nodes of the control plane, ControlNodes and EtcdMembers. Worker Nodes are never asked for.
func newSource(nodes corev1client.NodeInterface, objects dynamic.Interface, family Family, changed func()) *source {
	s := &source{family: family}
	s.watch(nodeLister(nodes), &corev1.Node{}, kindNode, readNode, changed)
	unstructuredType := &unstructured.Unstructured{}
	s.watch(objectLister(objects, kube.ControlNodesResource()), unstructuredType, kindControlNode, readControlNode, changed)
	s.watch(objectLister(objects, kube.EtcdMembersResource()), unstructuredType, kindEtcdMember, readEtcdMember, changed)
	return s
}

func (s *source) watch(lister cache.ListerWatcher, expected any, kind string, read func(any) (fact, error), changed func()) {
	into := newStore(read, changed)
	s.stores = append(s.stores, into)
	s.feeds = append(s.feeds, cache.NewReflectorWithOptions(lister, expected, into, cache.ReflectorOptions{Name: kind}))
}

// run keeps the facts up to date until ctx ends.
func (s *source) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, feed := range s.feeds {
		running.Go(func() { feed.RunWithContext(ctx) })
	}
	running.Wait()
}

// controllers says who belongs to the control plane; known is false until every kind was listed once.
func (s *source) controllers() (controllers []Controller, known bool) {
	var all []fact
	for _, store := range s.stores {
		facts, synced := store.list()
		if !synced {
			return nil, false
		}
		all = append(all, facts...)
	}
	return Desired(all, s.family), true
}

// withoutWatchList marks a lister whose watch cannot begin with a list.
type withoutWatchList struct{}

func (withoutWatchList) IsWatchListSemanticsUnSupported() bool { return true }

// fresh turns the reflector's question for a list of any age, which an API server answers from its cache, into one for what is:
// a cache that lags behind would know less of the control plane than HAProxy does.
func fresh(resourceVersion string) string {
	if resourceVersion == "0" {
		return ""
	}
	return resourceVersion
}

func nodeLister(nodes corev1client.NodeInterface) cache.ListerWatcher {
	selector := kube.ControlPlaneLabel + "=" + kube.ControlPlaneRole
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector, options.ResourceVersion = selector, fresh(options.ResourceVersion)
			return nodes.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = selector
			return nodes.Watch(ctx, options)
		},
	}, withoutWatchList{})
}

// objectLister lists objects of a kind of k0s's own. A cluster that has no such kind has none, and may get it later.
func objectLister(objects dynamic.Interface, resource schema.GroupVersionResource) cache.ListerWatcher {
	client := objects.Resource(resource)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.ResourceVersion = fresh(options.ResourceVersion)
			list, err := client.List(ctx, options)
			if apierrors.IsNotFound(err) {
				return &unstructured.UnstructuredList{}, nil
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			watcher, err := client.Watch(ctx, options)
			if apierrors.IsNotFound(err) {
				return nothing(ctx), nil
			}
			return watcher, err
		},
	}, withoutWatchList{})
}

// nothing is a watch without events that ends after a while.
func nothing(ctx context.Context) watch.Interface {
	fake := watch.NewFake()
	ctx, cancel := context.WithTimeout(ctx, absentKind)
	context.AfterFunc(ctx, func() {
		cancel()
		fake.Stop()
	})
	return fake
}

func readNode(object any) (fact, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return fact{}, fmt.Errorf("a %T instead of a Node", object)
	}
	return factOf(kindNode, n, kube.NodeOf(n).Addresses, false), nil
}

func readControlNode(object any) (fact, error) {
	o, ok := object.(*unstructured.Unstructured)
	if !ok {
		return fact{}, fmt.Errorf("a %T instead of a ControlNode", object)
	}
	return factOf(kindControlNode, o, kube.ControlNodeOf(o).Addresses, false), nil
}

func readEtcdMember(object any) (fact, error) {
	o, ok := object.(*unstructured.Unstructured)
	if !ok {
		return fact{}, fmt.Errorf("a %T instead of an EtcdMember", object)
	}
	member := kube.EtcdMemberOf(o)
	var addresses []netip.Addr
	if member.PeerAddress.IsValid() {
		addresses = append(addresses, member.PeerAddress.Unmap())
	}
	f := factOf(kindEtcdMember, o, addresses, member.Leaving)
	switch {
	case member.Joined:
		f.role = voter
	case member.Left:
		f.role = formerMember
	}
	return f, nil
}

func factOf(kind string, object metav1.Object, addresses []netip.Addr, leaving bool) fact {
	annotations := object.GetAnnotations()
	_, drained := annotations[DrainAnnotation]
	f := fact{
		kind: kind, name: strings.ToLower(object.GetName()), addresses: addresses,
		leaving: leaving || drained || object.GetDeletionTimestamp() != nil,
	}
	// What is no address is as if it was not there: the object's own is better than none.
	if address, err := netip.ParseAddr(annotations[AddressAnnotation]); err == nil && address.Zone() == "" {
		f.annotated = address.Unmap()
	}
	return f
}
