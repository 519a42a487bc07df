package controlplane

import (
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestTheNextCommandIsOfTheSameCluster(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the present context": {[]string{"--timeout", "1m", "--lb", "10.10.4.10"}, "kubectl etcd-members"},
		"a file":              {[]string{"-f", "prod/cluster.yaml", "-y"}, "kubectl etcd-members -f prod/cluster.yaml"},
		"a context":           {[]string{"--context=prod"}, "kubectl etcd-members --context prod"},
		"a user for the hosts": {[]string{"--ssh-user", "admin", "--kubeconfig", "my config", "--ssh-port", "2222"},
			"kubectl etcd-members --kubeconfig 'my config' --ssh-port 2222 --ssh-user admin"},
		"a file and a context": {[]string{"--context", "it's", "-f", "c.yaml"}, `kubectl etcd-members -f c.yaml --context 'it'\''s'`},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOptions(genericiooptions.NewTestIOStreamsDiscard())
			flags := pflag.NewFlagSet("command", pflag.ContinueOnError)
			o.AddFlags(flags)
			o.AddDiscovery(flags)
			if err := flags.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			if got := o.AskMembers(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
