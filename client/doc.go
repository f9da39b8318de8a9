// Package client is how Go programs (the CLI first) talk to a Banyan cluster: it finds the leader,
// survives its change, and gives every mutating call an idempotency id, so that an unknown outcome
// is retried safely (I5).
//
// It owns no state of a run and draws nothing.
package client
