package haproxy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Timings of the health checks, measured with HAProxy 2.6 and a real control plane: a killed server is out of
// rotation after 1.2 s, a frozen one after 4 s, and no connection fails meanwhile thanks to redispatch. A leader
// election makes /readyz of healthy servers fail once or twice, hence three failures before a server is DOWN.
const checkTimings = "inter 1s fastinter 500ms downinter 1s fall 3 rise 2"

// neutralServer takes back what a user's `default-server` in a defaults section would do to our servers: encrypt
// once more, prepend a PROXY header, limit connections or hold a server back that has just become ready.
const neutralServer = "no-ssl no-send-proxy no-send-proxy-v2 no-check-send-proxy no-backup maxconn 0 slowstart 0"

// longTimeout lets idle watches and tunnels live for a day, as in k0s's HAProxy guide.
const longTimeout = "86400s"

// Render writes the managed block with its markers, in LF line endings. It is the same for the same input, and valid
// for HAProxy 2.2 to 3.x.
//
// It never holds a defaults section, which would leak into what follows; each of our sections says instead whatever
// a user's defaults could otherwise make of it: mode, timeouts, retries, balance, check, log format and state file.
// What cannot be taken back are options of defaults like `option forwardfor`, of which HAProxy says in a warning
// that it ignores them in TCP mode.
func Render(spec Spec, slots []Slot) []byte {
	w := &blockWriter{}
	w.line("%s %s", beginMarker, spec.Name)
	w.line("# Written by kubectl-ha. Do not edit: whatever is changed between BEGIN and END is overwritten. Change the")
	w.line("# LoadBalancer of the cluster file instead and run kubectl ha-init again.")
	w.section("global", "")
	w.set("stats socket %s mode 600 level admin expose-fd listeners", spec.SocketPath)

	w.frontend(spec, KubeAPIFrontend, spec.Ports.KubeAPI)
	if spec.Check == CheckReadyz {
		// Without a ready API server (etcd lost its quorum), those that answer at all are better than none.
		w.set("use_backend %s if { nbsrv(%s) eq 0 }", KubeAPIOpenBackend, KubeAPIBackend)
	}
	w.set("default_backend %s", KubeAPIBackend)
	w.frontend(spec, KonnectivityFrontend, spec.Ports.Konnectivity)
	w.set("default_backend %s", KonnectivityBackend)
	w.frontend(spec, ControllerJoinFrontend, spec.Ports.ControllerJoin)
	w.set("default_backend %s", ControllerJoinBackend)

	for _, backend := range spec.Backends() {
		w.backend(spec, backend)
		for _, slot := range slots {
			w.set("%s", serverLine(spec, backend, slot))
		}
	}
	if spec.StatsListen != "" {
		w.section("frontend", StatsSection)
		w.set("bind %s", spec.StatsListen)
		w.set("mode http")
		w.set("timeout client 30s")
		w.set("stats enable")
		w.set("stats uri /")
	}
	w.line("%s %s", endMarker, spec.Name)
	return w.Bytes()
}

// blockWriter writes the lines of a block.
type blockWriter struct{ bytes.Buffer }

func (w *blockWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *blockWriter) set(format string, args ...any) { w.line("    "+format, args...) }

func (w *blockWriter) section(keyword, name string) {
	w.line("")
	w.line("%s", strings.TrimSpace(keyword+" "+name))
}

func (w *blockWriter) frontend(spec Spec, name string, port int) {
	w.section("frontend", name)
	w.set("bind %s", bindText(spec.Bind, port))
	w.set("mode tcp")
	if !spec.NoLog {
		w.set("option tcplog")
	}
	w.set("timeout client %s", longTimeout)
}

func (w *blockWriter) backend(spec Spec, backend Backend) {
	w.section("backend", backend.Name)
	w.set("mode tcp")
	w.set("balance %s", spec.Balance)
	w.set("option redispatch 1")
	w.set("retries 3")
	w.set("timeout connect 1s")
	w.set("timeout check 1s")
	w.set("timeout queue 5s")
	w.set("timeout server %s", longTimeout)
	w.set("timeout tunnel %s", longTimeout)
	// Addresses and states that a state file remembers would undo what the block says.
	w.set("load-server-state-from-file none")
	check := "check check-ssl verify none"
	switch {
	case spec.asksReadyz(backend):
		w.httpCheck("/readyz", 200)
		if spec.CAFile != "" {
			// "kubernetes" is in the certificate of every API server.
			check = "check check-ssl verify required ca-file " + spec.CAFile +
				" verifyhost kubernetes check-sni kubernetes"
		}
	case spec.Check == CheckReadyz && backend.Name == ControllerJoinBackend:
		// Without a token, the join API answers 401 when it is alive.
		w.httpCheck("/v1beta1/ca", 401)
	default:
		// The rule keeps those of a user's defaults away; with check-ssl it is a TLS handshake.
		w.set("option tcp-check")
		w.set("tcp-check connect default")
	}
	w.set("default-server %s", neutralServer)
	w.set("default-server %s", check)
	w.set("default-server %s", checkTimings)
}

func (w *blockWriter) httpCheck(path string, status int) {
	w.set("option httpchk")
	w.set("http-check send meth GET uri %s ver HTTP/1.1 hdr Host kubernetes", path)
	w.set("http-check expect status %d", status)
}

// asksReadyz says whether the backend's servers are asked for /readyz.
func (s Spec) asksReadyz(backend Backend) bool {
	return s.Check == CheckReadyz && backend.Name == KubeAPIBackend
}

// serverLine is a slot's line in a backend.
func serverLine(spec Spec, backend Backend, slot Slot) string {
	address := fmt.Sprintf("%s:%d", SpareHost, SparePort)
	if slot.Used() {
		address = netip.AddrPortFrom(slot.Address.Unmap(), uint16(backend.Port)).String()
	}
	text := fmt.Sprintf("server %s %s", slot.Name, address)
	if spec.asksReadyz(backend) {
		// Early releases of HAProxy 2.4 forget a certificate that stands in default-server.
		text += " crt " + spec.ClientFile
	}
	if !slot.Used() || !slot.Enabled {
		text += " disabled"
	}
	return text
}

// bindText is the address of a bind line (see Spec.Bind).
func bindText(address netip.Addr, port int) string {
	if !address.IsValid() {
		return ":" + strconv.Itoa(port)
	}
	text := net.JoinHostPort(address.String(), strconv.Itoa(port))
	if address == netip.IPv6Unspecified() {
		text += " v4v6"
	}
	return text
}
