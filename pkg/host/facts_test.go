package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-ha/kubectl-ha/test/golden"
)

func TestFactsOfRecordedHosts(t *testing.T) {
	recordings, err := filepath.Glob("testdata/facts/*.txt")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	for _, recording := range recordings {
		t.Run(filepath.Base(recording), func(t *testing.T) {
			output, err := os.ReadFile(recording)
			if err != nil {
				t.Fatal(err)
			}
			facts, clock, err := parseFacts(string(output))
			if err != nil {
				t.Fatal(err)
			}
			if clock.at.Unix() < 1795475000 || clock.at.Unix() > 1795476000 {
				t.Errorf("its clock is %v", clock.at)
			}
			got, err := json.MarshalIndent(facts, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.File(t, strings.TrimSuffix(recording, ".txt")+".json", string(got)+"\n")
		})
	}
}

func TestFactsOfThisMachine(t *testing.T) {
	for name, without := range map[string][]string{"as it is": nil, "without ss and ip": {"ss", "ip"}} {
		t.Run(name, func(t *testing.T) {
			h, server := connected(t)
			for _, program := range without {
				server.program(program, "exit 1")
			}
			server.program("k0s", "echo v1.36.3+k0s.2; echo more")
			before := time.Now()
			facts, err := h.Facts(context.Background())
			took := time.Since(before)
			if err != nil {
				t.Fatal(err)
			}
			hostname, err := os.Hostname()
			if err != nil || facts.Hostname != hostname || facts.Kernel == "" || facts.Memory < 1<<20 {
				t.Errorf("facts are %+v (%v)", facts, err)
			}
			if facts.K0sVersion != "v1.36.3+k0s.2" || facts.K0sPath != filepath.Join(server.bin, "k0s") {
				t.Errorf("k0s is %q at %q", facts.K0sVersion, facts.K0sPath)
			}
			if _, ok := facts.ListeningTCP[server.port()]; !ok {
				t.Errorf("port %d is not among %v", server.port(), facts.ListeningTCP)
			}
			if facts.ClockOffset.Abs() > facts.ClockOffsetError || facts.ClockOffsetError > took+time.Second {
				t.Errorf("our own clock is %v off, give or take %v, after %v", facts.ClockOffset, facts.ClockOffsetError, took)
			}
			if facts.Sudo {
				t.Error("it says sudo")
			}
		})
	}
}

// The kernel's own table is all that busybox systems have.
func TestListenersAreNamedWithoutSS(t *testing.T) {
	h, server := connected(t)
	server.program("ss", "exit 1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	facts, err := h.Facts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if got, want := facts.ListeningTCP[port], strings.TrimSpace(string(comm)); got != want {
		t.Errorf("port %d belongs to %q, want %q", port, got, want)
	}
}

func TestIncompleteFactsAreRefused(t *testing.T) {
	for _, output := range []string{"", "hostname x\n", "clock 1795475169\nhostname x\n", "clock soon\nend of facts\n"} {
		if facts, _, err := parseFacts(output); err == nil {
			t.Errorf("%q gives %+v", output, facts)
		}
	}
	h, server := connected(t)
	server.program("uname", "exit 1")
	if _, err := h.Facts(context.Background()); err != nil {
		t.Errorf("a missing fact makes an error: %v", err)
	}
}

func TestClockOffset(t *testing.T) {
	asked := time.Unix(1000, 0)
	answered := asked.Add(200 * time.Millisecond)
	for text, want := range map[string]string{
		"1060.100000000": "1m0s 100ms",
		"940.1":          "-1m0s 100ms",
		"1000":           "400ms 600ms", // some time within that second
		"1000.123456789": "23.456789ms 100ms",
	} {
		offset, within := parseClock(text).offset(asked, answered)
		if got := fmt.Sprint(offset, " ", within); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestArchAsK0sNamesIt(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "s390x": "s390x"} {
		if got := arch(machine); got != want {
			t.Errorf("%s is %s, want %s", machine, got, want)
		}
	}
}
