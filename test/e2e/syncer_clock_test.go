//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-ha/kubectl-ha/pkg/kube"
	"github.com/kubectl-ha/kubectl-ha/syncer"
)

// clockJumps lets the leader's clock jump while a replica whose clock is right looks on. By one that is far off, certificates
// are not valid: it lets nobody in, and where it has to connect to the API anew, it leads no more.
func (r *syncerRig) clockJumps() {
	program := r.buildJumping()
	jumping := r.whole.startProgram(program, r.folder, "jumping", r.balancersFlag())
	r.running.stop()
	r.running = jumping
	r.awaitSynced()
	r.awaitWell()
	beside := r.start("beside")
	jump := func(by time.Duration) {
		r.t.Helper()
		r.must(os.WriteFile(program+".jump", []byte(by.String()), 0o600))
		said := len(jumping.said.String())
		r.must(syscall.Kill(jumping.pid, syscall.SIGUSR1))
		r.eventually("the clock has jumped", func(context.Context) error {
			if !strings.Contains(jumping.said.String()[said:], "the clock has jumped") {
				return errors.New("it has not")
			}
			return nil
		})
	}
	for _, c := range []struct {
		by    time.Duration
		valid bool
	}{{time.Hour, true}, {-24 * time.Hour, false}, {20 * 365 * 24 * time.Hour, false}} {
		jump(c.by)
		r.mark(true)
		r.t.Logf("%s: out after %s", c.by, r.awaitServer(loadBalancer, r.spare, "MAINT"))
		r.awaitServer(secondBalancer, r.spare, "MAINT")
		r.serves(loadBalancer)
		r.mark(false)
		if c.valid {
			if leader := r.leader(); leader != "jumping" {
				r.t.Errorf("%s leads by now", leader)
			}
			r.t.Logf("%s: in after %s", c.by, r.awaitServer(loadBalancer, r.spare, "UP"))
		} else {
			r.eventually("it says why it lets nobody in, or leads no more", func(ctx context.Context) error {
				if r.leader() != "jumping" {
					return nil
				}
				status, err := r.status(ctx, loadBalancer)
				const why = " gets no connections yet, its API server is not ready: its certificate is not valid by this host's clock"
				if err == nil && (status.Result != kube.SyncerSuccess || !strings.Contains(status.Message, r.spare+why)) {
					err = fmt.Errorf("it says %s: %s", status.Result, status.Message)
				}
				return err
			})
			r.t.Logf("%s: %s leads", c.by, r.leader())
			r.serves(secondBalancer)
		}
		jump(0)
		r.awaitServer(loadBalancer, r.spare, "UP")
		r.awaitServer(secondBalancer, r.spare, "UP")
	}
	jumping.stop()
	r.running = beside
	r.awaitSynced()
}

// leader is the syncer that leads by the Lease.
func (r *syncerRig) leader() string {
	r.t.Helper()
	lease, err := r.api().Client.CoordinationV1().Leases(kube.SyncerNamespace).Get(r.t.Context(), syncer.LeaderLease, metav1.GetOptions{})
	r.must(err)
	return *lease.Spec.HolderIdentity
}

// awaitSynced waits until the present syncer, and no longer the one before it, has seen both load balancers right.
func (r *syncerRig) awaitSynced() {
	r.t.Helper()
	r.eventually("it leads and has synced", func(ctx context.Context) error {
		synced, err := r.samples(ctx, r.running, "ha_syncer_syncs_total", fmt.Sprintf("result=%q", kube.SyncerSuccess))
		if err == nil && len(synced) != 2 {
			err = fmt.Errorf("it has synced %d load balancers", len(synced))
		}
		return err
	})
}

// buildJumping builds the syncer with a clock that the test sets, in place of the kernel's: a stand-in for the clock of a
// host, which hosts in containers have none of their own of. All else is the product's own code.
func (r *syncerRig) buildJumping() string {
	r.t.Helper()
	replaced := map[string]string{}
	for _, file := range []string{"jump.go", "jump_amd64.s", "jump_arm64.s"} {
		replaced[absolute(r.t, "../../cmd/ha-syncer/"+file)] = absolute(r.t, "testdata/clock/"+file+".txt")
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	r.must(err)
	folder := r.t.TempDir()
	file, program := filepath.Join(folder, "overlay.json"), filepath.Join(folder, "ha-syncer")
	r.must(os.WriteFile(file, overlay, 0o600))
	build := exec.Command("go", "build", "-trimpath", "-overlay", file, "-ldflags", "-checklinkname=0", "-o", program, "../../cmd/ha-syncer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the product is built
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	return program
}
