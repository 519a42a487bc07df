//go:build linux

// Package lbhelper is all that the syncer's key may do on an HAProxy host: to say which controllers shall be in the
// managed block, within a policy that is root's, and to bring a later client certificate for the health checks. It takes
// HAProxy's lock, writes its file and speaks its runtime API locally, by the code of package haproxy that the plugins use
// from afar.
package lbhelper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-ha/kubectl-ha/pkg/haproxy"
	"github.com/kubectl-ha/kubectl-ha/pkg/lbhelper/wire"
)

// Config of a Server; the zero value has sensible defaults.
type Config struct {
	// Version is what the helper says of itself.
	Version string
	// Caller is who is on the other end, for the lock file and the log.
	Caller string
	// Log, when not nil, is told what was changed or refused.
	Log func(line string)
	// Idle is how long a session without a request is kept.
	Idle time.Duration
	// StateTimeout and ApplyTimeout bound a request, LockWait how long somebody else's lock is waited for.
	StateTimeout, ApplyTimeout, LockWait time.Duration
	// OperationLock is the lock of a command that changes the control plane.
	OperationLock string
	// HAProxy holds paths and times of the balancer.
	HAProxy haproxy.Options
}

// Server answers one session.
type Server struct {
	policy    *Policy
	config    Config
	machine   haproxy.Machine
	service   haproxy.Service
	operation *machine // who does not wait for a lock
	balancer  *haproxy.Balancer
	actions   []string
	greeted   bool
}

// New makes a Server for the HAProxy of this host.
func New(policy *Policy, config Config) *Server {
	config = config.withDefaults()
	local := &machine{holder: config.holder(), lockWait: config.LockWait}
	return newServer(policy, config, local, service{local})
}

func (c Config) withDefaults() Config {
	set := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.Idle, 5*time.Minute)
	set(&c.StateTimeout, 15*time.Second)
	set(&c.ApplyTimeout, time.Minute)
	set(&c.LockWait, 5*time.Second)
	// A look at the local socket costs little, and what is waited for is a health check that comes within a second. The
	// caller asked the server itself whether it is ready: one whose check fails for longer has another trouble, and must not
	// hold up other changes. HAProxy goes on checking it, and lets it in when the caller asks again.
	set(&c.HAProxy.Interval, 10*time.Millisecond)
	set(&c.HAProxy.CheckTimeout, 2*time.Second)
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.Caller == "" {
		c.Caller = "an unknown caller"
	}
	if c.OperationLock == "" {
		c.OperationLock = haproxy.OperationLock
	}
	return c
}

// holder is who is named in a lock file.
func (c Config) holder() string { return "ha-lb-helper for " + c.Caller }

func newServer(policy *Policy, config Config, local haproxy.Machine, service haproxy.Service) *Server {
	s := &Server{policy: policy, config: config, machine: local, service: service, operation: &machine{holder: config.holder()}}
	options := config.HAProxy
	options.Observe = func(a haproxy.Action) { s.actions = append(s.actions, a.String()) }
	s.balancer = haproxy.NewBalancer(local, service, policy.Spec(), options)
	return s
}

// errGone says that the caller has ended the session: what it asked for is cut off, and the next session completes it.
var errGone = errors.New("the caller is gone")

// Serve answers requests, one after another, until the caller ends the session or says nothing for long.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines, ended := s.read(ctx, cancel, in)
	for {
		idle := time.NewTimer(s.config.Idle)
		select {
		case line := <-lines:
			idle.Stop()
			if err := wire.Write(out, s.answer(ctx, line)); err != nil {
				return fmt.Errorf("answering: %w", err)
			}
			continue
		case err := <-ended:
			idle.Stop()
			return s.end(out, err)
		case <-ctx.Done():
			idle.Stop()
			return unlessGone(context.Cause(ctx))
		case <-idle.C:
			return nil
		}
	}
}

