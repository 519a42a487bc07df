// Package host reaches one machine: it connects, runs commands as root, moves files, takes locks and dials from there.
//
// A connection is made by the built-in SSH client, by the ssh program, or is this machine itself. All of them verify
// the host first: an unknown host key is asked about or refused, a changed or revoked one is always refused, whatever
// ssh_config or the environment say. Only this package uses rig.
package host
