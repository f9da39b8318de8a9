package dl

import (
	"errors"
	"unsafe"
)

// ErrUnsupported is the answer of hosts on which no library can be opened.
var ErrUnsupported = errors.New("shared libraries are opened on Linux only, in a build with cgo")

// Library is one that is loaded. Its methods may be called from any goroutine.
type Library struct {
	handle unsafe.Pointer
	path   string
}

// Path is the file that the loader chose.
func (l *Library) Path() string { return l.path }

// Entry is a function of a library.
type Entry struct {
	Name string
	// Since is the first version that has it, in the numbers of its library.
	Since int
	// Optional entries may be missing: whoever calls them looks first.
	Optional bool
}

// Fill writes the address of each entry into table, an array of pointers in C memory: what a struct
// of function pointers is. An entry that the library lacks is null there, and is in the answer
// unless it is optional.
func (l *Library) Fill(table unsafe.Pointer, entries []Entry) (missing []Entry) {
	to := unsafe.Slice((*unsafe.Pointer)(table), len(entries))
	for i, e := range entries {
		to[i] = l.Symbol(e.Name)
		if to[i] == nil && !e.Optional {
			missing = append(missing, e)
		}
	}
	return missing
}
