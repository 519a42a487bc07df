package haproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ChangedError says that somebody else wrote the file since it was read.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s was changed meanwhile by somebody else and was left alone: run the command again", e.Path)
}

// applyAttempts bounds how often Apply starts anew because HAProxy was restarted under it.
const applyAttempts = 3

// Apply does what the plan says, alone on that HAProxy, and then looks whether file and process are as desired. It
// looks at the process again before it starts, and again whenever HAProxy turns out to have been restarted, and plans
// anew what is to be done at run time. A file that changed since the plan was made is a ChangedError.
//
// Servers that do not pass their health check get no connections and are reported as NotCheckedError, after all else
// is done that can be done without them.
func (b *Balancer) Apply(ctx context.Context, plan *Plan) error {
	if plan.Empty() {
		return nil
	}
	return b.locked(ctx, func() error {
		cur, err := b.Current(ctx)
		if err != nil {
			return err
		}
		hash := plan.cur.Hash
		for attempt := 1; ; attempt++ {
			if cur.Hash != hash {
				return &ChangedError{Path: cur.Path}
			}
			todo, err := MakePlan(cur, plan.want)
			if err != nil {
				return err
			}
			r := b.newRun(cur, todo)
			runErr := r.run(ctx)
			hash = r.hash
			restarted := errors.Is(runErr, errRestarted)
			if runErr != nil && !restarted {
				return runErr
			}
			if restarted {
				if err := b.awaitBack(ctx); err != nil {
					return err
				}
			}
			if cur, err = b.Current(ctx); err != nil {
				return err
			}
			rest, err := MakePlan(cur, plan.want)
			switch {
			case err != nil:
				return err
			case rest.Empty():
				return nil
			case len(r.unchecked) > 0 && !restarted:
				return errors.Join(r.unchecked...)
			case attempt == applyAttempts:
				return errors.Join(runErr, fmt.Errorf("HAProxy is not as desired after %d attempts, there remains: %s",
					attempt, strings.Join(rest.Lines(), "; ")))
			}
		}
	})
}

// awaitBack gives a HAProxy that is being restarted the time to answer again. When it does not, Current says why.
func (b *Balancer) awaitBack(ctx context.Context) error {
	err := b.poll(ctx, time.Now().Add(b.options.ReloadTimeout), func() (bool, error) {
		_, err := b.runtime(ctx)
		return err == nil, ctx.Err()
	})
	if errors.Is(err, errTimeout) {
		return nil
	}
	return err
}

// run is one passage through a plan's actions.
type run struct {
	session
	plan *Plan
	// file is the content of the file as it is, and hash is its hash; before is what a failed reload goes back to.
	file, before []byte
	hash         [sha256.Size]byte
	unchecked    []error
	skipped      map[netip.Addr]bool
	checkedBy    time.Time
}

func (b *Balancer) newRun(cur *Current, plan *Plan) *run {
	r := &run{
		session: session{Balancer: b}, plan: plan,
		file: cur.Config, before: cur.Config, hash: cur.Hash,
		skipped: map[netip.Addr]bool{},
	}
	if cur.Runtime != nil {
		r.pid = cur.Runtime.PID
	}
	if cur.Unconfirmed {
		r.before = cur.before
	}
	return r
}

func (r *run) run(ctx context.Context) error {
	for _, action := range r.plan.Actions {
		if err := ctx.Err(); err != nil {
			return err
		}
		if action.Kind == ActReady && r.skipped[action.Server.Address] {
			continue
		}
		r.options.Observe(action)
		if err := r.do(ctx, action); err != nil {
			return fmt.Errorf("%s: %w", action, err)
		}
	}
	return nil
}

func (r *run) do(ctx context.Context, a Action) error {
	port := func(line Line) int { return line.Port }
	switch a.Kind {
	case ActBackup:
		_, err := r.Backup(ctx)
		return err
	case ActWrite:
		return r.write(ctx, a)
	case ActReload, ActStart:
		return r.reload(ctx, a.Kind)
	case ActAddress:
		return r.setAddress(ctx, a.Lines, a.Server.Address, port)
	case ActFree:
		return r.setAddress(ctx, a.Lines, spareAddress(), func(Line) int { return SparePort })
	case ActCheck:
		return r.startChecks(ctx, a.Lines)
	case ActWait:
		if r.checkedBy.IsZero() {
			r.checkedBy = time.Now().Add(r.options.CheckTimeout)
		}
		err := r.awaitChecked(ctx, a.Server, a.Lines, r.checkedBy)
		if unchecked := (*NotCheckedError)(nil); errors.As(err, &unchecked) {
			r.unchecked = append(r.unchecked, unchecked)
			r.skipped[a.Server.Address] = true
			return nil
		}
		return err
	case ActReady:
		return r.setState(ctx, a.Lines, Ready)
	case ActDrain, ActMaint:
		if err := r.guardLast(ctx, a.Server, a.Lines); err != nil {
			return errors.Join(append(r.unchecked, err)...)
		}
		return r.setState(ctx, a.Lines, map[ActionKind]AdminState{ActDrain: Drain, ActMaint: Maint}[a.Kind])
	}
	return fmt.Errorf("unknown action %q", a.Kind)
}

// write puts the action's slots into the file. Servers that did not pass their check stay as the file has them, or
// come in disabled.
func (r *run) write(ctx context.Context, a Action) error {
	slots := slices.Clone(a.Slots)
	for i, slot := range slots {
		if r.skipped[slot.Address] {
			slots[i].Enabled = slices.ContainsFunc(r.plan.cur.Slots, func(s Slot) bool {
				return s.Address == slot.Address && s.Enabled
			})
		}
	}
	content, err := r.plan.render(r.file, slots)
	if err != nil {
		return err
	}
	if err := r.replaceFile(ctx, content, a.BeforeReload); err != nil {
		return err
	}
	if !a.BeforeReload && !r.plan.cur.Unconfirmed {
		r.before = content
	}
	return nil
}
