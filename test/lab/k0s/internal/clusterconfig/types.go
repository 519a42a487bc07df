// Package clusterconfig reads k0s.yaml: the sections that the stand-in acts on
// are typed, the others are kept as they are.
package clusterconfig

// Config is a k0s.yaml.
type Config struct {
	APIVersion string         `json:"apiVersion,omitempty"`
	Kind       string         `json:"kind,omitempty"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Spec       Spec           `json:"spec"`
	Status     map[string]any `json:"status,omitempty"`
}

// Spec is k0s.yaml's spec.
type Spec struct {
	API               API            `json:"api"`
	ControllerManager ExtraArgs      `json:"controllerManager"`
	Scheduler         ExtraArgs      `json:"scheduler"`
	Storage           Storage        `json:"storage"`
	Network           Network        `json:"network"`
	Konnectivity      Konnectivity   `json:"konnectivity"`
	WorkerProfiles    []any          `json:"workerProfiles,omitempty"`
	Telemetry         map[string]any `json:"telemetry,omitempty"`
	InstallConfig     map[string]any `json:"installConfig,omitempty"`
	Images            map[string]any `json:"images,omitempty"`
	Extensions        map[string]any `json:"extensions,omitempty"`
	FeatureGates      []any          `json:"featureGates,omitempty"`
	MetricsServer     map[string]any `json:"metricsServer,omitempty"`
}

// API is spec.api: per node, never dynamic.
type API struct {
	Address           string            `json:"address,omitempty"`
	OnlyBindToAddress bool              `json:"onlyBindToAddress,omitempty"`
	ExternalAddress   string            `json:"externalAddress,omitempty"`
	ExtraArgs         map[string]string `json:"extraArgs,omitempty"`
	RawArgs           []string          `json:"rawArgs,omitempty"`
	K0sAPIPort        int               `json:"k0sApiPort,omitempty"`
	Port              int               `json:"port,omitempty"`
	SANs              []string          `json:"sans,omitempty"`
	CA                *CA               `json:"ca,omitempty"`
}

// CA holds lifetimes, as Go durations.
type CA struct {
	ExpiresAfter            string `json:"expiresAfter,omitempty"`
	CertificatesExpireAfter string `json:"certificatesExpireAfter,omitempty"`
}

// ExtraArgs are a component's own flags.
type ExtraArgs struct {
	ExtraArgs map[string]string `json:"extraArgs,omitempty"`
	RawArgs   []string          `json:"rawArgs,omitempty"`
}

// Storage is spec.storage: per node, never dynamic.
type Storage struct {
	Type string         `json:"type,omitempty"`
	Etcd *Etcd          `json:"etcd,omitempty"`
	Kine map[string]any `json:"kine,omitempty"`
}

// Etcd is spec.storage.etcd.
type Etcd struct {
	PeerAddress     string            `json:"peerAddress,omitempty"`
	ExtraArgs       map[string]string `json:"extraArgs,omitempty"`
	RawArgs         []string          `json:"rawArgs,omitempty"`
	CA              *CA               `json:"ca,omitempty"`
	ExternalCluster map[string]any    `json:"externalCluster,omitempty"`
}

// Network is spec.network.
type Network struct {
	Provider                  string         `json:"provider,omitempty"`
	PodCIDR                   string         `json:"podCIDR,omitempty"`
	ServiceCIDR               string         `json:"serviceCIDR,omitempty"`
	ClusterDomain             string         `json:"clusterDomain,omitempty"`
	PrimaryAddressFamily      string         `json:"primaryAddressFamily,omitempty"`
	Calico                    map[string]any `json:"calico,omitempty"`
	KubeRouter                map[string]any `json:"kuberouter,omitempty"`
	KubeProxy                 map[string]any `json:"kubeProxy,omitempty"`
	CoreDNS                   map[string]any `json:"coreDNS,omitempty"`
	DualStack                 map[string]any `json:"dualStack,omitempty"`
	NodeLocalLoadBalancing    *Switch        `json:"nodeLocalLoadBalancing,omitempty"`
	ControlPlaneLoadBalancing *Switch        `json:"controlPlaneLoadBalancing,omitempty"`
}

// Switch is a part of k0s that the stand-in knows only as on or off.
type Switch struct {
	Enabled    bool           `json:"enabled,omitempty"`
	Type       string         `json:"type,omitempty"`
	EnvoyProxy map[string]any `json:"envoyProxy,omitempty"`
	Traefik    map[string]any `json:"traefik,omitempty"`
	Keepalived map[string]any `json:"keepalived,omitempty"`
}

// Konnectivity is spec.konnectivity.
type Konnectivity struct {
	AdminPort       int    `json:"adminPort,omitempty"`
	AgentPort       int    `json:"agentPort,omitempty"`
	ExternalAddress string `json:"externalAddress,omitempty"`
}
