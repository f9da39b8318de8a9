// Package agent is the worker daemon: it owns the devices of a host and supervises rank processes.
//
// It holds one session with the coordinators' leader. The leader says which ranks should be
// running (the full set, level-triggered); the agent starts what is missing and kills what is not
// named. What its ranks say goes up, and is said again to a new leader until acknowledged.
//
//	leader --Desired--> core --spawn, assignment--> rank process
//	leader <--reports, shards, records-- outbox <-- rank process
//
// Without a leader nothing stops: ranks keep stepping (I9) and the outbox keeps what they say.
// A rank that is not desired is killed with SIGKILL, never asked (I8): abort calls are not
// trusted. Ranks die with the agent: their socket closes and, on Linux, the kernel kills them.
//
// One goroutine, core.run, owns all state; everything else sends it messages.
package agent
