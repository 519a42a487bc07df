package controlplane

import (
	"context"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/k0s"
)

// statusTimeout bounds how long k0s may take to say how it is. The first one who asks a controller that runs a kubelet waits a
// second, and, where that kubelet does not come up, five minutes (k0s v1.36.3, pkg/component/status).
const statusTimeout = 10 * time.Second

// askStatus asks k0s how it is, without waiting for the answer.
func (m *machine) askStatus(ctx context.Context) {
	m.asked = make(chan struct{})
	go func() {
		defer close(m.asked)
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		// k0s may be between two starts: then it does not answer, and is started or awaited like one that is stopped.
		m.answer, _ = m.node.Status(ctx)
	}()
}

// status is what k0s said of itself, which is awaited; nil when it does not run.
func (m *machine) status() *k0s.Status {
	if m.asked != nil {
		<-m.asked
	}
	return m.answer
}

// learn takes a newer answer.
func (m *machine) learn(status *k0s.Status) {
	_ = m.status() // else the former could come after it
	m.answer = status
}
