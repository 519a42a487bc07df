package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/test/lab"
	"github.com/kubectl-ha/kubectl-ha/test/lab/k0sbin"
)

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// program is what all subcommands share.
type program struct {
	streams
	name     string
	stateDir string
}

func newCommand(s streams) *cobra.Command {
	p := &program{streams: s}
	root := &cobra.Command{
		Use:           "labctl",
		Short:         "Real hosts on one machine, for demos and tests",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().StringVar(&p.name, "name", "demo", "the lab's name")
	root.PersistentFlags().StringVar(&p.stateDir, "state", "", "folder of the labs' state (default: $LAB_STATE, or kubectl-ha/lab in the user's cache folder)")
	root.AddCommand(
		p.up(), p.down(), p.list(), p.status(), p.exec(), p.clock(), p.image(), p.k0s(), p.address(),
		p.print("ssh-config", "Print the path of an OpenSSH configuration (ssh -F \"$(labctl ssh-config)\" HOST)", (*lab.Lab).SSHConfig),
		p.print("key", "Print the path of the private key that opens every host", (*lab.Lab).KeyPath),
		p.print("known-hosts", "Print the path of the lab's known_hosts", (*lab.Lab).KnownHosts),
		p.cut(),
		p.verb("heal", "Put hosts back on the network", (*lab.Host).Heal),
		p.verb("freeze", "Stop every process of hosts where it is", (*lab.Host).Freeze),
		p.verb("thaw", "Let frozen hosts go on", (*lab.Host).Thaw),
		p.verb("kill", "End everything on hosts at once, as a power failure does", (*lab.Host).Kill),
		p.verb("start", "Boot hosts that were killed", (*lab.Host).Start),
		p.verb("reboot", "Shut hosts down in order and boot them", (*lab.Host).Reboot),
		p.verb("reset", "Wipe hosts: new machines with the same addresses and host keys", (*lab.Host).Reset),
	)
	return root
}

func (p *program) up() *cobra.Command {
	var subnet string
	cmd := &cobra.Command{
		Use:   "up [HOST...]",
		Short: "Make a lab; without HOSTs, the guide's three controllers and its load balancer",
		Long: "Make a lab; without HOSTs, the guide's three controllers and its load balancer.\n\n" +
			"A HOST is guide (all four of them), one of the guide's names, cp4 to cp7, haproxy-2, worker-1 to worker-9,\n" +
			"or NAME=OCTET.OCTET. Options follow a colon: \"haproxy\" has HAProxy installed and running, \"private\" can\n" +
			"be reached only from other hosts.",
		Example: "  labctl up\n  labctl up guide cp4 worker-1\n  labctl up --name edge --subnet 10.11.0.0/16 a=0.2 b=1.2:private lb=4.10:haproxy",
		RunE: func(cmd *cobra.Command, args []string) error {
			config := lab.Config{Name: p.name, StateDir: p.stateDir, Log: p.err}
			var err error
			if config.Hosts, err = parseHosts(args); err != nil {
				return err
			}
			if subnet != "" {
				if config.Subnet, err = netip.ParsePrefix(subnet); err != nil {
					return fmt.Errorf("subnet: %w", err)
				}
			}
			start := time.Now()
			l, err := lab.Up(cmd.Context(), config)
			if err != nil {
				return err
			}
			return p.explain(l, time.Since(start))
		},
	}
	cmd.Flags().StringVar(&subnet, "subnet", "", "the lab's /16 (default: the first free one from 10.10.0.0/16 to 10.95.0.0/16)")
	return cmd
}

func parseHosts(args []string) ([]lab.HostSpec, error) {
	if len(args) == 0 {
		return lab.GuideHosts(), nil
	}
	var hosts []lab.HostSpec
	var errs []error
	for _, arg := range args {
		if arg == "guide" {
			hosts = append(hosts, lab.GuideHosts()...)
			continue
		}
		host, err := lab.ParseHost(arg)
		hosts, errs = append(hosts, host), append(errs, err)
	}
	return hosts, errors.Join(errs...)
}

// explain says how to reach the hosts of a new lab.
func (p *program) explain(l *lab.Lab, took time.Duration) error {
	fmt.Fprintf(p.out, "lab %s is up on %s after %.1f s\n\n", l.Name(), l.Subnet(), took.Seconds())
	w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	for _, h := range l.Hosts() {
		note := ""
		if h.Private() {
			note = "only from the other hosts"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", h.Name(), h.Address(), h.Flavour(), note)
	}
	err := w.Flush()
	fmt.Fprintf(p.out, `
one:   ssh -F %[1]s %[2]s
key:   %[3]s   (users root, ops with sudo, nosudo without)
keys:  export SSH_KNOWN_HOSTS=%[4]s
down:  labctl down --name %[5]s
`, l.SSHConfig(), l.Hosts()[0].Name(), l.KeyPath(), l.KnownHosts(), l.Name())
	return err
}

func (p *program) down() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove a lab with everything it started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names := []string{p.name}
			if all {
				var err error
				if names, err = lab.List(cmd.Context(), p.stateDir); err != nil {
					return err
				}
			}
			var errs []error
			for _, name := range names {
				errs = append(errs, lab.Down(cmd.Context(), p.stateDir, name))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "remove every lab of this machine")
	return cmd
}

func (p *program) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the labs of this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := lab.List(cmd.Context(), p.stateDir)
			for _, name := range names {
				fmt.Fprintln(p.out, name)
			}
			return err
		},
	}
}

