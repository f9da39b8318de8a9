// Package plan decides: which waiting runs get a gang now, on which devices, from which
// checkpoint, and which checkpoints may go.
//
// Every function is pure: the replicated state and the leader's view of its workers come in,
// decisions come out, each with a reason, a sentence with its numbers. Nothing here proposes a
// command, logs, reads a clock or keeps memory; the leader executes decisions and asks again.
//
// Rules:
//
//   - A gang is all or nothing, within workers min..max of the spec, never more ranks than
//     logical shards, one rank a device, all on one ISA class (I3: a run keeps its class).
//   - Ranks are spread over workers as evenly as their free devices allow, and numbered by worker.
//   - The queue goes by priority, then launch order. A run that waits for devices which others
//     hold now blocks those behind it, or small runs would starve it; one that could not be
//     placed even on an idle cluster blocks nobody.
//   - A drained worker gets no ranks, and a run that it serves ends its generation at a checkpoint.
//   - A running run grows when devices are free that nobody waits for, and the busiest rank would
//     have less to do: it ends its generation at a checkpoint, and the next one takes them.
//   - Retention keeps the newest `keep` usable checkpoints, and drops only what they replace.
package plan
