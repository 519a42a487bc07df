package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
)

// Where the syncer is installed, a command works beside it: it tells what the syncer reports, and gives HAProxy back to it
// once that goes on from where the command has ended. None of this keeps a command from its work.

// How long a command waits for the syncer, and for the API's objects once its own work is done.
const (
	syncerTimeout  = 5 * time.Second
	objectsTimeout = 15 * time.Second
)

// lookAtSyncer warns of load balancers that the syncer does not keep right.
func (c *Cluster) lookAtSyncer(ctx context.Context) {
	if c.api == nil {
		return // there is no cluster yet
	}
	ctx, cancel := context.WithTimeout(ctx, syncerTimeout)
	defer cancel()
	statuses, err := c.api.kube.SyncerStatuses(ctx)
	if err != nil {
		c.report.Warn(fmt.Sprintf("what the syncer reports is not known: %v", err))
	}
	c.synced = len(statuses) > 0
	for _, text := range troublesOf(statuses) {
		c.report.Warn(text)
	}
}

// troublesOf says what the syncer reports besides success.
func troublesOf(statuses []kube.SyncerStatus) []string {
	var texts []string
	for _, s := range statuses {
		if s.Result != kube.SyncerSuccess && s.Result != kube.SyncerPostponed {
			texts = append(texts, fmt.Sprintf("the syncer reports of the load balancer %s since %s: %s: %s",
				s.LoadBalancer, s.Since.Local().Format(time.DateTime), s.Result, s.Message))
		}
	}
	return texts
}

// awaitObjects waits until an object tells of every controller: the syncer knows of those alone, and would take others out
// of HAProxy again.
func (c *Cluster) awaitObjects(ctx context.Context) {
	if !c.synced {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, objectsTimeout)
	defer cancel()
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) error {
		known, err := c.objects(ctx)
		if err != nil {
			return err
		}
		var errs []error
		for _, m := range c.controllers {
			if !slices.ContainsFunc(known, identityOf(m).related) {
				errs = append(errs, fmt.Errorf("no Node, ControlNode or EtcdMember tells of %s yet", m.name()))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		c.report.Warn(fmt.Sprintf("the syncer takes controllers out of HAProxy that the cluster's objects do not tell of: %v", err))
	}
}

// awaitSyncer waits until the syncer has taken over again, and warns of what it does not keep right.
func (c *Cluster) awaitSyncer(ctx context.Context) {
	if !c.synced {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, syncerTimeout)
	defer cancel()
	var statuses []kube.SyncerStatus
	err := kube.Wait(ctx, pollInterval, func(ctx context.Context) (err error) {
		if statuses, err = c.api.kube.SyncerStatuses(ctx); err != nil {
			return err
		}
		for _, s := range statuses {
			if s.Result == kube.SyncerPostponed {
				return fmt.Errorf("it still leaves the load balancer %s to this command", s.LoadBalancer)
			}
		}
		return nil
	})
	if err != nil {
		c.report.Warn(fmt.Sprintf("the syncer has not taken over yet: %v: see `kubectl -n %s get pods`", err, kube.SyncerNamespace))
	}
	for _, text := range troublesOf(statuses) {
		c.report.Warn(text)
	}
}
