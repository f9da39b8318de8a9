//go:build !linux || !cgo

package dl

import (
	"fmt"
	"unsafe"
)

// Open answers ErrUnsupported.
func Open(name string) (*Library, error) {
	return nil, fmt.Errorf("%s: %w", name, ErrUnsupported)
}

// Symbol is the address of a function, or nil.
func (l *Library) Symbol(string) unsafe.Pointer { return nil }

// Size answers that there is no such function.
func (l *Library) Size(string) (n uint64, ok bool) { return 0, false }

// Ints answers that there is no such function.
func (l *Library) Ints(string) (a, b int, ok bool) { return 0, 0, false }
