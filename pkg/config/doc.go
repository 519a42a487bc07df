// Package config reads the cluster file: a Cluster document as cfctl and k0sctl know it and a LoadBalancer document
// of this project's own. It is strict where a mistake would cost a cluster, lossless where k0s's own configuration is
// concerned, and reports everything that is wrong at once, each with file, line, field and remedy.
package config
