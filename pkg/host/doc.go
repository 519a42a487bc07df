// Package host reaches one machine: it connects, runs commands as root, moves files, and dials from there.
package host
