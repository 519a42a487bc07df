package syncer

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// keptChanges is how many of the last changes of HAProxy the page lists.
const keptChanges = 30

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML)) //nolint:gochecknoglobals // it is read once, and never written

// page shows people what this replica knows: one HTML page without scripts and without assets from elsewhere.
type page struct {
	namespace, identity string
	balancers           []LoadBalancer
	controllers         func() ([]Controller, bool)
	now                 func() time.Time

	mu       sync.Mutex
	leader   string
	outcomes map[string]seenOutcome // by the key of the load balancer
	changes  []seenChange           // the last one first
}

// seenOutcome is how the last sync of a load balancer ended.
type seenOutcome struct {
	outcome
	at time.Time
}

// seenChange is something that was done to HAProxy.
type seenChange struct {
	At           time.Time
	LoadBalancer string
	Action       string
}

func newPage(o Options, controllers func() ([]Controller, bool)) *page {
	return &page{
		namespace: o.Namespace, identity: o.Identity, balancers: o.LoadBalancers, controllers: controllers, now: time.Now,
		outcomes: map[string]seenOutcome{},
	}
}

// leads takes note of the replica that changes load balancers.
func (p *page) leads(identity string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader = identity
}

// saw takes note of how a sync ended.
func (p *page) saw(lb LoadBalancer, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.outcomes[lb.key()] = seenOutcome{o, now}
	for _, action := range o.actions {
		p.changes = slices.Insert(p.changes, 0, seenChange{now, lb.Address, action})
	}
	p.changes = p.changes[:min(len(p.changes), keptChanges)]
}

// forget takes back what only who leads knows.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leader = "" // until it is heard of
	clear(p.outcomes)
	p.changes = nil
}

// ServeHTTP answers with the page.
func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p.view()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // who looks may leave
}

// pageView is what the template shows.
type pageView struct {
	Now                         time.Time
	Namespace, Identity, Leader string
	Leading, Known              bool
	Controllers                 []controllerView
	Balancers                   []balancerView
	Changes                     []seenChange
}

type controllerView struct {
	Controller
	// State is serving, leaving or, where a load balancer does not let it in yet, waiting; empty where only the replica that
	// leads knows.
	State string
}

type balancerView struct {
	Name, Result, Message, HAProxy string
	Uptime                         time.Duration
	At                             time.Time
	Certificate                    *CertificateStatus // nil where health checks show none
	Backends                       []string
	Servers                        []serverView
}

type serverView struct {
	Name, Address string
	Cells         []cellView // one for each backend
}

type cellView struct {
	State, Check string
	Sessions     int
}

func (p *page) view() pageView {
	controllers, known := p.controllers()
	p.mu.Lock()
	defer p.mu.Unlock()
	v := pageView{
		Now: p.now().UTC(), Namespace: p.namespace, Identity: p.identity, Leader: p.leader, Leading: p.leader == p.identity,
		Known: known, Changes: slices.Clone(p.changes),
	}
	waiting := map[netip.Addr]bool{}
	for _, lb := range p.balancers {
		o := p.outcomes[lb.key()]
		for _, c := range o.waiting {
			waiting[c.Address] = true
		}
		if v.Leading {
			v.Balancers = append(v.Balancers, viewBalancer(lb, controllers, o))
		}
	}
	for _, c := range controllers {
		state := ""
		switch {
		case c.Leaving:
			state = "leaving"
		case waiting[c.Address]:
			state = "waiting"
		case v.Leading:
			state = "serving"
		}
		v.Controllers = append(v.Controllers, controllerView{c, state})
	}
	return v
}

func viewBalancer(lb LoadBalancer, controllers []Controller, o seenOutcome) balancerView {
	v := balancerView{Name: lb.Address, Result: string(o.result), At: o.at.UTC(), Message: o.message()}
	if o.report == nil {
		return v
	}
	v.Certificate = certificateStatusOf(o.outcome)
	if o.report.Process != nil {
		v.HAProxy = o.report.Process.Version
		v.Uptime = time.Duration(o.report.Process.UptimeSeconds) * time.Second
	}
	rows := map[netip.Addr]map[string]wire.ServerState{}
	for _, s := range o.report.Servers {
		if !slices.Contains(v.Backends, s.Backend) {
			v.Backends = append(v.Backends, s.Backend)
		}
		if s.Unused {
			continue
		}
		if rows[s.Address] == nil {
			rows[s.Address] = map[string]wire.ServerState{}
		}
		rows[s.Address][s.Backend] = s
	}
	for address, servers := range rows {
		row := serverView{Name: nameAt(controllers, address), Address: address.String()}
		for _, backend := range v.Backends {
			s, found := servers[backend]
			cell := cellView{State: "absent"}
			if found {
				cell = cellView{State: stateOf(s), Check: s.Check, Sessions: s.Sessions}
			}
			row.Cells = append(row.Cells, cell)
		}
		v.Servers = append(v.Servers, row)
	}
	slices.SortFunc(v.Servers, func(a, b serverView) int { return strings.Compare(a.Name+a.Address, b.Name+b.Address) })
	return v
}

// nameAt is the name of the controller of that address; a server that is no controller's any more has none.
func nameAt(controllers []Controller, address netip.Addr) string {
	for _, c := range controllers {
		if c.Address == address {
			return c.Name
		}
	}
	return ""
}

// Short is a cell in a few characters: what people look for is the state, and how much goes there.
func (c cellView) Short() string {
	if c.State == "absent" {
		return "–"
	}
	return fmt.Sprintf("%s · %d", c.State, c.Sessions)
}
