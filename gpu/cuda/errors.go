package cuda

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
)

var (
	// ErrMemory is in the chain when a budget, or the device, has no memory left.
	ErrMemory = errors.New("out of memory")
	// ErrFailed is in the chain of every error after a Device failed.
	ErrFailed = errors.New("device failed")
	// ErrClosed is in the chain of every error after Close.
	ErrClosed = errors.New("device is closed")
)

// Error is what a function of libcuda answered.
type Error struct {
	// Code is the CUresult, Name and Text what the driver calls it.
	Code       int
	Name, Text string
	// In is the function.
	In string
}

func (e *Error) Error() string {
	name := e.Name
	if name == "" {
		name = "error"
	}
	s := fmt.Sprintf("%s: %s (%d)", e.In, name, e.Code)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Is makes the driver's own out of memory an ErrMemory.
func (e *Error) Is(target error) bool {
	return target == ErrMemory && e.Code == C.CUDA_ERROR_OUT_OF_MEMORY
}

// CallError is what a Call answered, for the library whose call it is.
type CallError struct{ Code int }

func (e *CallError) Error() string { return fmt.Sprintf("call answered %d", e.Code) }

// check makes an error of a failed call.
func (d *Driver) check(f C.struct_failed) error {
	if f.code == 0 {
		return nil
	}
	return d.errorOf(int(f.code), C.GoString(f.in))
}

func (d *Driver) errorOf(code int, in string) *Error {
	var name, text *C.char
	C.cuda_text(d.api, C.int(code), &name, &text)
	return &Error{Code: code, Name: C.GoString(name), Text: C.GoString(text), In: in}
}
