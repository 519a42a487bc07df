package haproxy

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// PortTakenError says that another program listens on a port that HAProxy is to listen on.
type PortTakenError struct{ Ports []int }

func (e *PortTakenError) Error() string {
	texts := make([]string, len(e.Ports))
	for i, port := range e.Ports {
		texts[i] = strconv.Itoa(port)
	}
	return fmt.Sprintf("HAProxy was not reloaded: another program listens on port %s already: "+
		"stop it, or use another port", strings.Join(texts, ", "))
}

// checkPorts refuses a file whose new ports are taken. `haproxy -c` does not look for that, and a reload that fails
// to bind is not harmless: HAProxy has its old worker let go of all its ports for two seconds meanwhile.
func (r *run) checkPorts(ctx context.Context, content []byte) error {
	own := map[int]bool{}
	if r.plan.cur.Running {
		// After an interrupted run, HAProxy may still have those of the file from before.
		files := [][]byte{r.plan.cur.Config, r.before}
		if r.plan.cur.Runtime != nil && !r.plan.cur.HasBlock {
			// It answers on our socket: somebody took the block out of the file alone.
			files = append(files, Render(r.plan.spec, nil))
		}
		for _, file := range files {
			for _, b := range allBinds(file) {
				for port := b.First; port <= b.Last; port++ {
					own[port] = true
				}
			}
		}
	}
	listening, err := r.listening(ctx)
	if err != nil {
		return err
	}
	var taken []int
	for _, b := range allBinds(content) {
		address, known := bindAddress(b.Address)
		for _, l := range listening {
			port := int(l.Port())
			if b.Contains(port) && !own[port] && known && overlaps(address, l.Addr()) {
				taken = append(taken, port)
			}
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		return &PortTakenError{Ports: slices.Compact(taken)}
	}
	return nil
}

// allBinds lists what a whole configuration listens on, our block included.
func allBinds(cfg []byte) []BoundPort {
	var bound []BoundPort
	for _, s := range parseSections(cfg) {
		bound = append(bound, s.bound()...)
	}
	return bound
}

// overlaps says whether a bind would fail; the zero Addr means all of IPv4, as with bindAddress. A socket on all of
// IPv6 mostly has all of IPv4 too.
func overlaps(bind, listening netip.Addr) bool {
	return !bind.IsValid() && (listening.Is4() || listening.IsUnspecified()) ||
		bind.IsValid() && bind.IsUnspecified() || listening.IsUnspecified() || bind == listening
}

// listening lists the TCP sockets that listen on the host.
func (b *Balancer) listening(ctx context.Context) ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := b.machine.ReadFile(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		all = append(all, parseListening(string(table))...)
	}
	return all, nil
}

// parseListening reads /proc/net/tcp and tcp6: "sl local_address rem_address st ...", addresses in hexadecimal and in
// words of the machine's byte order, which is little-endian on all machines that k0s is built for.
func parseListening(table string) []netip.AddrPort {
	const listen = "0A"
	var all []netip.AddrPort
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listen {
			continue
		}
		address, port, ok := strings.Cut(fields[1], ":")
		if !ok {
			continue
		}
		number, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			continue
		}
		raw, err := hex.DecodeString(address)
		if err != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
		}
		if ip, ok := netip.AddrFromSlice(raw); ok {
			all = append(all, netip.AddrPortFrom(ip.Unmap(), uint16(number)))
		}
	}
	return all
}
