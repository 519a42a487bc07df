//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/kubectl-ha/kubectl-ha/test/lab/k0sbin"
)

// The k0s that all tests install; settled once, before they start.
var (
	k0sExecutable string
	k0sKind       k0sbin.Kind
	siteNumber    atomic.Int32
)

func TestMain(m *testing.M) {
	var err error
	k0sExecutable, k0sKind, err = k0sbin.Resolve(context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.Unsetenv("SSH_AUTH_SOCK"); err != nil { // the keys of whoever runs the tests are none of the lab's
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "k0s under test: %s (%s)\n", k0sExecutable, k0sKind)
	os.Exit(m.Run())
}
