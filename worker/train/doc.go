// Package train is the step loop of one rank: it composes the model, the collective, the dataset
// and the checkpoint, which do not know each other.
//
// It owns the order of a step and the shards a rank holds. It never chooses a world, never talks
// to a coordinator, and never restarts anything: an error ends the rank, and the next generation
// begins again from a checkpoint.
//
// One step, read from top to bottom (step.go):
//
//	dataset.Stream.Next -> the sequences of this rank's slots
//	for every round: one micro-batch a rank
//	    gather.go   parameters of a unit: own shard + peers' shards -> full unit
//	    model       forward, then backward, unit by unit
//	    reduce.go   gradient of a unit -> own sums (zero1), or the shard's owners (zero2, zero3)
//	    flight.go   slices on their way to the owners, who add what comes in the order of the tree
//	exchange.go     one small all-gather: losses per slot, ledger digests, norm chunks, stop flag
//	update.go       global norm, clip, AdamW on the own shard
//	record.go       the step record (rank 0)
//	save.go         a checkpoint, if one is due: copy (the only stall), then upload behind the loop
//	upload.go       what the store refuses is tried again; the loop waits once the next is due
//
// Every value that reaches the weights or the record is a function of the ResolvedRun alone
// (I3): slots, leaves, chunks and the tree never mention the world size W.
package train