// read reads ahead by one line, so that the end of the session shows while a request is worked on.
func (s *Server) read(ctx context.Context, gone context.CancelCauseFunc, in io.Reader) (<-chan []byte, <-chan error) {
	lines, ended := make(chan []byte), make(chan error, 1)
	go func() {
		reader := wire.NewLineReader(in, wire.MaxRequest)
		for {
			line, err := reader.Next()
			if errors.Is(err, wire.ErrTooLong) {
				ended <- err
				return
			}
			if err != nil {
				gone(errGone)
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines, ended
}

// end tells the caller why the session is over.
func (s *Server) end(out io.Writer, err error) error {
	refusal := &wire.Error{Kind: wire.Malformed, Message: fmt.Sprintf("%v: at most %d bytes", err, wire.MaxRequest)}
	return errors.Join(err, wire.Write(out, &wire.Response{Error: refusal}))
}

func unlessGone(err error) error {
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// answer carries out one request.
func (s *Server) answer(ctx context.Context, line []byte) *wire.Response {
	request, err := wire.DecodeRequest(line)
	if err != nil {
		s.config.Log("malformed request: " + err.Error())
		return &wire.Response{ID: idOf(line), Error: &wire.Error{Kind: wire.Malformed, Message: err.Error()}}
	}
	response := &wire.Response{ID: request.ID}
	switch {
	case request.Hello != nil:
		response.Hello, err = s.welcome(request.Hello)
	case !s.greeted:
		err = &wire.Error{Kind: wire.Malformed, Message: "the first request of a session is hello"}
	case request.State != nil:
		ctx, cancel := context.WithTimeout(ctx, s.config.StateTimeout)
		defer cancel()
		response.State, err = s.state(ctx)
	default:
		err = s.change(ctx, request, response)
	}
	if err != nil {
		response.Error = asError(err)
	}
	return response
}

// idOf is the ID of a request that is otherwise wrong, if it has one.
func idOf(line []byte) uint64 {
	var request struct {
		ID uint64 `json:"id"`
	}
	if json.Unmarshal(line, &request) != nil {
		return 0
	}
	return request.ID
}

func (s *Server) welcome(hello *wire.Hello) (*wire.Welcome, error) {
	if hello.Protocol != wire.Protocol {
		return nil, &wire.Error{Kind: wire.Malformed, Message: fmt.Sprintf(
			"this helper (%s) speaks protocol %d, not %d: run kubectl ha-init to bring helper and syncer to the same version",
			s.config.Version, wire.Protocol, hello.Protocol)}
	}
	s.greeted = true
	welcome := &wire.Welcome{
		Protocol: wire.Protocol, Version: s.config.Version, LoadBalancer: s.policy.Name,
		MaxServers: s.policy.MaxServers, MaxRemovalPercent: s.policy.MaxRemovalPercent, Networks: s.policy.Networks,
	}
	for _, b := range s.policy.Spec().Backends() {
		welcome.Backends = append(welcome.Backends, wire.Backend(b))
	}
	return welcome, nil
}

func (s *Server) state(ctx context.Context) (*wire.Report, error) {
	current, err := s.balancer.Current(ctx)
	if err != nil {
		return nil, err
	}
	return s.report(ctx, current), nil
}

// change does what a request asks to be changed. A command that changes the control plane has HAProxy to itself: what was
// asked for before it began is not what it is to be like after that, so nobody waits for its end here.
func (s *Server) change(ctx context.Context, request *wire.Request, response *wire.Response) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.ApplyTimeout)
	defer cancel()
	unlock, err := s.operation.Lock(ctx, s.config.OperationLock)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the end of this process releases it, too
	if request.Renew != nil {
		response.Renewed, err = s.renew(ctx, request.Renew)
	} else {
		response.Applied, err = s.apply(ctx, request.Apply)
	}
	return err
}

// apply is the algorithm: look, judge, plan, and do what the plan says.
func (s *Server) apply(ctx context.Context, request *wire.Apply) (*wire.Applied, error) {
	servers := make([]haproxy.Server, len(request.Servers))
	for i, server := range request.Servers {
		servers[i] = haproxy.Server(server)
	}
	current, err := s.balancer.Current(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.policy.judge(current, servers); err != nil {
		return nil, s.refuse(err)
	}
	plan, err := haproxy.MakePlan(current, haproxy.Desired{Servers: servers})
	if err != nil {
		return nil, s.refuse(err)
	}
	if plan.Empty() {
		if err := s.checkFile(ctx, current); err != nil {
			return nil, err
		}
		return &wire.Applied{Report: *s.report(ctx, current)}, nil
	}
	if !current.Running && !emptied(current) {
		return nil, &wire.Error{Kind: wire.Stopped, Message: "HAProxy does not run: start it with `systemctl start haproxy`"}
	}
	if plan.Actions[0].Kind != haproxy.ActWrite {
		// A file that is broken already would be found only when the new one is written, after changes at run time.
		if err := s.checkFile(ctx, current); err != nil {
			return nil, err
		}
	}
	s.actions = nil
	err = s.balancer.Apply(ctx, plan)
	for _, action := range s.actions {
		s.config.Log(action)
	}
	if invalid := (*haproxy.ValidationError)(nil); errors.As(err, &invalid) {
		// Its cause may be the user's part, which is the same in the file as it is.
		if err := s.checkFile(ctx, current); err != nil {
			return nil, err
		}
	}
	if err != nil {
		s.config.Log("failed: " + err.Error())
		return nil, err
	}
	if current, err = s.balancer.Current(ctx); err != nil {
		return nil, err
	}
	return &wire.Applied{Actions: plan.Lines(), Reloaded: plan.Reloads(), Report: *s.report(ctx, current)}, nil
}

// emptied tells whether HAProxy has a file without a word in it, as on a host that was rebuilt. Where it is not given a master
// socket, it does not start with that; and who wants it to be stopped has no reason to empty its file.
func emptied(current *haproxy.Current) bool {
	return current.Config != nil && len(bytes.TrimSpace(current.Config)) == 0
}

// checkFile sees, once for each content, that HAProxy would start with the file as it is, before anything is changed at run
// time and when nothing is to be changed: somebody may have broken it by hand, which shows at the next reload only.
func (s *Server) checkFile(ctx context.Context, current *haproxy.Current) error {
	if len(current.Config) == 0 || s.balancer.Validated(current.Config) {
		return nil
	}
	err := s.balancer.Validate(ctx, current.Config)
	if invalid := (*haproxy.ValidationError)(nil); errors.As(err, &invalid) {
		return s.refuse(fmt.Errorf("nothing was changed: HAProxy would not start with its file as it is, %s: %s",
			invalid.Path, invalid.Output))
	}
	return err
}

func (s *Server) refuse(err error) error {
	s.config.Log("refused: " + err.Error())
	return &wire.Error{Kind: wire.Refused, Message: err.Error()}
}

// asError tells the caller what kind of failure it is.
func asError(err error) *wire.Error {
	var (
		answer    *wire.Error
		last      *haproxy.LastServerError
		conflict  *haproxy.ConflictError
		invalid   *haproxy.ValidationError
		unchecked *haproxy.NotCheckedError
		locked    *lockedError
	)
	kind := wire.Failed
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &last), errors.As(err, &conflict), errors.As(err, &invalid), errors.Is(err, haproxy.ErrNoActiveServer):
		kind = wire.Refused
	case errors.As(err, &unchecked):
		kind = wire.Unchecked
	case errors.As(err, &locked):
		kind = wire.Busy
	}
	return &wire.Error{Kind: kind, Message: err.Error()}
}

// report says what HAProxy is like, of our block alone: what else is in the file is nobody's business.
func (s *Server) report(ctx context.Context, current *haproxy.Current) *wire.Report {
	r := &wire.Report{Managed: current.HasBlock, Running: current.Running, Certificate: s.certificate(ctx)}
	for _, slot := range current.Slots {
		r.Slots = append(r.Slots, wire.Slot{Name: slot.Name, Address: slot.Address, Enabled: slot.Enabled})
	}
	if current.Runtime == nil {
		return r
	}
	r.Process = &wire.Process{
		PID: current.Runtime.PID, Version: current.Runtime.Version, UptimeSeconds: int64(current.Runtime.Uptime.Seconds()),
	}
	for _, backend := range current.Spec.Backends() {
		for _, server := range current.Runtime.Backend(backend.Name) {
			r.Servers = append(r.Servers, wire.ServerState{
				Backend: server.Backend, Slot: server.Slot, Address: server.Address, Port: server.Port,
				Admin: string(server.Admin), Status: server.Status, Check: server.CheckText,
				Up: server.Up(), Unused: server.Unused(), Sessions: server.Sessions,
			})
		}
	}
	return r
}
