package cli

import "time"

// LockPath is locked on controllers while a command changes the control plane.
const LockPath = "/run/lock/kubectl-ha.lock"

// LockTimeout is short: a lock that a command left behind when it was killed is free within moments, and what was seen
// of the hosts does not hold after a command that went on for long.
const LockTimeout = 7 * time.Second
