// Command banyan is the one binary of Banyan: client, coordinator, worker and rank.
//
// It owns the command line: flags, exit codes (0 done, 1 failed, 2 usage or invalid input) and what
// is printed, one file a group of commands. It never decides anything about a run: each command
// parses, constructs, calls one package and waits.
//
//	banyan up                      a local cluster (internal/local)
//	banyan coordinator | worker    one member of a real one (coordinator/server, worker/agent)
//	banyan rank                    one rank process; only a worker starts it (worker/rank)
//	banyan launch | watch | ..     a user of a cluster (client)
//	banyan plan | checkpoint ..    work on files and stores, without a cluster
package main
