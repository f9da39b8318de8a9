package nvrtc

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/dl"
)

// Compiler is a loaded libnvrtc. It may be used from any goroutine.
type Compiler struct {
	api     *C.struct_nvrtc
	path    string
	version gpu.Version
}

// Source is the text of some kernels. Nothing is included: it must be whole.
type Source struct{ Name, Text string }

// options make arithmetic mean what it says: a product and a sum are rounded each, division and
// square root are correctly rounded, and subnormal numbers are kept. std is what the sources use.
var options = []string{"--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true",
	"--prec-sqrt=true"}

// Entries lists the functions of NVRTC that this package calls.
func Entries() []dl.Entry {
	out := make([]dl.Entry, C.NVRTC_ENTRY_COUNT)
	for i := range out {
		out[i] = dl.Entry{Name: C.GoString(C.nvrtc_entry_name(C.int(i))),
			Since: int(C.nvrtc_entry_since(C.int(i)))}
	}
	return out
}

// Load finds libnvrtc.
func Load(s gpu.Search) (*Compiler, error) {
	lib, err := s.Open(gpu.NVRTC)
	if err != nil {
		return nil, err
	}
	c := &Compiler{path: lib.Path(),
		api: (*C.struct_nvrtc)(C.calloc(1, C.size_t(unsafe.Sizeof(C.struct_nvrtc{}))))}
	if missing := lib.Fill(unsafe.Pointer(c.api), Entries()); len(missing) > 0 {
		C.free(unsafe.Pointer(c.api))
		return nil, fmt.Errorf("load %s: it lacks %s; want one of CUDA %s or newer", c.path,
			missing[0].Name, gpu.MinDriver)
	}
	var major, minor C.int
	if code := C.nvrtc_version(c.api, &major, &minor); code != 0 {
		err := fmt.Errorf("load %s: %s", c.path, c.text(code))
		C.free(unsafe.Pointer(c.api))
		return nil, err
	}
	c.version = gpu.Version(1000*major + 10*minor)
	return c, nil
}

// Path is the file of libnvrtc, Version the CUDA that it is of.
func (c *Compiler) Path() string         { return c.path }
func (c *Compiler) Version() gpu.Version { return c.version }

func (c *Compiler) text(code C.int) string {
	return fmt.Sprintf("%s (%d)", C.GoString(C.nvrtc_text(c.api, code)), int(code))
}

// Compile makes a cubin. A source that does not compile is an error with the compiler's words.
func (c *Compiler) Compile(s Source, arch gpu.Arch) ([]byte, error) {
	if i := strings.IndexByte(s.Name+s.Text, 0); i >= 0 {
		return nil, fmt.Errorf("compile %q: it has a byte 0", s.Name)
	}
	var texts []*C.char
	keep := func(s string) *C.char {
		p := C.CString(s)
		texts = append(texts, p)
		return p
	}
	defer func() {
		for _, p := range texts {
			C.free(unsafe.Pointer(p))
		}
	}()
	all := append([]string{"--gpu-architecture=" + arch.String()}, options...)
	list := (*[64]*C.char)(C.calloc(64, C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	defer C.free(unsafe.Pointer(list))
	for i, o := range all {
		list[i] = keep(o)
	}
	var cubin, log *C.char
	var size C.size_t
	code := C.nvrtc_compile(c.api, keep(s.Name), keep(s.Text), C.int(len(all)), &list[0], &cubin,
		&size, &log)
	defer C.free(unsafe.Pointer(cubin))
	defer C.free(unsafe.Pointer(log))
	if code != 0 {
		text := ""
		if log != nil {
			text = "\n" + C.GoString(log)
		}
		return nil, fmt.Errorf("compile %s for %s by %s: %s%s", s.Name, arch, c.path, c.text(code),
			text)
	}
	return C.GoBytes(unsafe.Pointer(cubin), C.int(size)), nil
}
