package haproxy

import (
	"encoding/csv"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AdminState is what an administrator asked of a server, by the file or by the runtime API.
type AdminState string

const (
	// Ready servers get new connections while their check passes.
	Ready AdminState = "ready"
	// Drain lets a server keep its connections and gives it no new ones; it goes on being checked.
	Drain AdminState = "drain"
	// Maint takes a server out; it is not checked.
	Maint AdminState = "maint"
)

// Bits of srv_admin_state (SRV_ADMF_* in HAProxy's source, the same from 1.8 to 3.4). Bit 0x04 only remembers that
// the file said `disabled`; it stays set when the server is made ready.
const (
	adminMaint = 0x01 | 0x02 | 0x20
	adminDrain = 0x08 | 0x10
)

// ServerState is one server of the running HAProxy.
type ServerState struct {
	Backend string
	// Slot is the name of the server line, which HAProxy took from the file when it started.
	Slot string
	// ID counts the servers of a backend from 1, in the order of the file.
	ID      int
	Address netip.Addr
	Port    int
	Admin   AdminState
	// Status as on the statistics page: "UP", "UP 1/2", "DOWN", "DRAIN", "MAINT", "no check".
	Status string
	// Check is the result of the last finished check, as L7OK or L4TOUT; empty before the first.
	Check string
	// CheckText says more of it, as "L7STS 500: Internal Server Error".
	CheckText string
	// Sessions are the connections of the present worker; those of workers from before a reload are not counted.
	Sessions int
	// LastSession is how long ago HAProxy gave the server a connection last, in whole seconds; negative when the present
	// worker never did.
	LastSession time.Duration
}

// Up says that the server gets new connections.
func (s ServerState) Up() bool {
	return s.Admin == Ready && (s.Status == "no check" || s.Status == "UP" || strings.HasPrefix(s.Status, "UP "))
}

// Checked says that a check has passed since the server left maintenance. While it drains, "DRAIN 1/2" is the
// result of an earlier use of the slot.
func (s ServerState) Checked() bool {
	return (s.Status == "DRAIN" || s.Status == "UP") && slices.Contains([]string{"L4OK", "L6OK", "L7OK"}, s.Check)
}

// Unused says that the server line belongs to no controller.
func (s ServerState) Unused() bool { return s.Address == spareAddress() && s.Port == SparePort }

// Runtime is the state of the running HAProxy.
type Runtime struct {
	// PID of the worker. A new one means that HAProxy was restarted or reloaded: what was set at run time is lost.
	PID     int
	Version string
	Uptime  time.Duration
	// Servers of all backends, the user's own among them; in the order of the file within a backend.
	Servers []ServerState
}

// Backend returns the servers of one backend in the order of the file.
func (r *Runtime) Backend(name string) []ServerState {
	if r == nil {
		return nil
	}
	var servers []ServerState
	for _, s := range r.Servers {
		if s.Backend == name {
			servers = append(servers, s)
		}
	}
	return servers
}

// stateCommands are what parseRuntime reads the answers of. The masks of `show stat` are: every proxy, servers only.
func stateCommands() []string {
	return []string{"show info", "show servers state", "show stat -1 4 -1"}
}

func parseRuntime(answers []string) (*Runtime, error) {
	runtime, err := parseInfo(answers[0])
	if err != nil {
		return nil, err
	}
	runtime.Servers, err = parseServersState(answers[1])
	if err != nil {
		return nil, err
	}
	return runtime, parseStat(answers[2], runtime.Servers)
}

// parseInfo reads `show info`: lines of "Name: value".
func parseInfo(text string) (*Runtime, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			values[name] = strings.TrimSpace(value)
		}
	}
	pid, err := strconv.Atoi(values["Pid"])
	if err != nil {
		return nil, fmt.Errorf("reading `show info`: no Pid in %q", firstLine(text))
	}
	uptime, err := strconv.Atoi(values["Uptime_sec"])
	if err != nil {
		return nil, fmt.Errorf("reading `show info`: no Uptime_sec in %q", firstLine(text))
	}
	return &Runtime{PID: pid, Version: values["Version"], Uptime: time.Duration(uptime) * time.Second}, nil
}

