package config

// Object is a k0s configuration (k0s.yaml) as the mapping it is. Fields that this project knows nothing of are kept.
type Object map[string]any

// ParseObject reads one YAML document.
func ParseObject(data []byte) (Object, error) { return nil, nil }

// YAML writes the object with sorted keys: equal objects give equal bytes.
func (o Object) YAML() ([]byte, error) { return nil, nil }

// Clone returns a deep copy.
func (o Object) Clone() Object { return nil }

// ExternalAddress returns spec.api.externalAddress, or "".
func (o Object) ExternalAddress() string { return "" }

// SANs returns spec.api.sans.
func (o Object) SANs() []string { return nil }

// APIAddress returns spec.api.address, or "".
func (o Object) APIAddress() string { return "" }

// PeerAddress returns spec.storage.etcd.peerAddress, or "".
func (o Object) PeerAddress() string { return "" }

// StorageType returns spec.storage.type; k0s's default is "etcd".
func (o Object) StorageType() string { return "" }

// NodeLocalLB reports whether node-local load balancing is on.
func (o Object) NodeLocalLB() bool { return false }

// CPLB reports whether k0s's own control plane load balancing is on.
func (o Object) CPLB() bool { return false }

// APIPort returns spec.api.port; k0s's default is 6443.
func (o Object) APIPort() int { return 0 }

// K0sAPIPort returns spec.api.k0sApiPort; k0s's default is 9443.
func (o Object) K0sAPIPort() int { return 0 }

// KonnectivityPort returns spec.konnectivity.agentPort; k0s's default is 8132.
func (o Object) KonnectivityPort() int { return 0 }

// ForController returns the configuration of one controller, and in words what it changes in o.
func (o Object) ForController(address, externalAddress string, extraSANs []string) (Object, []string) {
	return nil, nil
}

// Differences returns the dotted paths at which desired says something that running does not.
func Differences(running, desired Object) []string { return nil }
