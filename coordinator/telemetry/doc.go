// Package telemetry carries step records and events from the coordinators to whoever watches: it is
// the only importer of NATS, and embeds its server.
//
// It owns the server, its JetStream files, and one stream for all runs:
//
//	Publish(run, id, item) ──▶ banyan.<run>.items ──▶ stream BANYAN ──▶ Read, Follow
//	                                                      min(3, members) copies
//
// It never holds anything that must survive. JetStream acknowledges before it syncs (here once a
// second), and acknowledged messages have been seen lost in power failures; a run trains, resumes
// and finishes with all of it deleted. Raft and the curves inside checkpoints are the truth. The
// stream is bounded in bytes and forgets its oldest messages first, whichever run they belong to.
//
// Use: Start, Publish with an id that names the item ("<run>-<generation>-<step>"): a repetition
// within DedupWindow is stored once, so an ErrUnavailable, whose outcome is unknown, is simply
// tried again. Read gives a run's retained history; Follow goes on with what comes. Members may
// start in any order; Ready waits for the stream.
//
// Reading keeps no state in the server: no consumer that could die with a member or buffer for a
// slow reader. A reader asks for "the next messages of this subject from sequence n", at most about
// a megabyte at a time, from any replica, and asks again when a plain NATS subscription hints that
// there is more. What a replica holds is a prefix of the stream, so nothing is skipped; losing a
// member costs one retried request. Ordered consumers, the usual way, were rejected: they must be
// rebuilt when their member dies, and the server pushes ahead of the reader.
//
// Readers see each stored item once and in order as long as the stream lives. When it was lost and
// made anew (its creation time changed, its sequence went back, or another item has the place of
// the last one read), Follow begins at the new start: items may come a second time, and callers
// tell them by step and by event index (I11). It may go on at its old place first.
//
// Invariants: I11 (a slow watcher costs the server at most one batch, far below 8 MiB), I12 (the
// password stays out of the log), I13 (foreign bytes in the stream are passed over with a warning).
package telemetry
