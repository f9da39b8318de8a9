// Package collective moves bytes between the ranks of one generation, and adds partial sums in an
// order that does not depend on who held them.
//
// A Group is one communicator: the ranks 0..Size-1 of one (run, generation). All ranks call the
// same operations in the same order. Every operation is asynchronous: it returns a Handle, and the
// buffers belong to the Group until Wait returns. Every operation has a deadline, and Abort ends
// all of them at once; after the first error a Group is dead for good. A new generation makes a
// new Group.
//
// Backends only move bytes. The arithmetic of the reproducible reduction (logical shards as the
// leaves of one fixed binary tree) is in collective/tree, pure, and the adds are done by whoever
// owns the result.
package collective
