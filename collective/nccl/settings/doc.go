// Package settings says which settings of NCCL a run may have: the one list of those that it may
// not, each with the reason. Pure; it knows names and values, and never the library.
//
// A setting is a variable NCCL_.. of the environment that NCCL reads once a process. A run names
// its settings in its file (resources.nccl), so they are recorded and the same on all its ranks;
// they show wherever the run does, for NCCL has none that is secret. Whoever owns a host may set
// others in the environment of its worker, which the ranks inherit: what is of one host, and what
// loads code or writes files there. Two would break what Banyan relies on, and are refused there
// too (CheckEnvironment).
//
// NCCL_ALGO and NCCL_PROTO are a run's to choose. With `numerics: reproducible` NCCL only moves
// bytes, and no choice of theirs changes a bit; with `numerics: fast` its sums are whatever its
// algorithm makes them, as they are without.
//
// Invariants: I3 (nothing that a run may set lets bytes arrive otherwise than they were sent), I13.
package settings