func (p *program) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what every host does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(p.stateDir, p.name)
			if err != nil {
				return err
			}
			all, err := l.Status(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "HOST\tADDRESS\tFLAVOUR\tSTATE\tSYSTEMD\tCUT OFF FROM")
			for _, s := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Host.Name(), s.Host.Address(), s.Host.Flavour(), s.State,
					orDash(s.System), orDash(strings.Join(s.Cut, ",")))
			}
			return w.Flush()
		},
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (p *program) exec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec HOST [--] COMMAND...",
		Short: "Run a shell command as root on a host, also on one that is cut off",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			hosts, err := p.hosts(args[:1])
			if err != nil {
				return err
			}
			command := args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			return hosts[0].Stream(cmd.Context(), strings.Join(command, " "), stdinUnlessTerminal(p.in), p.out)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// stdinUnlessTerminal keeps docker from waiting for what a user at a terminal never types.
func stdinUnlessTerminal(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
			return nil
		}
	}
	return in
}

func (p *program) clock() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock HOST DURATION",
		Short: "Make a host's date command tell a wrong time (60s, -1h; 0s ends it); a stand-in for a wrong clock",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := time.ParseDuration(args[1])
			if err != nil {
				return err
			}
			hosts, err := p.hosts(args[:1])
			if err != nil {
				return err
			}
			return hosts[0].ShiftClock(cmd.Context(), by)
		},
	}
	// A negative duration is no flag.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (p *program) address() *cobra.Command {
	return &cobra.Command{
		Use:   "address HOST",
		Short: "Print a host's address",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			hosts, err := p.hosts(args)
			if err == nil {
				fmt.Fprintln(p.out, hosts[0].Address())
			}
			return err
		},
	}
}

func (p *program) k0s() *cobra.Command {
	return &cobra.Command{
		Use:   "k0s",
		Short: "Get the k0s executable to try things with, and print its path",
		Long: "Get the k0s executable to try things with, and print its path: the one that K0S_BINARY names, or else the\n" +
			"pinned release, or else, without a network, the lab's stand-in.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, _, err := k0sbin.Resolve(cmd.Context(), p.err)
			if err == nil {
				fmt.Fprintln(p.out, path)
			}
			return err
		},
	}
}

func (p *program) image() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build the hosts' images, unless Docker has them, and print their tags",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if remove {
				return lab.RemoveImages(cmd.Context())
			}
			tags, err := lab.Image(cmd.Context(), p.stateDir, p.err)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s\n%s\n", tags[lab.Bare], tags[lab.HAProxy])
			return nil
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove them instead, those of earlier versions too")
	return cmd
}

func (p *program) print(use, short string, path func(*lab.Lab) string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := lab.Open(p.stateDir, p.name)
			if err != nil {
				return err
			}
			fmt.Fprintln(p.out, path(l))
			return nil
		},
	}
}

func (p *program) cut() *cobra.Command {
	var from []string
	cmd := &cobra.Command{
		Use:   "cut HOST... [--from PEER,...]",
		Short: "Take hosts off the network, or off some of their peers, until heal",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hosts, err := p.hosts(args)
			if err != nil {
				return err
			}
			peers, err := p.hosts(from)
			if err != nil {
				return err
			}
			return forEach(cmd.Context(), hosts, func(h *lab.Host, ctx context.Context) error { return h.Cut(ctx, peers...) })
		},
	}
	cmd.Flags().StringSliceVar(&from, "from", nil, "cut only the traffic with these hosts")
	return cmd
}

func (p *program) verb(name, short string, act func(*lab.Host, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:   name + " HOST...",
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hosts, err := p.hosts(args)
			if err != nil {
				return err
			}
			return forEach(cmd.Context(), hosts, act)
		},
	}
}

func forEach(ctx context.Context, hosts []*lab.Host, act func(*lab.Host, context.Context) error) error {
	var errs []error
	for _, h := range hosts {
		errs = append(errs, act(h, ctx))
	}
	return errors.Join(errs...)
}

// hosts finds hosts of the lab by their names.
func (p *program) hosts(names []string) ([]*lab.Host, error) {
	l, err := lab.Open(p.stateDir, p.name)
	if err != nil {
		return nil, err
	}
	var hosts []*lab.Host
	var errs []error
	for _, name := range names {
		h, err := l.Host(name)
		hosts, errs = append(hosts, h), append(errs, err)
	}
	return hosts, errors.Join(errs...)
}
