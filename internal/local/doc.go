// Package local runs a whole cluster on one machine: coordinators and workers, each a process of
// its own, children of one `banyan up`. It chooses ports, writes cluster.json and pids.json, waits
// until the cluster is ready, and ends every child when it ends. It restarts nothing.
package local
