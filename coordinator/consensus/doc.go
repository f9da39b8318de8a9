// Package consensus keeps the coordinators' one replicated log: it is the only importer of
// hashicorp/raft.
//
// It owns the log and vote file (raft.db, bbolt), the snapshots, the transport between
// coordinators, elections, and the order in which commands reach the Machine. It never looks into a
// command: what one means is the state package's business, whose Machine it drives through a
// three-method interface. It starts nothing for a run and knows no worker.
//
//	cmd ──Propose──▶ leader's log ──▶ majority on disk ──▶ Machine.Apply on every member
//	                                                   └─▶ result back to Propose
//
// Use: Start with a Config and a Machine; follow LeaderCh to run leader duties; Propose commands
// with a request id; for a read that decides something, read the Machine and then call Verify.
//
// Outcomes. Propose answers with the Machine's result, or ErrNotLeader (nothing happened, ask the
// leader), or ErrUnknownOutcome: the entry may or may not be committed. "Leadership lost" is
// unknown, not failed: the next leader may hold the entry. Retrying with the same request id is
// safe.
//
// Leadership. A member announces Leadership{Leader: true} only after a barrier: every entry
// committed before it was elected has been applied here. The epoch is the Raft term; it never
// repeats, so a new epoch on LeaderCh also says that the previous one is over.
//
// Disks. A member that cannot write stops as a member: raft would panic, or go on with a vote it
// has not recorded. See failStop. A raft.db that does not read back whole, record checksums
// included, is refused at Start, with the file's name and the way out.
//
// Invariants: I5 (a committed entry survives the loss of any minority: an entry is on a majority's
// disk, fsynced, before Propose returns), I6 (same log, same bytes of state: Apply gets index and
// command, nothing else), I7 (Verify), I13 (bad files and commands give errors).
package consensus
