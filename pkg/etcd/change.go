package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrUnsafe says that etcd itself refused a change for the cluster's safety, by what it alone knows.
var ErrUnsafe = errors.New("etcd refuses")

func judged(err error) error {
	for _, refusal := range []error{rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrMemberNotEnoughStarted, rpctypes.ErrUnhealthy} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
	}
	return err
}

// Remove removes a member; ask a member that remains. One that is gone already is no error. Whether the cluster bears it
// is for CanRemove to say.
func (c *Client) Remove(ctx context.Context, member Member) error {
	_, err := c.api.MemberRemove(ctx, member.ID)
	if err != nil && !errors.Is(err, rpctypes.ErrMemberNotFound) {
		return fmt.Errorf("removing etcd member %s: %w", member, judged(err))
	}
	return nil
}

// Promote makes a learner a voter; any member can be asked. etcd refuses while the learner is not in step with the leader
// (ErrUnsafe).
func (c *Client) Promote(ctx context.Context, member Member) error {
	if _, err := c.api.MemberPromote(ctx, member.ID); err != nil {
		return fmt.Errorf("promoting etcd member %s: %w", member, judged(err))
	}
	return nil
}

// MoveLeader hands the leadership to a member, and returns when it has it. Only the leader can: this is its client.
func (c *Client) MoveLeader(ctx context.Context, to Member) error {
	if _, err := c.api.MoveLeader(ctx, to.ID); err != nil {
		return fmt.Errorf("moving the leadership of etcd to %s: %w", to, err)
	}
	return nil
}

// Defragment gives the unused space of this member's database back. The member answers nothing meanwhile.
func (c *Client) Defragment(ctx context.Context) error {
	remote := etcdserverpb.NewMaintenanceClient(c.api.ActiveConnection())
	if _, err := remote.Defragment(ctx, &etcdserverpb.DefragmentRequest{}); err != nil {
		return fmt.Errorf("defragmenting etcd: %w", c.cause(err))
	}
	return nil
}

// Disarm ends an alarm. etcd raises it again when its cause is still there.
func (c *Client) Disarm(ctx context.Context, alarm Alarm) error {
	kind := clientv3.AlarmMember{MemberID: alarm.Member, Alarm: etcdserverpb.AlarmType(etcdserverpb.AlarmType_value[alarm.Type])}
	if _, err := c.api.AlarmDisarm(ctx, &kind); err != nil {
		return fmt.Errorf("disarming the etcd alarm %s: %w", alarm, err)
	}
	return nil
}
