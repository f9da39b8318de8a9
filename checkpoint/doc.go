// Package checkpoint writes, commits, reads, verifies and deletes checkpoints: durable, verified
// states of a run in an object store (invariants I1, I4).
//
// It owns the objects below "<to>/<run>/step-<n>/gen-<g>/" and what they hold; package manifest
// owns their table of contents. It never decides which checkpoint is live: that is Raft's, and a
// bucket is never listed to find the newest.
//
// Before any step, Probe writes and deletes an object "<to>/<run>/probe/<who>", so that a place in
// which nothing can be written is not found at the first checkpoint.
//
// Writing (every rank, then the leader):
//
//	shard, err := checkpoint.WriteShard(ctx, op, dir, rank, parts, cursor)  // each rank
//	m, err := manifest.Build(head, shards)                                  // leader, all W in
//	uri, digest, err := checkpoint.Commit(ctx, op, dir, m)                  // then Raft
//
// Reading:
//
//	r, err := checkpoint.Open(ctx, op, uri, digest)
//	err = r.Read(ctx, unit, manifest.KindParam, lo, hi, dst)
//
// A shard is a safetensors file whose tensors are segments named "unit.<i>/<kind>@<start>-<end>",
// so other tools can look into it. Segments end at fixed elements of their unit (multiples of
// 2^20), wherever shard boundaries fall, so a restore at another W reads little more than it keeps:
//
//	unit   |----------|----------|----------|----|      cuts at multiples of 2^20 elements
//	W=2    |------ rank 0 --------|---- rank 1 ---|
//	       |----------|---------|-|---------|----|      segments
//
// Memory: WriteShard streams from the caller's parts and holds no copy of them (the S3 backend
// reads them part by part); Read holds one segment (4 MiB) a request in flight.
//
// Every byte is checked against a SHA-256 of the manifest before it is used, the manifest against
// the digest in Raft. What does not match is read once more, in case the transfer was at fault,
// and then refused with ErrCorrupt and its URI.
package checkpoint
