package cli

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// Holder says who runs the command, for people and for Abandoned: "anna@laptop, boot 0f3a…, process 4711: kubectl ha-join".
func Holder(command string) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return name + "@" + thisMachine() + ", process " + strconv.Itoa(os.Getpid()) + ": " + command
}

// thisMachine tells this machine, as long as it runs, from every other: machines may share a name.
func thisMachine() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return name
	}
	return fmt.Sprintf("%s, boot %s", name, strings.TrimSpace(string(boot)))
}

// Abandoned tells whether a holder was a process of this machine that has ended. Of another machine, or of one that
// does not tell one boot from the next, it is not known.
func Abandoned(holder string) bool {
	_, rest, _ := strings.Cut(holder, "@")
	rest, here := strings.CutPrefix(rest, thisMachine()+", process ")
	if !here || !strings.Contains(thisMachine(), ", boot ") {
		return false
	}
	id, _, _ := strings.Cut(rest, ":")
	pid, err := strconv.Atoi(id)
	if err != nil || pid <= 0 {
		return false
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	return errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
