// Package file is object storage in a directory tree: store.Bucket over the local file system (or
// a shared one that has atomic link and rename).
//
// It owns durable, atomic writes and the translation of file system errors into store's classes.
// It never interprets what an object holds.
//
//	b := file.New("/")                       // keys are paths below the root
//	info, err := b.Put(ctx, "a/b", body, n, true)
//
// A Put goes through a temporary file beside its target:
//
//	.banyan-put-<random>  --fsync-->  link(2) (ifAbsent) or rename(2)  --fsync of the folder-->
//
// so that a reader, or a machine that lost power, sees the whole object or none. link(2) fails
// when the name exists, which makes ifAbsent exact among any number of processes (invariant I1).
// A writer killed half way leaves its temporary file: it is never listed, and Delete of the last
// object beside it removes it once it is an hour old.
//
// The ETag of a file is "sha256:<hex>" of its content. Stat computes it; a ReadRange pinned to an
// ETag hashes the file at most once per version of it (device, inode, size, change time), and
// only compares from then on.
package file
