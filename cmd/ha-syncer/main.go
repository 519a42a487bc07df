// Command ha-syncer keeps external HAProxy hosts equal to the control plane of the cluster it runs in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/kubectl-ha/kubectl-ha/pkg/version"
	"github.com/kubectl-ha/kubectl-ha/syncer"
)

// gcPercent has the garbage collector work for memory: the syncer does little, and runs on controllers.
const gcPercent = 25

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ha-syncer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := syncer.Options{}
	level := slog.LevelInfo
	flags := flag.NewFlagSet("ha-syncer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("load-balancers", "HAProxy `hosts`, [USER@]HOST[:PORT] separated by commas", func(text string) (err error) {
		o.LoadBalancers, err = syncer.ParseLoadBalancers(text)
		return err
	})
	flags.Func("api-servers", "`addresses` of API servers to begin with, separated by commas; the others are learned", func(text string) (err error) {
		o.APIServers, err = syncer.ParseAddresses(text)
		return err
	})
	flags.StringVar(&o.SSHKey, "ssh-key", filepath.Join(syncer.DefaultSSHFolder, "ssh-privatekey"), "private key for the HAProxy hosts")
	flags.StringVar(&o.KnownHosts, "known-hosts", filepath.Join(syncer.DefaultSSHFolder, "known_hosts"), "host keys of the HAProxy hosts")
	flags.StringVar(&o.ServiceAccount, "service-account", syncer.DefaultServiceAccount, "folder with token, ca.crt and namespace")
	flags.StringVar(&o.Namespace, "namespace", "", "of the syncer's Lease and status; by default that of the service account")
	flags.StringVar(&o.Identity, "identity", "", "name of this replica; by default that of the host")
	flags.IntVar(&o.APIPort, "api-port", syncer.DefaultAPIPort, "port of the API servers")
	flags.StringVar(&o.APIServerName, "api-server-name", syncer.DefaultAPIServerName, "name that the certificate of every API server has")
	flags.StringVar((*string)(&o.Family), "address-family", string(syncer.AnyFamily), "any, ipv4 or ipv6: which of a controller's addresses HAProxy connects to")
	flags.StringVar(&o.Listen, "listen", syncer.DefaultListen, "address of the page, /healthz, /readyz and /metrics")
	flags.DurationVar(&o.Resync, "resync", syncer.DefaultResync, "how often every HAProxy is looked at without a reason")
	flags.DurationVar(&o.Debounce, "debounce", syncer.DefaultDebounce, "how long events are gathered")
	flags.TextVar(&level, "log-level", level, "debug, info, warn or error")
	showVersion := flags.Bool("version", false, "say the version and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *showVersion {
		fmt.Fprintln(stdout, version.Short())
		return nil
	}
	o.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if err := o.Complete(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	return syncer.Run(ctx, o)
}
