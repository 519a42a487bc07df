// Command apiload asks a Kubernetes API at a steady rate until it is interrupted, and reports every request that
// failed. Its exit code is 1 when any did.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-ha/kubectl-ha/test/apiload"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "kubeconfig", "whose server is asked")
	duration := flag.Duration("for", 0, "how long; 0 until interrupted")
	cfg := apiload.Defaults(nil)
	flag.Float64Var(&cfg.NewConnections, "new", cfg.NewConnections, "requests a second on new connections")
	flag.Float64Var(&cfg.FarConnections, "far", cfg.FarConnections, "requests a second on new connections of clients far away")
	flag.IntVar(&cfg.Clients, "clients", cfg.Clients, "clients that keep their HTTP/2 connection")
	flag.Float64Var(&cfg.ClientRate, "client-rate", cfg.ClientRate, "requests a second of each of them")
	flag.IntVar(&cfg.Watches, "watches", cfg.Watches, "watches open at any time")
	flag.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "after which a request has failed")
	flag.Parse()
	report, err := run(*kubeconfig, *duration, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println(report)
	if len(report.Failures) > 0 {
		os.Exit(1)
	}
}

func run(kubeconfig string, duration time.Duration, cfg apiload.Config) (report apiload.Report, err error) {
	cfg.API, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return report, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, duration)
		defer cancel()
	}
	load, err := apiload.Start(ctx, cfg)
	if err != nil {
		return report, err
	}
	<-ctx.Done()
	return load.Stop(), nil
}
