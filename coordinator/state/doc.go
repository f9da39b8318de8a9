// Package state is the replicated state of a Banyan cluster: commands in, facts and events out.
//
// It owns pb.ClusterState and the rules by which a pb.Command changes it. It never reads a clock,
// the network, a disk, randomness, an environment variable or a logger, and never ranges over a
// map: the same log gives the same bytes on every member (I6). Time enters as data (unix_ms of the
// command) and is copied into events, never compared.
//
// Use: consensus calls Machine.Apply for each committed entry, Snapshot and Restore around them;
// everyone else calls the accessors, which hand out deep copies. A command that is not valid in
// the present state changes nothing but applied_index and answers a code and a sentence; no
// command can panic the machine.
//
// Life of a run:
//
//	           LaunchRun                 AssignGeneration            MarkRunning
//	(nothing) ----------> PENDING ------------------------> ASSIGNED -----------> RUNNING
//	                       ^  ^ |                              |                     |
//	                       |  | +--StopRun--> STOPPED          +-----EndGeneration---+
//	             ResumeRun |  |                                |                     |
//	                       |  +-- retry -----------------------+                     |
//	          STOPPED | FAILED | SUCCEEDED <-- FinishRun, fatal, too many failures --+
//
// SetWeights edits the mixture from a future step on. A live generation does not learn it, as two
// ranks might learn it at different steps: Run.next holds the edited run, the leader asks the ranks
// to checkpoint and end, and the edit becomes Run.resolved when the generation is over, however it
// ends. Until then no checkpoint at or past that step is taken from it.
//
// DrainWorker keeps a worker out of all plans to come. What it serves is the leader's business.
//
// EndGeneration of a generation that met a spike, under the policy to go back, adds to Run.left_out
// and retires the checkpoints that have any of it.
//
// Invariants, checked by Check after every command of the tests:
//
//	I1  a step has at most one live checkpoint; only the live generation commits one; a generation
//	    that resumes before live checkpoints retires them first, and a REWIND event says so.
//	I5  a request id seen before answers its first outcome and changes nothing.
//	I6  determinism, as above.
package state
