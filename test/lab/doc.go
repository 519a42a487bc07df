// Package lab makes real hosts on one machine: containers with systemd, sshd and Debian's own HAProxy, on the
// addresses of the high-availability guide. Tests drive it and so does the program labctl.
//
// A host is as bare as a new server: k0s is not there, HAProxy is not there unless asked for, and a user reaches it
// over SSH with a key. It can be cut off the network, frozen, killed, started again and wiped. Several labs can stand
// side by side, each with a name and a subnet of its own; Down removes everything that a lab started, found by its
// label, whether or not its state folder is still there.
//
// It needs Linux and the docker command, and calls nothing else of Docker.
package lab
