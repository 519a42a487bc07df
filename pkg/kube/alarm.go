package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrAlarm says that the API could not write something because of an alarm of etcd's.
var ErrAlarm = errors.New("etcd takes no writes while an alarm is raised: see `kubectl etcd-members alarms`")

// alarmed marks an error of the API by which etcd refuses to write (ErrAlarm), for whichever member the alarm is raised: with
// NOSPACE it refuses what would add a key or change one, with CORRUPT everything (etcd v3.6.14, server/etcdserver/apply).
func alarmed(err error) error {
	refusals := []string{"etcdserver: mvcc: database space exceeded", "etcdserver: corrupt cluster"}
	if err != nil && slices.ContainsFunc(refusals, func(text string) bool { return strings.Contains(err.Error(), text) }) {
		return fmt.Errorf("%w: %w", ErrAlarm, err)
	}
	return err
}
