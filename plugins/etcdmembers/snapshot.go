package etcdmembers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-ha/kubectl-ha/pkg/etcd"
)

func newSnapshot(o *Options) *cobra.Command {
	return o.changes(&cobra.Command{
		Use:   "snapshot FILE",
		Short: "Copy etcd's database to a file on this machine",
		Long: `Copy etcd's database to a file on this machine, readable by you alone: it holds every Secret of the cluster.

The copy is streamed from the voter that has applied most, a follower rather than the leader, and its checksum is
verified. FILE appears when the copy is complete. It is of the form that "etcdutl snapshot restore" takes.`,
		Args: arguments(1, 1, "name one file to write"),
		RunE: o.run(func(command *cobra.Command, args []string) error { return o.snapshot(command.Context(), args[0]) }),
	})
}

func (o *Options) snapshot(ctx context.Context, path string) error {
	verb := "write"
	if _, err := os.Stat(path); err == nil && o.DryRun == "client" {
		verb = "overwrite"
	} else if err == nil {
		if err := o.confirmer().Confirm(ctx, "Overwrite "+path+"?", "name another file, or use --yes"); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	f, p, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	source, err := etcd.SnapshotSource(p.state)
	if err != nil {
		return fmt.Errorf("taking a snapshot of etcd: %w", err)
	}
	if o.DryRun == "client" {
		o.printPlan(fmt.Sprintf("%s %s with the database of %s (%s), readable by you alone", verb, path, source,
			sizeText(p.state.Views[source.ID].Status.DBSize)))
		return nil
	}
	taken, err := etcd.SaveSnapshot(ctx, p.through(source), path)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	fmt.Fprintf(o.Out, "%s: %s from %s, etcd %s; its SHA-256 is verified: %x\n", path, sizeText(taken.Size), source,
		p.state.Views[source.ID].Status.Version, taken.SHA256)
	return nil
}
