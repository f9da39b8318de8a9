//go:build cgo

package dl

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

// RTLD_LOCAL: two libraries may define the same name, as a fake and a real one do. RTLD_NOW: what a
// library itself lacks is found out here.
static void *open_library(const char *name, const char **why)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		*why = dlerror();
	return handle;
}

static const char *path_of(void *handle)
{
	struct link_map *map = NULL;
	return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL ? map->l_name : NULL;
}

static size_t call_size(void *f) { return ((size_t (*)(void))f)(); }
static int call_ints(void *f, int *a, int *b) { return ((int (*)(int *, int *))f)(a, b); }
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Open loads the library with a path, or with a name for which the loader looks itself
// (LD_LIBRARY_PATH, then the system's folders).
func Open(name string) (*Library, error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("open library %q: not a name of a file", name)
	}
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	// The error text belongs to the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var why *C.char
	handle := C.open_library(s, &why)
	if handle == nil {
		text := C.GoString(why)
		if !strings.Contains(text, name) {
			text = name + ": " + text
		}
		return nil, errors.New(text)
	}
	l := &Library{handle: handle, path: name}
	if p := C.path_of(handle); p != nil && *p != 0 {
		l.path = C.GoString(p)
	}
	return l, nil
}

// Symbol is the address of a function, or nil.
func (l *Library) Symbol(name string) unsafe.Pointer {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.dlsym(l.handle, s)
}

// Size calls a function size_t f(void): how some libraries tell their version. ok is false if there
// is no such function.
func (l *Library) Size(name string) (n uint64, ok bool) {
	f := l.Symbol(name)
	if f == nil {
		return 0, false
	}
	return uint64(C.call_size(f)), true
}

// Ints calls a function int f(int *, int *), or one of the first alone: how others do. ok is false
// if there is none or it does not answer 0.
func (l *Library) Ints(name string) (a, b int, ok bool) {
	f := l.Symbol(name)
	if f == nil {
		return 0, 0, false
	}
	var x, y C.int
	if C.call_ints(f, &x, &y) != 0 {
		return 0, 0, false
	}
	return int(x), int(y), true
}
