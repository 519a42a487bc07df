package etcdmembers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/report"
)

// Run shows the members, once or again and again. Its error says that the cluster is not healthy, or cannot be seen.
func (o *Options) Run(ctx context.Context) error {
	if !o.SSH {
		return o.runWithoutSSH(ctx)
	}
	f, err := newFleet(o, o.world)
	if err != nil {
		return err
	}
	defer f.close()
	if o.Watch {
		return o.watch(ctx, func(ctx context.Context, patience time.Duration) (memberList, error) {
			return o.see(ctx, f, patience)
		})
	}
	screen := report.NewScreen(o.Out)
	if screen.Replaces() && (o.Output == "table" || o.Output == "wide") {
		o.preview(ctx, f, screen)
	}
	l, err := o.see(ctx, f, 0)
	if err != nil {
		return err
	}
	screen.Clear()
	return errors.Join(o.show(l), o.verdict(l))
}

// previewAfter is how long members have to answer before those that have are shown to who sits at a terminal.
const previewAfter = time.Second

// preview shows who has answered while others have not yet, and while the user is not being asked anything.
func (o *Options) preview(ctx context.Context, f *fleet, screen *report.Screen) {
	l, err := o.see(ctx, f, previewAfter)
	if err != nil || !f.pending() || o.asking.Load() > 0 {
		return
	}
	var text strings.Builder
	l.printTable(&text, o.Output == "wide", report.NewPainter(o.Out))
	fmt.Fprintf(&text, "\nWaiting for the others, %s at most.\n", o.Timeout)
	screen.Show(text.String())
}

// see looks at the cluster. Where no member can be reached, what the objects say is shown in their place.
func (o *Options) see(ctx context.Context, f *fleet, patience time.Duration) (memberList, error) {
	p := f.look(ctx, patience)
	if ctx.Err() != nil {
		return memberList{}, ctx.Err()
	}
	if len(p.state.Members) > 0 {
		return listOf(p), nil
	}
	unseen := errors.Join(p.failures...)
	switch {
	case p.objectsErr != nil && unseen != nil:
		return memberList{}, fmt.Errorf("no member of etcd could be reached:\n%w", unseen)
	case p.objectsErr != nil:
		return memberList{}, fmt.Errorf("finding the members: %w: name the hosts with -f cluster.yaml", p.objectsErr)
	case unseen == nil:
		return memberList{}, errors.New("finding the members: the cluster has no EtcdMember objects (k0s makes them since v1.31): " +
			"name the hosts with -f cluster.yaml")
	}
	l := listOfObjects(p.objects)
	l.Warning = "no member could be reached by SSH; this is what EtcdMember objects say, which know nothing of health:\n  " +
		indented(unseen.Error())
	return l, nil
}

func (o *Options) runWithoutSSH(ctx context.Context) error {
	by, err := o.world.kube()
	if err != nil {
		return err
	}
	see := func(ctx context.Context, _ time.Duration) (memberList, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %s", o.Timeout))
		defer cancel()
		objects, err := by.EtcdMembers(ctx)
		if err != nil {
			return memberList{}, err
		}
		l := listOfObjects(objects)
		l.Warning = "without SSH this is what EtcdMember objects say, which know nothing of health or leadership"
		return l, nil
	}
	if o.Watch {
		return o.watch(ctx, see)
	}
	l, err := see(ctx, 0)
	if err != nil {
		return err
	}
	return o.show(l)
}

func (o *Options) show(l memberList) error {
	if l.Warning != "" {
		fmt.Fprintf(o.ErrOut, "warning: %s\n", l.Warning)
	}
	return l.print(o.Out, o.Output, report.NewPainter(o.Out))
}

// verdict is the error of a list that does not show a healthy cluster.
func (o *Options) verdict(l memberList) error {
	switch {
	case l.Healthy == nil:
		return errors.New("whether etcd is healthy is not known: no member could be reached")
	case *l.Healthy:
		return nil
	case o.Output == "name":
		return fmt.Errorf("etcd is not healthy: %s", strings.Join(l.Problems, "; "))
	}
	return fmt.Errorf("etcd is not healthy (problems: %d)", len(l.Problems))
}

// watch shows the members again and again until it is interrupted, which is its ordinary end.
func (o *Options) watch(ctx context.Context, see func(context.Context, time.Duration) (memberList, error)) error {
	screen, paint := report.NewScreen(o.Out), report.NewPainter(o.Out)
	board := dashboard{title: o.title(), wide: o.Output == "wide", paint: paint}
	ticker := time.NewTicker(o.Interval)
	defer ticker.Stop()
	patience := time.Duration(0) // the first look may ask the user about host keys
	for {
		l, err := see(ctx, patience)
		if ctx.Err() != nil {
			return nil
		}
		var text strings.Builder
		switch {
		case err != nil:
			fmt.Fprintf(&text, "%s %s\n", paint.Bad("error:"), indented(err.Error()))
		case screen.Replaces() && (o.Output == "table" || o.Output == "wide"):
			board.draw(&text, l, time.Now())
		default:
			if err := l.print(&text, o.Output, paint); err != nil {
				return err
			}
		}
		if l.Warning != "" {
			fmt.Fprintf(&text, "%s %s\n", paint.Doubtful("warning:"), l.Warning)
		}
		screen.Show(text.String())
		patience = o.Interval
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// title says which cluster's etcd is watched.
func (o *Options) title() string {
	name := ""
	if o.file != nil {
		name = o.file.Cluster.Name
	} else if raw, err := o.Kube.ToRawKubeConfigLoader().RawConfig(); err == nil {
		name = cmp.Or(*o.Kube.Context, raw.CurrentContext)
	}
	return strings.TrimSuffix("etcd of "+report.Printable(name), " of ")
}
