//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
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

// clockJumps lets the leader's clock jump while a replica whose clock is right looks on.
func (r *syncerRig) clockJumps() {
	program := r.buildJumping()
	jumping := r.whole.startProgram(program, r.folder, "jumping", r.balancersFlag())
	r.running.stop()
	r.running = jumping
	r.awaitWell()
	beside := r.start("beside")
	for _, by := range []time.Duration{2 * time.Hour, -2 * time.Hour, 5 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour, 0} {
		r.must(os.WriteFile(program+".jump", []byte(by.String()), 0o600))
		said := len(jumping.said.String())
		r.must(syscall.Kill(jumping.pid, syscall.SIGUSR1))
		r.eventually("the clock has jumped", func(context.Context) error {
			if !strings.Contains(jumping.said.String()[said:], "the clock has jumped") {
				return errors.New("it has not")
			}
			return nil
		})
		r.mark(true)
		r.t.Logf("%s: out after %s", by, r.awaitServer(loadBalancer, r.spare, "MAINT"))
		r.awaitServer(secondBalancer, r.spare, "MAINT")
		r.mark(false)
		r.t.Logf("%s: in after %s", by, r.awaitServer(loadBalancer, r.spare, "UP"))
		r.awaitServer(secondBalancer, r.spare, "UP")
	}
	lease, err := r.api().Client.CoordinationV1().Leases(kube.SyncerNamespace).Get(r.t.Context(), syncer.LeaderLease, metav1.GetOptions{})
	r.must(err)
	if holder := *lease.Spec.HolderIdentity; holder != "jumping" {
		r.t.Errorf("%s leads by now", holder)
	}
	jumping.stop()
	r.running = beside
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
