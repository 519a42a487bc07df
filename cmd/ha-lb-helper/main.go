// Command ha-lb-helper runs on an HAProxy host, as the one command that the syncer's SSH key may run there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper"
	"github.com/kubectl-ha/kubectl-ha/pkg/version"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ha-lb-helper:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("policy", lbhelper.DefaultPolicyPath, "file that says what the caller may do")
	check := flag.Bool("check", false, "read the policy, say what is wrong with it, and end")
	showVersion := flag.Bool("version", false, "say the version and end")
	flag.Parse()
	if *showVersion {
		fmt.Println(version.Short())
		return nil
	}
	policy, err := lbhelper.LoadPolicy(*path)
	if err != nil || *check {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("HAProxy's file and socket are root's: run it as root or by sudo")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	caller, _, _ := strings.Cut(os.Getenv("SSH_CONNECTION"), " ")
	if user := os.Getenv("SUDO_USER"); caller == "" && user != "" {
		caller = "the user " + user // sudo leaves the connection out
	}
	server := lbhelper.New(policy, lbhelper.Config{Version: version.Short(), Caller: caller, Log: systemLog()})
	return server.Serve(ctx, os.Stdin, os.Stdout)
}

// systemLog tells the host's log what was changed or refused: standard error is the caller's. A host without a log
// daemon has none.
func systemLog() func(string) {
	to := io.Discard
	if log, err := syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_NOTICE, "ha-lb-helper"); err == nil {
		to = log
	}
	return func(line string) { fmt.Fprintln(to, line) }
}
