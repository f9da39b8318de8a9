// Package twin says in plain Go what our CUDA kernels compute, bit by bit: what they are compared
// with, by tests on the host and by the check on a GPU. It is written to be read, not to be fast.
package twin
