// Package store is object storage: what checkpoints are written to and corpora are read from.
//
// A Bucket is a flat space of immutable objects under keys with '/'. Two backends: store/s3 (any
// S3-compatible endpoint) and store/file (a directory). Everything above this package speaks URIs,
// s3://bucket/key or file:///path (or a plain path), through an Opener.
package store
