package config

import "path"

// API versions and kinds of the documents that a cluster file may hold.
const (
	APIVersionCfctl        = "cfctl.clusterfactory.io/v1beta1"
	APIVersionK0sctl       = "k0sctl.k0sproject.io/v1beta1"
	APIVersionLoadBalancer = "kubectl-ha.io/v1alpha1"
	KindCluster            = "Cluster"
	KindLoadBalancer       = "LoadBalancer"
)

// DefaultDataDir is where k0s keeps its data when nothing else is said.
const DefaultDataDir = "/var/lib/k0s"

// Cluster is the document of kind Cluster: the hosts, and what k0s is to be on them.
type Cluster struct {
	APIVersion string
	Name       string
	Hosts      []*Host
	K0s        K0s
	Line       int // of the document's first line in the file
}

// Controllers returns the hosts that run the control plane, in the file's order.
func (c *Cluster) Controllers() []*Host {
	var hosts []*Host
	for _, h := range c.Hosts {
		if h.IsController() {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Workers returns the hosts that run workloads only, in the file's order.
func (c *Cluster) Workers() []*Host {
	var hosts []*Host
	for _, h := range c.Hosts {
		if !h.IsController() {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// K0s says which k0s the hosts run and how it is configured.
type K0s struct {
	Version        string // as "v1.36.3+k0s.2"; empty when the file names none
	VersionChannel string // "stable" (the default) or "latest": which release an empty Version stands for
	DynamicConfig  bool
	Config         Object // the k0s.yaml that all controllers share; never nil after Parse
}

// Role is what a host does in the cluster.
type Role string

// The roles that a cluster file can give to a host. RoleSingle exists in k0s, but not in a cluster that is to be
// highly available: Parse refuses it.
const (
	RoleController       Role = "controller"
	RoleControllerWorker Role = "controller+worker"
	RoleWorker           Role = "worker"
	RoleSingle           Role = "single"
)

// Host is one machine of the cluster. Paths on the user's machine are absolute after Load.
type Host struct {
	Conn             Connection
	Role             Role
	NoTaints         bool
	PrivateInterface string
	PrivateAddress   string // an IP address, without brackets
	DataDir          string // empty stands for DefaultDataDir
	KubeletRootDir   string
	Environment      map[string]string
	UploadBinary     bool
	UseExistingK0s   bool     // k0s is on the host already and is neither uploaded nor downloaded
	K0sBinaryPath    string   // on the user's machine
	K0sDownloadURL   string   // as in the file: may hold k0sctl's tokens %v (version), %p (architecture), %x (".exe") …
	InstallFlags     []string // words for k0s install, without quotes and without those that other fields express
	Files            []UploadFile
	Hostname         string
	Hooks            Hooks
	Line             int // of the host's entry in the file
}

// IsController reports whether the host runs the control plane.
func (h *Host) IsController() bool { return h.Role == RoleController || h.Role == RoleControllerWorker }

// RunsKubelet reports whether the host becomes a Node.
func (h *Host) RunsKubelet() bool { return h.Role == RoleWorker || h.Role == RoleControllerWorker }

// Address returns the address that the cluster's other hosts reach this one at, as far as the file tells:
// privateAddress, else the address of the connection when that is an IP address that other hosts can reach, else "".
// It is "" too where privateInterface decides.
func (h *Host) Address() string {
	if h.PrivateAddress == "" && h.PrivateInterface != "" {
		return ""
	}
	return addressOf(h.PrivateAddress, h.Conn)
}

// DataDirOrDefault returns the directory of k0s's data on the host.
func (h *Host) DataDirOrDefault() string {
	if h.DataDir == "" {
		return DefaultDataDir
	}
	return path.Clean(h.DataDir)
}

// Hooks are commands to run on a host, by action ("apply") and stage ("before", "after").
type Hooks map[string]map[string][]string

// UploadFile is a file, a directory, a glob pattern, a URL or literal data that is put on a host.
type UploadFile struct {
	Name    string
	Source  string // absolute path or pattern on the user's machine, or a URL; empty when Data is set
	Data    string
	Dst     string // path on the host
	DstDir  string // directory on the host
	Perm    string // octal, as "0644"; empty keeps the source's
	DirPerm string // octal; empty stands for 0755
	User    string
	Group   string
	Line    int
}
