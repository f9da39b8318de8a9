// Package manifest is the table of contents of a checkpoint: which bytes of which object hold
// which elements of which unit, and the SHA-256 of all of them. It is pure: bytes in, values out.
//
// It never reads or writes anything, and never trusts what it decodes: sizes, offsets, names and
// coverage are checked before a Manifest is handed out.
//
//	<run>/step-00000040/gen-2/
//	    rank-0.safetensors  rank-1.safetensors ..   shards, one object a rank
//	    curve.jsonl.zst                             the loss curve so far (rank 0)
//	    manifest.json                               written last; names all of the above
//
// A unit of Size elements is stored three times, once a Kind (param, m, v), cut into segments:
//
//	unit 3, kind m:  |--- seg ---|--- seg ---|-- seg --|--- seg ---|   Size elements
//	                 |<---- shard of rank 0 ---------->|<- rank 1 ->|
//
// Invariants
//
//	I4  every kind of every unit is covered exactly once: no gap, no overlap (Build, Decode).
//	I1  Encode is deterministic, so that equal checkpoints have equal digests.
//	I13 no input makes Decode panic or allocate more than a small multiple of the input.
package manifest
