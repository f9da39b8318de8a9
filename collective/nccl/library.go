package nccl

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"unicode"
	"unsafe"

	"github.com/banyan-train/banyan/collective/nccl/settings"
	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/dl"
)

// Library is libnccl, loaded, of a version that will do. It is never unloaded: NCCL leaves threads.
type Library struct {
	lib     *dl.Library
	table   *C.nccl_table // in C memory
	version Version
}

// given are the settings that the environment got for the first library of the process.
var given struct {
	sync.Mutex
	set map[string]string // nil: none was opened
}

// Open loads libnccl. set are the settings of a run for the environment, such as
// NCCL_SOCKET_IFNAME, of those that package settings allows: NCCL reads each once a process, so
// they are given before it is loaded, and a second Open must give the same.
func Open(search gpu.Search, set map[string]string) (*Library, error) {
	err := settings.CheckAll(set)
	if err == nil {
		err = settings.CheckEnvironment(os.LookupEnv)
	}
	if err != nil {
		return nil, fmt.Errorf("load libnccl: %w", err)
	}
	given.Lock()
	defer given.Unlock()
	if given.set != nil && !maps.Equal(given.set, set) {
		return nil, fmt.Errorf("load libnccl: this process has loaded it with settings %v, not %v: "+
			"NCCL reads them once", given.set, set)
	}
	for name, value := range set {
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("load libnccl: set %s: %w", name, err)
		}
	}
	lib, err := search.Open(gpu.NCCL)
	if err != nil {
		return nil, err
	}
	l, err := link(lib)
	if err != nil {
		return nil, fmt.Errorf("load libnccl: %s: %w", lib.Path(), err)
	}
	given.set = map[string]string{}
	maps.Copy(given.set, set)
	return l, nil
}

// Entries are the functions of NCCL that are called (table.h).
func Entries() []dl.Entry {
	out := make([]dl.Entry, C.NCCL_ENTRIES)
	for i := range out {
		since := int(C.nccl_entry_since(C.int(i)))
		out[i] = dl.Entry{Name: C.GoString(C.nccl_entry_name(C.int(i))), Since: since,
			Optional: since > int(Oldest)}
	}
	return out
}

// link fills the table and looks at the version.
func link(lib *dl.Library) (*Library, error) {
	l := &Library{lib: lib, table: (*C.nccl_table)(C.calloc(1, C.sizeof_nccl_table))}
	if l.table == nil {
		return nil, errors.New("out of memory")
	}
	missing := lib.Fill(unsafe.Pointer(l.table), Entries())
	if l.table.ncclGetVersion != nil {
		var version C.int
		if code := C.nccl_version(l.table, &version); code != C.ncclSuccess {
			return nil, fmt.Errorf("ncclGetVersion answers error %d", code)
		}
		l.version = Version(version)
		if l.version < Oldest {
			return nil, fmt.Errorf("it is NCCL %v; want %v or newer", l.version, Oldest)
		}
	}
	if len(missing) > 0 {
		var names []string
		for _, m := range missing {
			names = append(names, m.Name)
		}
		return nil, fmt.Errorf("it has no %s: not a whole NCCL", strings.Join(names, ", "))
	}
	return l, nil
}

// Version is what the library says it is.
func (l *Library) Version() Version { return l.version }

// Path is the file that it was loaded from.
func (l *Library) Path() string { return l.lib.Path() }

// HasAllToAll tells whether there is an all-to-all of its own (2.28). Otherwise Comm makes one of
// sends and receives.
func (l *Library) HasAllToAll() bool { return l.table.ncclAlltoAll != nil }

// NewID makes the id of a new communicator. Its maker answers the others, which must all get it, as
// long as they connect: so rank 0 makes it.
func (l *Library) NewID() (ID, error) {
	var id C.ncclUniqueId
	if err := l.check("ncclGetUniqueId", nil, C.nccl_unique_id(l.table, &id)); err != nil {
		return ID{}, err
	}
	return ID(*(*[len(ID{})]byte)(unsafe.Pointer(&id))), nil
}

// Text is NCCL's sentence for a result.
func (l *Library) Text(result int) string {
	return C.GoString(C.nccl_text(l.table, C.int(result)))
}

// check makes an error of a result of NCCL. c, if not nil, is the communicator that was used.
func (l *Library) check(function string, c *C.nccl_comm, result C.int) error {
	switch result {
	case C.ncclSuccess:
		return nil
	case C.NCCL_STOPPED:
		return fmt.Errorf("%s: %w", function, errStopped)
	case C.NCCL_BUSY:
		return fmt.Errorf("%s: %w", function, errBusy)
	}
	e := &Error{Function: function, Code: int(result), Text: l.Text(int(result))}
	if last := C.nccl_last_error(l.table, c); last != nil {
		e.Last = printable(C.GoString(last))
	}
	return e
}

// printable is a text of NCCL's in one line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s[:min(len(s), maxText)], "?"))
	return strings.Join(strings.Fields(s), " ")
}

// maxText is how much of a text of NCCL's an error repeats, in bytes.
const maxText = 1024
