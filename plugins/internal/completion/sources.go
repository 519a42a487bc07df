package completion

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-ha/kubectl-ha/pkg/config"
	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// flags are those that have been typed already.
type flags struct{ command *cobra.Command }

// text is a flag's value; empty too where the command has no such flag.
func (f flags) text(name string) string {
	flag := f.command.Flag(name)
	if flag == nil {
		return ""
	}
	return flag.Value.String()
}

// kube are kubectl's flags that say which cluster is meant.
func (f flags) kube() *genericclioptions.ConfigFlags {
	kubeconfig, context, cluster, user := f.text("kubeconfig"), f.text("context"), f.text("cluster"), f.text("user")
	return &genericclioptions.ConfigFlags{KubeConfig: &kubeconfig, Context: &context, ClusterName: &cluster, AuthInfoName: &user}
}

// namesKubeconfig tells whether a flag says which cluster of the kubeconfig is meant.
func (f flags) namesKubeconfig() bool {
	return f.text("kubeconfig") != "" || f.text("context") != "" || f.text("cluster") != "" || f.text("user") != ""
}

func contexts(_ context.Context, f flags) []candidate {
	return f.ofKubeconfig(func(config api.Config) []string { return slices.Collect(maps.Keys(config.Contexts)) })
}

func clusters(_ context.Context, f flags) []candidate {
	return f.ofKubeconfig(func(config api.Config) []string { return slices.Collect(maps.Keys(config.Clusters)) })
}

func users(_ context.Context, f flags) []candidate {
	return f.ofKubeconfig(func(config api.Config) []string { return slices.Collect(maps.Keys(config.AuthInfos)) })
}

// ofKubeconfig are names in the user's kubeconfig, whichever of its clusters the line has named so far.
func (f flags) ofKubeconfig(names func(api.Config) []string) []candidate {
	kubeconfig := f.text("kubeconfig")
	all, err := (&genericclioptions.ConfigFlags{KubeConfig: &kubeconfig}).ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return plain(names(all))
}

// controllers are what names a controller: k0s's objects for it, and a host of the file.
func controllers(ctx context.Context, f flags) []candidate {
	return append(f.objects(ctx, etcdMembers, controlNodes), hosts(ctx, f)...)
}

// members are the names of etcd's members: those of k0s's objects for them, and the hostnames in the cluster file, which
// members are called after.
func members(ctx context.Context, f flags) []candidate {
	found := f.objects(ctx, etcdMembers)
	for _, h := range f.controllers() {
		found = append(found, candidate{h.Hostname, h.Conn.Address()})
	}
	return found
}

// objects are names of the cluster's objects. They are asked for where no file is named, or with it a kubeconfig: the
// present one may be another cluster's.
func (f flags) objects(ctx context.Context, lists ...func(context.Context, *kube.Cluster) []candidate) []candidate {
	if f.text("filename") != "" && !f.namesKubeconfig() {
		return nil
	}
	settings, err := f.kube().ToRESTConfig()
	if err != nil {
		return nil
	}
	cluster, err := kube.ConnectTo(settings)
	if err != nil {
		return nil
	}
	defer cluster.Close()
	var found []candidate
	for _, list := range lists {
		found = append(found, list(ctx, cluster)...)
	}
	return found
}

// etcdMembers are the objects of members of etcd.
func etcdMembers(ctx context.Context, cluster *kube.Cluster) []candidate {
	list, err := cluster.EtcdMembers(ctx)
	if err != nil {
		return nil
	}
	found := make([]candidate, len(list))
	for i, member := range list {
		found[i].word = member.Name
		if member.PeerAddress.IsValid() {
			found[i].about = member.PeerAddress.String()
		}
	}
	return found
}

// controlNodes are the objects of controllers. There may be no EtcdMember beside one: k0s before 1.31 has none.
func controlNodes(ctx context.Context, cluster *kube.Cluster) []candidate {
	list, err := cluster.ControlNodes(ctx)
	if err != nil {
		return nil
	}
	found := make([]candidate, len(list))
	for i, node := range list {
		found[i].word = node.Name
		if len(node.Addresses) > 0 {
			found[i].about = node.Addresses[0].String()
		}
	}
	return found
}

// hosts are the controllers of the cluster file, by what the commands find them by: the hostname where the file has
// one, else the address.
func hosts(_ context.Context, f flags) []candidate {
	var found []candidate
	for _, h := range f.controllers() {
		if h.Hostname != "" {
			found = append(found, candidate{h.Hostname, h.Conn.Address()})
		} else {
			found = append(found, candidate{h.Conn.Address(), string(h.Role)})
		}
	}
	return found
}

// controllers are those of the cluster file that the line names.
func (f flags) controllers() []*config.Host {
	path := f.text("filename")
	if path == "" {
		return nil
	}
	file, err := config.LoadHosts(path)
	if err != nil {
		return nil
	}
	return file.Cluster.Controllers()
}
