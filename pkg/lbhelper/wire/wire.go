// Package wire is what the syncer and the helper on the HAProxy host say to each other: one JSON object a line, over
// the standard input and output of one SSH session. It is data alone; no field of it is configuration syntax, and it
// has no field at all for a port, a path or a setting, which are the policy's.
package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
)

// Protocol is the version of what is said. Both ends must have the same.
const Protocol = 1

// Limits of a line and of what it lists. A state of 64 servers in four backends is about 60 kB.
const (
	MaxRequest  = 64 << 10
	MaxResponse = 1 << 20
	MaxServers  = 256
	maxName     = 253
	maxPEM      = 8 << 10
)

// Request is one line to the helper: exactly one of the pointers is set.
type Request struct {
	// ID comes back in the response.
	ID uint64 `json:"id"`
	// Hello has to be the first request of a session.
	Hello *Hello `json:"hello,omitempty"`
	State *State `json:"state,omitempty"`
	Apply *Apply `json:"apply,omitempty"`
	Renew *Renew `json:"renew,omitempty"`
}

// Hello says what the caller speaks.
type Hello struct {
	Protocol int `json:"protocol"`
}

// State asks what HAProxy is like, its file and its process.
type State struct{}

// Apply asks for a membership: the servers of every backend.
type Apply struct {
	Servers []Server `json:"servers"`
}

// Server is one controller. It has a line in each backend, whose port the policy knows.
type Server struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Active servers get connections; the others keep a place without any.
	Active bool `json:"active"`
}

// Renew brings another client certificate for the health checks. It has to be for the same user, and to end later.
type Renew struct {
	// Certificate is a single one and Key is its key, PKCS #8; both are PEM.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Response is one line from the helper: exactly one of the pointers is set.
type Response struct {
	ID      uint64       `json:"id"`
	Hello   *Welcome     `json:"hello,omitempty"`
	State   *Report      `json:"state,omitempty"`
	Applied *Applied     `json:"applied,omitempty"`
	Renewed *Certificate `json:"renewed,omitempty"`
	Error   *Error       `json:"error,omitempty"`
}

// Welcome is who answers.
type Welcome struct {
	Protocol int `json:"protocol"`
	// Version of the helper, for people.
	Version string `json:"version"`
	// LoadBalancer is its name, as in the cluster file.
	LoadBalancer string    `json:"loadBalancer"`
	Backends     []Backend `json:"backends"`
	MaxServers   int       `json:"maxServers"`
	// MaxRemovalPercent is how many of the servers that are up one request may take away; see Removable.
	MaxRemovalPercent int `json:"maxRemovalPercent"`
	// Networks are those that a server has to be in that HAProxy does not have yet.
	Networks []netip.Prefix `json:"networks"`
}

// Removable is how many of so many servers that are up may be taken away at once, by a percentage of them: one always may be.
func Removable(percent, up int) int { return max(1, percent*up/100) }

// Backend is one that the helper manages.
type Backend struct {
	Name string `json:"name"`
	Port int    `json:"port"`
}

// Report is what one HAProxy is like.
type Report struct {
	// Managed says that the file has our block, and Slots are the server lines in it.
	Managed bool   `json:"managed"`
	Slots   []Slot `json:"slots,omitempty"`
	// Running says that HAProxy runs, with our block or without it.
	Running bool `json:"running"`
	// Process is the running one; nil when there is none that has loaded our block.
	Process *Process `json:"process,omitempty"`
	// Servers are those of the managed backends in the running process, unused ones included.
	Servers []ServerState `json:"servers,omitempty"`
	// Certificate is the client certificate that health checks show; nil when they need none, or when it is not ours.
	Certificate *Certificate `json:"certificate,omitempty"`
}

// Certificate is a client certificate. The zero value stands for none that would do, as on a host that has lost its own.
type Certificate struct {
	// Serial is its number, in hexadecimal.
	Serial    string    `json:"serial,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

// Slot is one server line of the file. The zero address is that of an unused one.
type Slot struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Enabled bool       `json:"enabled"`
}

// Process is a running HAProxy. Another PID, or a smaller uptime, is one that was restarted or reloaded.
type Process struct {
	PID           int    `json:"pid"`
	Version       string `json:"version"`
	UptimeSeconds int64  `json:"uptimeSeconds"`
}

// ServerState is one server of the running process.
type ServerState struct {
	Backend string     `json:"backend"`
	Slot    string     `json:"slot"`
	Address netip.Addr `json:"address"`
	Port    int        `json:"port"`
	// Admin is ready, drain or maint.
	Admin string `json:"admin"`
	// Status is as on the statistics page, Check what the last health check found.
	Status string `json:"status"`
	Check  string `json:"check,omitempty"`
	// Up says that it gets new connections.
	Up       bool `json:"up"`
	Unused   bool `json:"unused,omitempty"`
	Sessions int  `json:"sessions"`
}

// Applied is what was done, and what HAProxy is like since.
type Applied struct {
	// Actions are those of the plan that was carried out, for people; empty when HAProxy was as desired.
	Actions  []string `json:"actions,omitempty"`
	Reloaded bool     `json:"reloaded,omitempty"`
	Report   Report   `json:"report"`
}

// Kind says what an Error calls for.
type Kind string

const (
	// Malformed is a line that is no request of this protocol.
	Malformed Kind = "malformed"
	// Refused is a request that the policy or the safety of the backends forbids. Asking again changes nothing.
	Refused Kind = "refused"
	// Busy is a HAProxy that somebody else is changing.
	Busy Kind = "busy"
	// Stopped is a HAProxy that does not run; whoever stopped it is to start it.
	Stopped Kind = "stopped"
	// Unchecked is a server that does not pass its health check; all else was done.
	Unchecked Kind = "unchecked"
	// Failed is anything else.
	Failed Kind = "failed"
)

// Error is why a request was not, or not wholly, carried out.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// KindOf is the kind of an error that came from the helper; empty for any other.
func KindOf(err error) Kind {
	var answered *Error
	if errors.As(err, &answered) {
		return answered.Kind
	}
	return ""
}

// Validate says what is wrong with a request, whatever the policy is.
func (r *Request) Validate() error {
	set := 0
	for _, is := range []bool{r.Hello != nil, r.State != nil, r.Apply != nil, r.Renew != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("a request is one of hello, state, apply and renew, not %d of them", set)
	}
	if r.Apply != nil {
		return r.Apply.validate()
	}
	if r.Renew != nil && max(len(r.Renew.Certificate), len(r.Renew.Key)) > maxPEM {
		return fmt.Errorf("certificate and key: at most %d bytes each", maxPEM)
	}
	return nil
}

func (a *Apply) validate() error {
	if len(a.Servers) > MaxServers {
		return fmt.Errorf("%d servers: at most %d", len(a.Servers), MaxServers)
	}
	var errs []error
	for _, s := range a.Servers {
		if len(s.Name) > maxName || !haproxy.ValidName(s.Name) {
			errs = append(errs, fmt.Errorf("server %q: a name has up to %d letters, digits and the characters -_.: alone", s.Name, maxName))
		}
		if !s.Address.IsValid() || s.Address.Zone() != "" || s.Address.Is4In6() {
			errs = append(errs, fmt.Errorf("server %q: %q is no address to connect to", s.Name, s.Address))
		}
	}
	return errors.Join(errs...)
}
