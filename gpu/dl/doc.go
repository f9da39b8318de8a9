// Package dl opens shared libraries at run time, so that one binary builds without them and uses
// them where they are.
//
// It owns dlopen and dlsym, in plain C through cgo, on Linux. Elsewhere Open answers
// ErrUnsupported. What is absent is an error value that carries the loader's own words; nothing is
// called through a name that was not found. It never decides where to look: that is package gpu.
//
//	lib, err := dl.Open("libcuda.so.1")
//	missing := lib.Fill(table, entries)   // one address an entry, in C memory
//
// A library stays loaded as long as the process: CUDA's start threads that outlive any handle.
package dl