// parseServersState reads `show servers state`. Columns are found by the names in its header, since each version
// adds some; the first line is the version of the format.
func parseServersState(text string) ([]ServerState, error) {
	fail := func(format string, args ...any) ([]ServerState, error) {
		return nil, fmt.Errorf("reading `show servers state`: "+format, args...)
	}
	var columns map[string]int
	var servers []ServerState
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if header, ok := strings.CutPrefix(line, "# "); ok && columns == nil {
			var missing string
			columns, missing = columnsOf(strings.Fields(header),
				"be_name", "srv_id", "srv_name", "srv_addr", "srv_admin_state", "srv_port")
			if missing != "" {
				return fail("no column %s", missing)
			}
			continue
		}
		if line == "" || line == "1" || strings.HasPrefix(line, "#") {
			continue
		}
		if columns == nil {
			return fail("%q comes before the header", firstLine(line))
		}
		fields := strings.Fields(line)
		if len(fields) < len(columns) {
			return fail("%d fields instead of %d in %q", len(fields), len(columns), line)
		}
		server := ServerState{Backend: fields[columns["be_name"]], Slot: fields[columns["srv_name"]]}
		var err error
		if server.ID, err = strconv.Atoi(fields[columns["srv_id"]]); err != nil {
			return fail("srv_id in %q: %w", line, err)
		}
		if server.Port, err = strconv.Atoi(fields[columns["srv_port"]]); err != nil {
			return fail("srv_port in %q: %w", line, err)
		}
		admin, err := strconv.Atoi(fields[columns["srv_admin_state"]])
		if err != nil {
			return fail("srv_admin_state in %q: %w", line, err)
		}
		server.Admin = adminState(admin)
		// A server of the user's own may have a name that is not resolved or a Unix socket: no address.
		if address, err := netip.ParseAddr(fields[columns["srv_addr"]]); err == nil {
			server.Address = address.Unmap()
		}
		servers = append(servers, server)
	}
	if columns == nil {
		return fail("no header in %q", firstLine(text))
	}
	slices.SortStableFunc(servers, func(a, b ServerState) int {
		if c := strings.Compare(a.Backend, b.Backend); c != 0 {
			return c
		}
		return a.ID - b.ID
	})
	return servers, nil
}

func adminState(bits int) AdminState {
	switch {
	case bits&adminMaint != 0:
		return Maint
	case bits&adminDrain != 0:
		return Drain
	}
	return Ready
}

// parseStat adds to the servers what `show stat` says of them. A server that is missing there stays without status.
func parseStat(text string, servers []ServerState) error {
	fail := func(format string, args ...any) error { return fmt.Errorf("reading `show stat`: "+format, args...) }
	header, rest, _ := strings.Cut(text, "\n")
	header, ok := strings.CutPrefix(header, "# ")
	if !ok {
		return fail("no header in %q", firstLine(text))
	}
	columns, missing := columnsOf(strings.Split(header, ","),
		"pxname", "svname", "scur", "status", "check_status", "check_code", "lastsess", "last_chk")
	if missing != "" {
		return fail("no column %s", missing)
	}
	type key struct{ backend, slot string }
	index := map[key]int{}
	for i, s := range servers {
		index[key{s.Backend, s.Slot}] = i
	}
	reader := csv.NewReader(strings.NewReader(rest))
	reader.FieldsPerRecord = -1
	records, err := reader.ReadAll()
	if err != nil {
		return fail("%w", err)
	}
	for _, fields := range records {
		get := func(column string) string {
			if i := columns[column]; i < len(fields) {
				return fields[i]
			}
			return ""
		}
		i, ok := index[key{get("pxname"), get("svname")}]
		if !ok {
			continue
		}
		s := &servers[i]
		s.Status = get("status")
		// "* " marks that the next check is under way.
		s.Check = strings.TrimPrefix(get("check_status"), "* ")
		s.CheckText = strings.TrimSpace(s.Check + " " + get("check_code"))
		if text := get("last_chk"); text != "" {
			s.CheckText += ": " + text
		}
		if s.Sessions, err = strconv.Atoi(get("scur")); err != nil {
			return fail("sessions of %s/%s: %w", s.Backend, s.Slot, err)
		}
		seconds, err := strconv.Atoi(get("lastsess"))
		if err != nil {
			return fail("last session of %s/%s: %w", s.Backend, s.Slot, err)
		}
		s.LastSession = time.Duration(seconds) * time.Second
	}
	return nil
}

func columnsOf(header []string, needed ...string) (columns map[string]int, missing string) {
	columns = map[string]int{}
	for i, name := range header {
		if _, ok := columns[name]; !ok {
			columns[name] = i
		}
	}
	for _, name := range needed {
		if _, ok := columns[name]; !ok {
			return nil, name
		}
	}
	return columns, ""
}

// firstLine shortens an answer for an error.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line[:min(len(line), 200)]
}
