package etcd

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Status is what one member says of itself.
type Status struct {
	ID      uint64 // the member's own
	Cluster uint64 // ID of the cluster that it belongs to
	Leader  uint64 // member ID; 0 when the member knows none
	Learner bool
	Version string
	DBSize  int64 // bytes of the database file
	DBInUse int64 // bytes of it that hold data: defragmenting gives the others back
	DBQuota int64 // bytes at which etcd raises NOSPACE; 0 when the member does not say (before v3.6)
	Term    uint64
	Index   uint64 // of the last entry that the member knows to be committed
	Applied uint64 // of the last entry that it has applied
	Alarms  []Alarm
	Errors  []string // what it complains of besides alarms
}

// Alarm is raised for one member and known to all of them.
type Alarm struct {
	Member uint64
	Type   string // NoSpace, Corrupt
}

// Types of alarms.
const (
	NoSpace = "NOSPACE"
	Corrupt = "CORRUPT"
)

func (a Alarm) String() string { return fmt.Sprintf("%s on %x", a.Type, a.Member) }

// Status asks the member for its own state; it needs no quorum. It uses the connection that is open, where the etcd
// client's own Status opens another.
func (c *Client) Status(ctx context.Context) (Status, error) {
	response, err := etcdserverpb.NewMaintenanceClient(c.api.ActiveConnection()).Status(ctx, &etcdserverpb.StatusRequest{})
	if err != nil {
		return Status{}, fmt.Errorf("asking etcd for its status: %w", c.cause(err))
	}
	status := Status{
		ID:      response.Header.GetMemberId(),
		Cluster: response.Header.GetClusterId(),
		Leader:  response.Leader,
		Learner: response.IsLearner,
		Version: response.Version,
		DBSize:  response.DbSize,
		DBInUse: response.DbSizeInUse,
		DBQuota: response.DbSizeQuota,
		Term:    response.RaftTerm,
		Index:   response.RaftIndex,
		Applied: response.RaftAppliedIndex,
	}
	status.Alarms, status.Errors = alarmsAmong(response.Errors)
	return status, nil
}

var alarmText = regexp.MustCompile(`^memberID:(\d+) alarm:(\w+)\s*$`)

// alarmsAmong takes the alarms out of the errors of a status, where etcd writes them as texts (v3.6.14, api/v3rpc,
// maintenance.go). Listing them by their own request would go through consensus: it writes, and it needs a quorum.
// A text of another form stays an error.
func alarmsAmong(texts []string) (alarms []Alarm, others []string) {
	for _, text := range texts {
		if match := alarmText.FindStringSubmatch(text); match != nil {
			if id, err := strconv.ParseUint(match[1], 10, 64); err == nil {
				alarms = append(alarms, Alarm{Member: id, Type: match[2]})
				continue
			}
		}
		others = append(others, text)
	}
	return alarms, others
}
