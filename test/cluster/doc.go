// Package cluster proves the promises on whole processes: it holds tests only.
//
// The tests build the real binary once, start coordinators and workers as child processes with
// their own pids on loopback ports, train a tiny model on the shipped corpora, and do to the
// processes what happens to them in the field: SIGKILL, SIGSTOP, a flipped byte, a full disk.
// Every disturbed run is compared with one control: the records that a watcher saw (all but
// generation and timings) and the digest of the final checkpoint must be equal.
//
// It never reaches into a process: what it knows, it knows from the public client, the command
// line, exit codes, log files and /proc. Nothing waits for a fixed time; every wait has a
// condition and a deadline that says what was waited for.
//
// No process survives: children die with the thread that started them (Linux) and end when their
// standard input does.
//
//	BANYAN_CHAOS_SEED  seed of the random kills (printed; default fixed)
//	BANYAN_RACE        builds the binary with the race detector; a report in a log fails the test
//	BANYAN_S3SERVER    path of the S3 server binary; without it the S3 test is skipped
//
// Invariants proven here: I1, I2, I3, I4, I8, I9, I11, and the errors of I13 that a user meets.
package cluster
